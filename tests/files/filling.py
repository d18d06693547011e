"""Trees of every kind of file, made through the kernel on a mount; paths are bytes."""

# ruff: noqa: PTH101, PTH102, PTH108, PTH123, PTH211

import fcntl
import os
import random
import socket
import stat
from collections.abc import Callable, Iterable

_NS = 10**9
LONG_AGO, FAR_AWAY = -1_500_000_000 * _NS + 123_456_789, 2_000_000_000 * _NS + 987_654_321
FICLONE = 0x40049409
AFTER_2038 = 5_000_000_000 * _NS + 111_222_333

USER_ACL = bytes.fromhex(
    "02000000" "01000600ffffffff" "0200040021000000" "04000400ffffffff"
    "0800070064000000" "10000700ffffffff" "20000000ffffffff"
)  # fmt: skip
"""u::rw, u:33:r, g::r, g:100:rwx, m::rwx, o::-, as setxattr takes it."""


def write(path: bytes, content: bytes = b"") -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def clone(path: bytes, other: bytes) -> None:
    """Make a file that shares the blocks of one that is there; XFS has such."""
    with open(path, "rb") as source, open(other, "wb") as target:
        fcntl.ioctl(target, FICLONE, source.fileno())


def folder(path: bytes) -> bytes:
    os.mkdir(path)
    return path


def fill_kinds(root: bytes) -> None:
    """Every type, mode, owner and kind of name."""
    write(root + b"/plain", b"plain\n")
    write(root + b"/setuid", b"x" * 5000)
    os.chown(root + b"/setuid", 1000, 4_000_000_000)
    os.chmod(root + b"/setuid", 0o6755)
    os.chmod(folder(root + b"/sticky"), 0o1777)
    for number in range(5):
        os.link(root + b"/plain", root + b"/link%d" % number)
    os.link(root + b"/plain", root + b"/sticky/link")
    for name, (major, minor) in (
        (b"small", (1, 3)),
        (b"big", (511, 200_000)),
        (b"edge", (511, 2**18 - 1)),
    ):
        os.mknod(root + b"/char-" + name, stat.S_IFCHR | 0o600, os.makedev(major, minor))
        os.mknod(root + b"/block-" + name, stat.S_IFBLK | 0o660, os.makedev(major, minor))
    os.mkfifo(root + b"/fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(root + b"/socket")
    for name in (
        b"\xb5\xa5",
        b"caf\xe9",
        b"new\nline",
        b" ",
        b"-",
        b"\\",
        b"x" * 255,
        b"\xff" * 255,
    ):
        write(root + b"/" + name, name)


def fill_links(root: bytes, lengths: Iterable[int]) -> None:
    """Symbolic links with targets of these lengths."""
    for length in lengths:
        os.symlink((b"abc/\xfe" * length)[:length], root + b"/to-%d" % length)


def fill_times(root: bytes, times: Iterable[int]) -> None:
    """Files of these times, in ns."""
    for number, time in enumerate(times):
        path = root + b"/%d" % number
        write(path)
        os.utime(path, ns=(time + 7, time))


MANY_XATTRS = (
    ((b"user.",), 3, 20),
    ((b"user.", b"trusted.", b"security."), 30, 90),
    ((b"user.", b"trusted."), 250, 500),
)


def fill_xattrs(
    root: bytes,
    sizes: Iterable[int],
    many: Iterable[tuple[tuple[bytes, ...], int, int]] = MANY_XATTRS,
) -> None:
    """Files with an attribute of each size, and such as have many.

    The latter by name spaces, how many attributes each is to have of them, and how large.
    """
    for size in sizes:
        path = root + b"/%d" % size
        write(path)
        os.setxattr(path, b"user.v", random.Random(size).randbytes(size))
    for spaces, count, most in many:
        path = root + b"/many-%d" % count
        write(path, b"many")
        chance = random.Random(count)
        for number in range(count):
            for space in spaces:
                name = space + b"n" * chance.randrange(1, 200) + b"%d" % number
                os.setxattr(path, name, chance.randbytes(chance.randrange(most)))
        for number in range(0, count, 3):
            gone = [name for name in os.listxattr(path) if name.endswith(f"n{number}")]
            for each in gone[:1]:
                os.removexattr(path, each)
    os.setxattr(root, b"user.folder", b"of a folder")
    os.symlink(b"nowhere", root + b"/link")
    os.setxattr(root + b"/link", b"trusted.link", b"of a link", follow_symlinks=False)


def fill_xattrs_in_turn(root: bytes) -> None:
    """Two files whose attributes are allocated in turn, so that both are cut up."""
    pair = [root + b"/0", root + b"/1"]
    for path in pair:
        write(path)
    for number in range(60):
        for path in pair:
            os.setxattr(path, b"user.%d" % number, b"%d" % number * 2000)


def fill_acls(root: bytes) -> None:
    write(root + b"/acl")
    os.setxattr(root + b"/acl", "system.posix_acl_access", USER_ACL)
    for name in ("access", "default"):
        os.setxattr(root, f"system.posix_acl_{name}", USER_ACL)
    os.setxattr(root + b"/acl", b"trusted.other", b"1")
    folder(root + b"/inherits")


def fill_content(root: bytes, unit: int, pieces: int) -> None:
    """Sparse, unwritten, fragmented and plain contents."""
    chance = random.Random(1)
    for size in (1, 511, 512, 4096, 65536, 100_001):
        write(root + b"/%d" % size, chance.randbytes(size))
    for name, places in (
        (b"hole-first", (10 * unit,)),
        (b"hole-between", (0, 10 * unit + 3, 1 << 24)),
        (b"fragmented", range(0, pieces * 2 * unit, 2 * unit)),
    ):
        fd = os.open(root + b"/" + name, os.O_WRONLY | os.O_CREAT)
        for place in places:
            os.pwrite(fd, b"%d" % place, place)
        os.close(fd)
    fd = os.open(root + b"/unwritten", os.O_WRONLY | os.O_CREAT)
    os.posix_fallocate(fd, 0, 40 * unit)
    os.pwrite(fd, b"written", 5 * unit + 1)
    os.close(fd)
    fd = os.open(root + b"/all-unwritten", os.O_WRONLY | os.O_CREAT)
    os.posix_fallocate(fd, 0, 3 * unit + 5)
    os.close(fd)
    write(root + b"/all-hole")
    os.truncate(root + b"/all-hole", 1 << 20)


def fill_folders(root: bytes, counts: Iterable[int], depth: int) -> None:
    """Directories of so many entries, of which some are gone again; and a deep one."""
    for count in counts:
        chance = random.Random(count)
        path = folder(root + b"/with-%d" % count)
        first = path + b"/0"
        write(first)
        for number in range(1, count):
            os.link(first, path + b"/%d-" % number + b"y" * chance.randrange(60))
        if count > 100:
            for number, entry in enumerate(sorted(entry.path for entry in os.scandir(path))):
                if (number % 5 == 0 or 200 < number < 700) and entry != first:
                    os.unlink(entry)
    path = root
    for number in range(depth):
        path = folder(path + b"/d%d" % number)
    write(path + b"/bottom", b"deep")


def fill_many(root: bytes, folders: int, files: int) -> None:
    for number in range(folders):
        path = folder(root + b"/%d" % number)
        for file in range(files):
            write(path + b"/file%d" % file)


def fill(root: bytes, *, unit: int, is_thorough: bool) -> None:
    """Fill a mount with all of it."""
    steps: list[tuple[bytes, Callable[[bytes], None]]] = [
        (b"kinds", fill_kinds),
        (
            b"links",
            lambda path: fill_links(path, [1, 59, 60, 100, 335, 336, 337, 600, 900, 1000, 1023]),
        ),
        (b"times", lambda path: fill_times(path, [0, 1, -1, LONG_AGO, FAR_AWAY])),
        (b"xattrs", lambda path: fill_xattrs(path, xattr_sizes(is_thorough=is_thorough))),
        (b"xattrs-in-turn", fill_xattrs_in_turn),
        (b"acls", fill_acls),
        (b"content", lambda path: fill_content(path, unit, 3000 if is_thorough else 600)),
        (
            b"folders",
            lambda path: fill_folders(
                path, [1, 2, 5, 30, 100, 1000, *([6000] if is_thorough else [])], 60
            ),
        ),
    ]
    for name, step in steps:
        step(folder(root + b"/" + name))


def xattr_sizes(*, is_thorough: bool) -> list[int]:
    few = [0, 1, 60, 255, 256, 900, 3000, 4039, 4040, 4041, 8080, 8081, 30_000, 65_535, 65_536]
    return sorted({*few, *range(1, 65_536, 331)}) if is_thorough else few
