"""A tree that mkfs.xfs puts on an XFS by itself, and attributes that xfs_db adds: without root."""

import stat
from collections.abc import Sequence
from pathlib import Path

import fastcrc

from tests.files.image_source import opened_image
from tests.files.mounted import mkfs_xfs, run
from thinmeta.files.xfs.forks import read_extents
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.schemas.xfs import XFS_DINODE_FMT_LOCAL, XFS_SYMLINK_MAGIC, SymlinkHdr

TARGETS = (1, 100, 155, 156, 157, 335, 336, 337, 600, 900, 968)
"""Lengths; the longest that take one block of 1 KiB, as mkfs.xfs of 6.1 wants them."""

SIZES = (1, 100, 1000, 3000, 20_000, 65_535)
BIG = bytes(range(256)) * 1000
MANY = 250
DEPTH = 40


def target(length: int) -> bytes:
    return (b"abc/\xfe" * length)[:length]


def wide_names(count: int) -> list[bytes]:
    return [b"name%d" % each + b"-" * (150 + each * 7 % 60) for each in range(count)]


def prepared(folder: Path, size: int, wide: int, *options: str) -> Path:
    """Return an image.

    Args:
        folder: for it, and for what is put on it.
        size: of the image.
        wide: how many names there are in the wide directory.
        options: of mkfs.xfs.
    """
    (folder / "small").write_bytes(b"small")
    (folder / "big").write_bytes(BIG)
    prototype = folder / "prototype"
    prototype.write_bytes(b"\n".join(_lines(folder, wide)))
    image = mkfs_xfs(folder / "image", size, "-p", prototype, *options)
    run("xfs_db", "-x", image, stdin=_attributes(wide_names(wide)))
    _give_targets_headers(image)
    return image


def _give_targets_headers(image: Path) -> None:
    """Give the blocks of long targets in version 5 the headers that mkfs.xfs of 6.1 forgets."""
    with opened_image(image) as cache, image.open("r+b") as file:
        files = Xfs(cache)
        if not files.geometry.is_v5:
            return
        for number in {entry.number for entry in files.entries(files.inode(files.root))}:
            inode = files.inode(number)
            fork = files._dinodes.data_fork(number)
            if not stat.S_ISLNK(inode.mode) or fork.form == XFS_DINODE_FMT_LOCAL:
                continue
            place = int(read_extents(fork, files._blocks).place[0])
            fields = {
                "sl_magic": XFS_SYMLINK_MAGIC,
                "sl_offset": 0,
                "sl_bytes": inode.size,
                "sl_crc": 0,
                "sl_uuid": files.geometry.block_uuid,
                "sl_owner": number,
                "sl_blkno": place // 512,
                "sl_lsn": 0,
            }
            block = (SymlinkHdr.build(fields) + target(inode.size)).ljust(files.block_bytes, b"\0")
            fields["sl_crc"] = fastcrc.crc32.iscsi(block)
            file.seek(place)
            file.write(SymlinkHdr.build(fields))
            file.write(target(inode.size))


def _lines(folder: Path, wide: int) -> Sequence[bytes]:
    """Return the prototype: names and contents in turn, so that directories are cut up."""
    small, big = bytes(folder / "small"), bytes(folder / "big")
    return [
        *(b"/none", b"0 0", b"d--755 0 0"),
        b"small-file ---644 1000 70000 " + small,
        b"big -ug755 1 2 " + big,
        *(b"char c--600 0 0 10 200", b"block b--660 0 6 511 200000", b"fifo p--644 1 2"),
        b"\xb5\xa5 ---600 0 0 " + small,
        b"x" * 255 + b" ---600 0 0 " + small,
        *(b"to-%d l--777 0 0 %s" % (length, target(length)) for length in TARGETS),
        *(b"empty d--700 5 5", b"$"),
        b"wide d--755 0 0",
        *(name + b" ---644 0 0 " + small for name in wide_names(wide)),
        b"$",
        *(b"deep%d d--755 0 0" % each for each in range(DEPTH)),
        *[b"$"] * DEPTH,
        *(b"$", b"$", b""),
    ]


def _attributes(wide: Sequence[bytes]) -> bytes:
    """Return what makes xfs_db add attributes: short, long and many."""
    lines = ["path /small-file", *(f"attr_set -u -v {size} size{size}" for size in SIZES)]
    lines += ["path /big", *(f"attr_set -u -v {each} n{each}" for each in range(1, MANY + 1))]
    lines += [f"path /wide/{wide[7].decode()}"]
    lines += ["attr_set -r -v 5 of-root", "attr_set -s -v 6 secure", "quit", ""]
    return "\n".join(lines).encode()
