"""Blocks of a tar: a header in the form of POSIX.1-1988 (ustar), and the records of pax."""

from functools import lru_cache
from typing import NamedTuple

BLOCK_BYTES = 512

REGULAR = b"0"
HARD_LINK = b"1"
SYMLINK = b"2"
CHARACTER_DEVICE = b"3"
BLOCK_DEVICE = b"4"
DIRECTORY = b"5"
FIFO = b"6"
EXTENDED_HEADER = b"x"

NAME_BYTES = 100
_END_BEGINS = 257
PREFIX_BYTES = 155


class Member(NamedTuple):
    """What is in a tar for one file.

    Attributes:
        name: its path, which ends in a slash for a directory.
        typeflag: what it is, such as `REGULAR`.
        mode: as the header has it.
        uid: of its owner.
        gid: of its group.
        size: of what follows, in bytes.
        mtime: in seconds since 1970.
        linkname: where a link leads.
        uname: the name of its owner; empty if it is not known.
        gname: the name of its group; empty if it is not known.
        rdev: major and minor number of a device, zeros for others; None leaves the fields empty.
        prefix: what stands before `name`, without the slash in between.
    """

    name: bytes
    typeflag: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    linkname: bytes = b""
    uname: bytes = b""
    gname: bytes = b""
    rdev: tuple[int, int] | None = (0, 0)
    prefix: bytes = b""


def fits(value: int, width: int) -> bool:
    """Tell whether a number can stand in a field of `width` bytes: octal digits and a NUL.

    >>> fits(0o7777777, 8), fits(0o10000000, 8), fits(-1, 8)
    (True, False, False)
    """
    return 0 <= value < 1 << 3 * (width - 1)


def header(member: Member) -> bytes:
    """Return the block of 512 bytes before a member's content.

    A text that is too long is cut, a number that does not fit is 0: a pax record has both.

    Source: POSIX.1-2017, pax, "ustar Interchange Format".
    """
    owner, end = _owner(member.mode, member.uid, member.gid), _end(*member[8:])
    block = b"%b%b%011o\0%011o\0        %b%b%b" % (
        _text(member.name, NAME_BYTES),
        owner,
        member.size if fits(member.size, 12) else 0,
        member.mtime if fits(member.mtime, 12) else 0,
        member.typeflag,
        _text(member.linkname, NAME_BYTES),
        end,
    )
    return b"%b%06o\0%b" % (block[:148], sum(block), block[155:])


@lru_cache
def _owner(mode: int, uid: int, gid: int) -> bytes:
    """Return what many members have in common."""
    return _octal(mode, 8) + _octal(uid, 8) + _octal(gid, 8)


@lru_cache
def _end(uname: bytes, gname: bytes, rdev: tuple[int, int] | None, prefix: bytes) -> bytes:
    """Return what follows a link's name, which many members have in common, too."""
    devices = b"".join(_octal(number, 8) for number in rdev) if rdev else bytes(16)
    text = b"ustar\x0000%b%b%b%b" % (_text(uname, 32), _text(gname, 32), devices, prefix)
    return text.ljust(BLOCK_BYTES - _END_BEGINS, b"\0")


def _text(value: bytes, width: int) -> bytes:
    return value[:width].ljust(width, b"\0")


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value if fits(value, width) else 0)


def split_path(path: bytes) -> tuple[bytes, bytes] | None:
    """Return prefix and name of a path that is too long for the name alone; None if it stays so.

    >>> split_path(b"a" * 90 + b"/" + b"b" * 90 + b"/")[1][:3]
    b'bbb'
    """
    if len(path) <= NAME_BYTES or not path.isascii():
        return None
    length = min(len(path), PREFIX_BYTES + 1)
    if length == len(path) and path.endswith(b"/"):
        length -= 1
    cut = path.rfind(b"/", 0, length)
    name = path[cut + 1 :]
    if cut <= 0 or not name or len(name) > NAME_BYTES:
        return None
    return path[:cut], name


def pax_record(key: bytes, value: bytes) -> bytes:
    r"""Return a record, which begins with its own length.

    >>> pax_record(b"path", b"x" * 91)[:9], pax_record(b"uid", b"7")
    (b'101 path=', b'8 uid=7\n')
    """
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def records_of(member: Member) -> dict[bytes, bytes]:
    """Return the records for what a header has no room for, but for the path.

    Those of a number say it in decimal.
    """
    texts = ((b"linkpath", member.linkname, NAME_BYTES), (b"uname", member.uname, 32))
    records = {
        key: text
        for key, text, width in (*texts, (b"gname", member.gname, 32))
        if len(text) > width or not text.isascii()
    }
    owners = ((b"uid", member.uid, 8), (b"gid", member.gid, 8))
    sizes = ((b"size", member.size, 12), (b"mtime", member.mtime, 12))
    records |= {
        key: b"%d" % number for key, number, width in owners + sizes if not fits(number, width)
    }
    return records


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a content."""
    return bytes(-size % BLOCK_BYTES)


END = bytes(2 * BLOCK_BYTES)
"""What ends an archive."""
