"""A piece of the inodes of a block group, decoded at once into a row of some 70 bytes each."""

import stat
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.geometry import Geometry
from thinmeta.files.ext.inode_outlines import content_blocks, have_attributes
from thinmeta.files.ext.running_crc import going_on, inode_seeds
from thinmeta.files.file_system import FileError, Inode
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import (
    EXT4_EPOCH_BITS,
    EXT4_EPOCH_MASK,
    EXT4_FEATURE_INCOMPAT_LARGEDIR,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_OS_LINUX,
    Ext4DeviceNumbers,
    Ext4LargeInode,
)

_INODE = dtype_of(Ext4LargeInode)
_DEVICE = dtype_of(Ext4DeviceNumbers)
_ENDS = {
    name: offset + layout.itemsize - EXT4_GOOD_OLD_INODE_SIZE
    for name, (layout, offset, *_) in (_INODE.fields or {}).items()
}
"""Where fields end, counted from where an inode of 128 bytes does."""

_NS = 10**9
_BLOCK_LIMIT = 1 << 32
"""A file has fewer blocks than this: their numbers have 32 bits."""

_TYPE_BITS = 12
_TYPES = (
    stat.S_IFREG,
    stat.S_IFDIR,
    stat.S_IFLNK,
    stat.S_IFCHR,
    stat.S_IFBLK,
    stat.S_IFIFO,
    stat.S_IFSOCK,
)
_IS_KNOWN = np.isin(np.arange(16), [each >> _TYPE_BITS for each in _TYPES])

_FAULTS = (
    "",
    "is of an unknown type",
    "has a size that no file can have",
    "has fields past its end",
    "has a wrong checksum",
    "is not in use",
)
"""Why an inode is not to be believed, by the code of it; 0 is a sound one."""

INODE_ROW = np.dtype(
    [
        ("mode", np.uint16),
        ("uid", np.uint32),
        ("gid", np.uint32),
        ("nlink", np.uint16),
        ("size", np.uint64),
        ("atime", np.int64),
        ("atime_ns", np.uint32),
        ("mtime", np.int64),
        ("mtime_ns", np.uint32),
        ("ctime", np.int64),
        ("ctime_ns", np.uint32),
        ("major", np.uint16),
        ("minor", np.uint32),
        ("seed", np.uint32),
        ("block", np.uint64),
        ("has_attribute_block", np.bool_),
        ("has_xattrs", np.bool_),
        ("fault", np.uint8),
    ]
)
"""What is kept of an inode: 64 bits do not hold a time in ns.

`block` is where its content begins, if that is in one piece; else 0.
"""

Rows = npt.NDArray[np.uint8]
InodeRows = npt.NDArray[Any]


def decoded(data: bytes, first: int, geometry: Geometry) -> InodeRows:
    """Decode inodes.

    Args:
        data: their bytes.
        first: the number of the first one.
        geometry: of their file system.

    Returns:
        A row of each, for `inodes_of()`.

    Source: `__ext4_iget()`, fs/ext4/inode.c (Linux v6.6).
    """
    fields = padded_fields(data, geometry)
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, geometry.inode_bytes)
    numbers = np.arange(first, first + len(rows), dtype=np.uint64)
    found = np.zeros(len(rows), dtype=INODE_ROW)
    found["mode"] = fields["i_mode"]
    found["uid"] = fields["i_uid"] | fields["i_uid_high"].astype(np.uint32) << np.uint32(16)
    found["gid"] = fields["i_gid"] | fields["i_gid_high"].astype(np.uint32) << np.uint32(16)
    found["nlink"] = fields["i_links_count"]
    found["size"] = _sizes(fields, geometry)
    for name in ("atime", "mtime", "ctime"):
        found[name], found[f"{name}_ns"] = _times(fields, f"i_{name}")
    _set_devices(found, fields)
    seeds = inode_seeds(geometry.seed, numbers, fields["i_generation"])
    found["seed"] = seeds
    found["block"] = content_blocks(fields, found["size"], geometry)
    found["has_xattrs"] = have_attributes(fields, rows, geometry)
    found["has_attribute_block"] = (fields["i_file_acl_lo"] != 0) | (fields["i_file_acl_high"] != 0)
    room = geometry.inode_bytes - EXT4_GOOD_OLD_INODE_SIZE
    for code, mask in enumerate(
        (
            ~_IS_KNOWN[fields["i_mode"] >> _TYPE_BITS],
            found["size"] > np.uint64(_BLOCK_LIMIT * geometry.block_bytes),
            (fields["i_extra_isize"] > room) | (fields["i_extra_isize"] % 4 != 0),
            _is_wrong(fields, rows, seeds, geometry),
            fields["i_links_count"] == 0,
        ),
        start=1,
    ):
        found["fault"][mask] = code
    return found


def padded_fields(data: bytes, geometry: Geometry) -> npt.NDArray[Any]:
    """Return the fields of inodes; those that small ones do not have are zeros."""
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, geometry.inode_bytes)
    padded = np.zeros((len(rows), _INODE.itemsize), dtype=np.uint8)
    width = min(_INODE.itemsize, geometry.inode_bytes)
    padded[:, :width] = rows[:, :width]
    return padded.view(_INODE)[:, 0]


def inodes_of(numbers: Sequence[int], rows: InodeRows) -> list[Inode | FileError]:
    """Return inodes, or why one of them cannot be believed.

    Args:
        numbers: of the inodes.
        rows: what is decoded of them.
    """
    names = ("mode", "uid", "gid", "nlink", "size")
    columns = [
        numbers,
        *(rows[name].tolist() for name in names),
        *(_ns(rows[name], rows[f"{name}_ns"]) for name in ("atime", "mtime", "ctime")),
        zip(rows["major"].tolist(), rows["minor"].tolist(), strict=True),
    ]
    found: list[Inode | FileError] = list(map(Inode._make, zip(*columns, strict=True)))
    for place in np.flatnonzero(rows["fault"]).tolist():
        found[place] = FileError(f"inode {numbers[place]}: {_FAULTS[rows['fault'][place]]}")
    return found


def _ns(seconds: npt.NDArray[np.int64], ns: npt.NDArray[np.uint32]) -> list[int]:
    """Return times in ns, for which 64 bits may not do."""
    pairs = zip(seconds.tolist(), ns.tolist(), strict=True)
    return [second * _NS + rest for second, rest in pairs]


def are_plain(rows: InodeRows) -> npt.NDArray[np.bool_]:
    """Tell which inodes are sound, of no directory, and without a block of attributes."""
    is_directory = rows["mode"] >> _TYPE_BITS == stat.S_IFDIR >> _TYPE_BITS
    plain: npt.NDArray[np.bool_] = (
        (rows["fault"] == 0) & ~is_directory & ~rows["has_attribute_block"]
    )
    return plain


def _sizes(fields: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[np.uint64]:
    """Return the sizes in bytes.

    Source: `ext4_isize()`, fs/ext4/ext4.h.
    """
    high = fields["i_size_high"].astype(np.uint64)
    if not geometry.incompat & EXT4_FEATURE_INCOMPAT_LARGEDIR:
        high[fields["i_mode"] >> _TYPE_BITS != stat.S_IFREG >> _TYPE_BITS] = 0
    sizes: npt.NDArray[np.uint64] = fields["i_size_lo"] | high << np.uint64(32)
    return sizes


def _times(
    fields: npt.NDArray[Any], name: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return times in seconds, and the ns of each.

    Source: `ext4_decode_extra_time()`, fs/ext4/ext4.h.
    """
    extra = np.where(_has(fields, f"{name}_extra"), fields[f"{name}_extra"], 0).astype(np.int64)
    return fields[name] + ((extra & EXT4_EPOCH_MASK) << 32), extra >> EXT4_EPOCH_BITS


def _has(fields: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
    """Tell which inodes are large enough to have this field."""
    large: npt.NDArray[np.bool_] = fields["i_extra_isize"] >= _ENDS[name]
    return large


def _set_devices(found: InodeRows, fields: npt.NDArray[Any]) -> None:
    """Set major and minor numbers of devices.

    Source: `__ext4_iget()`; `old_decode_dev()` and `new_decode_dev()`, include/linux/kdev_t.h.
    """
    types = fields["i_mode"] >> _TYPE_BITS
    is_device = (types == stat.S_IFCHR >> _TYPE_BITS) | (types == stat.S_IFBLK >> _TYPE_BITS)
    places = np.flatnonzero(is_device)
    if not len(places):
        return
    bodies = np.frombuffer(fields["i_block"][places].tobytes(), dtype=np.uint8)
    rows = bodies.reshape(len(places), -1)[:, : _DEVICE.itemsize].copy().view(_DEVICE)[:, 0]
    old, new = rows["old"], rows["new"]
    found["major"][places] = np.where(old != 0, old >> 8 & 0xFF, new >> 8 & 0xFFF)
    found["minor"][places] = np.where(old != 0, old & 0xFF, new & 0xFF | new >> 12 & 0xFFF00)


def _is_wrong(
    fields: npt.NDArray[Any], rows: Rows, seeds: list[int], geometry: Geometry
) -> npt.NDArray[np.bool_]:
    """Tell which inodes have a wrong checksum.

    Source: `ext4_inode_csum()`, fs/ext4/inode.c.
    """
    wrong = np.zeros(len(rows), dtype=np.bool_)
    if not geometry.has_checksums or geometry.superblock.s_creator_os != EXT4_OS_LINUX:
        return wrong
    is_long = _has(fields, "i_checksum_hi")
    zeroed = rows.copy()
    _zero(zeroed, "i_checksum_lo")
    if is_long.all():
        _zero(zeroed, "i_checksum_hi")
    else:
        zeroed[is_long] = _zero(zeroed[is_long], "i_checksum_hi")
    data, size = zeroed.tobytes(), geometry.inode_bytes
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    sums = ~np.fromiter(map(going_on, parts, seeds), dtype=np.uint32, count=len(parts))
    high = np.where(is_long, fields["i_checksum_hi"], sums >> np.uint32(16)).astype(np.uint32)
    wrong[:] = (high << np.uint32(16) | fields["i_checksum_lo"]) != sums
    return wrong


def _zero(rows: Rows, name: str) -> Rows:
    end = EXT4_GOOD_OLD_INODE_SIZE + _ENDS[name]
    rows[:, end - _INODE[name].itemsize : end] = 0
    return rows
