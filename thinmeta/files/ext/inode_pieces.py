"""A piece of the inodes of a block group, decoded at once."""

import stat
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.geometry import Geometry
from thinmeta.files.ext.running_crc import going_on, inode_seeds
from thinmeta.files.file_system import Inode
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import (
    EXT4_EPOCH_BITS,
    EXT4_EPOCH_MASK,
    EXT4_FEATURE_INCOMPAT_64BIT,
    EXT4_FEATURE_INCOMPAT_LARGEDIR,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_OS_LINUX,
    Ext4DeviceNumbers,
    Ext4ExtentRoot,
    Ext4LargeInode,
)

_INODE = dtype_of(Ext4LargeInode)
_ROOT = dtype_of(Ext4ExtentRoot)
_DEVICE = dtype_of(Ext4DeviceNumbers)
_ENDS = {
    name: offset + layout.itemsize - EXT4_GOOD_OLD_INODE_SIZE
    for name, (layout, offset, *_) in (_INODE.fields or {}).items()
}
"""Where fields end, counted from where an inode of 128 bytes does."""

_NS = 10**9
_NO_DEVICE = (0, 0)
_BLOCK_LIMIT = 1 << 32
"""A file has fewer blocks than this: their numbers have 32 bits."""

_TYPES = [
    stat.S_IFREG,
    stat.S_IFDIR,
    stat.S_IFLNK,
    stat.S_IFCHR,
    stat.S_IFBLK,
    stat.S_IFIFO,
    stat.S_IFSOCK,
]

Rows = npt.NDArray[np.uint8]


class InodeRecord(NamedTuple):
    """What an inode says of where its content and its attributes are.

    Attributes:
        inode: what everybody wants to know.
        flags: how it is kept.
        body: the 60 bytes of `i_block`.
        seed: with which the running checksums of what it leads to begin.
        generation: of inodes of this number.
        attribute_block: a block of attributes; 0 if there is none.
        attributes: the bytes after its fields, which may be attributes.
        sectors: the low 32 bits of how much it takes, in sectors or blocks.
        root_header: what `body` begins with if it is the root of a tree of extents.
        root_extents: what it goes on with if that is a leaf; each has the fields of `Ext4Extent`.
    """

    inode: Inode
    flags: int
    body: bytes
    seed: int
    generation: int
    attribute_block: int
    attributes: bytes
    sectors: int
    root_header: tuple[int, ...]
    root_extents: list[tuple[int, ...]]


@dataclass(frozen=True)
class InodePiece:
    """Some inodes, one after the other.

    Attributes:
        inodes: all of them, sound or not.
        faults: why one is not to be believed, by its place in `inodes`.
    """

    inodes: list[Inode]
    faults: dict[int, str]
    _geometry: Geometry
    _fields: npt.NDArray[Any]
    _data: bytes
    _seeds: list[int]

    @cached_property
    def records(self) -> list[InodeRecord]:
        """More of each of `inodes`."""
        fields, size = self._fields, self._geometry.inode_bytes
        is_wide = self._geometry.incompat & EXT4_FEATURE_INCOMPAT_64BIT
        attribute_blocks = (
            _joined(fields, "i_file_acl_lo", "i_file_acl_high", 32)
            if is_wide
            else fields["i_file_acl_lo"].tolist()
        )
        roots = np.frombuffer(fields["i_block"].tobytes(), dtype=np.uint8).view(_ROOT)
        columns = zip(
            self.inodes,
            fields["i_flags"].tolist(),
            fields["i_block"].tolist(),
            self._seeds,
            fields["i_generation"].tolist(),
            attribute_blocks,
            [
                self._data[begin + EXT4_GOOD_OLD_INODE_SIZE + extra : begin + size]
                if extra
                else b""
                for begin, extra in zip(
                    range(0, len(self._data), size), fields["i_extra_isize"].tolist(), strict=True
                )
            ],
            fields["i_blocks_lo"].tolist(),
            roots["header"].tolist(),
            roots["extents"].tolist(),
            strict=True,
        )
        return list(starmap(InodeRecord, columns))


def decoded(data: bytes, first: int, geometry: Geometry) -> InodePiece:
    """Decode inodes.

    Args:
        data: their bytes.
        first: the number of the first one.
        geometry: of their file system.

    Source: `__ext4_iget()`, fs/ext4/inode.c.
    """
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, geometry.inode_bytes)
    padded = np.zeros((len(rows), _INODE.itemsize), dtype=np.uint8)
    width = min(_INODE.itemsize, geometry.inode_bytes)
    padded[:, :width] = rows[:, :width]
    fields: npt.NDArray[Any] = padded.view(_INODE)[:, 0]
    if geometry.inode_bytes == EXT4_GOOD_OLD_INODE_SIZE:
        fields["i_extra_isize"] = 0
    numbers = np.arange(first, first + len(rows), dtype=np.uint64)
    seeds = inode_seeds(geometry.seed, numbers, fields["i_generation"])
    sizes = _sizes(fields, geometry)
    columns = zip(
        numbers.tolist(),
        fields["i_mode"].tolist(),
        _joined(fields, "i_uid", "i_uid_high", 16),
        _joined(fields, "i_gid", "i_gid_high", 16),
        fields["i_links_count"].tolist(),
        sizes.tolist(),
        _times(fields, "i_atime"),
        _times(fields, "i_mtime"),
        _times(fields, "i_ctime"),
        _devices(fields),
        strict=True,
    )
    faults = _faults(fields, rows, sizes, seeds, geometry)
    return InodePiece(list(starmap(Inode, columns)), faults, geometry, fields, data, seeds)


def _joined(fields: npt.NDArray[Any], low: str, high: str, bits: int) -> list[int]:
    joined = fields[low].astype(np.uint64) | fields[high].astype(np.uint64) << np.uint64(bits)
    values: list[int] = joined.tolist()
    return values


def _types(fields: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    types: npt.NDArray[np.uint16] = fields["i_mode"] & np.uint16(stat.S_IFMT(0xFFFF))
    return types


def _sizes(fields: npt.NDArray[Any], geometry: Geometry) -> npt.NDArray[np.uint64]:
    """Return the sizes in bytes.

    Source: `ext4_isize()`, fs/ext4/ext4.h.
    """
    high = fields["i_size_high"].astype(np.uint64)
    if not geometry.incompat & EXT4_FEATURE_INCOMPAT_LARGEDIR:
        high[_types(fields) != stat.S_IFREG] = 0
    sizes: npt.NDArray[np.uint64] = fields["i_size_lo"] | high << np.uint64(32)
    return sizes


def _times(fields: npt.NDArray[Any], name: str) -> list[int]:
    """Return times in ns, which 64 bits do not hold.

    Source: `ext4_decode_extra_time()`, fs/ext4/ext4.h.
    """
    extra = np.where(_has(fields, f"{name}_extra"), fields[f"{name}_extra"], 0).astype(np.int64)
    seconds = fields[name] + ((extra & EXT4_EPOCH_MASK) << 32)
    parts = (extra >> EXT4_EPOCH_BITS).tolist()
    return [whole * _NS + part for whole, part in zip(seconds.tolist(), parts, strict=True)]


def _has(fields: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
    """Tell which inodes are large enough to have this field."""
    large: npt.NDArray[np.bool_] = fields["i_extra_isize"] >= _ENDS[name]
    return large


def _devices(fields: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Return major and minor numbers.

    Source: `ext4_iget()` and `old_decode_dev()`, `new_decode_dev()`, include/linux/kdev_t.h.
    """
    devices = [_NO_DEVICE] * len(fields)
    types = _types(fields)
    places = np.flatnonzero((types == stat.S_IFCHR) | (types == stat.S_IFBLK))
    if len(places):
        bodies = fields["i_block"][places].tobytes()
        rows = np.frombuffer(bodies, dtype=np.uint8).reshape(len(places), -1)
        numbers = rows[:, : _DEVICE.itemsize].copy().view(_DEVICE)[:, 0]
        for place, (old, new) in zip(places.tolist(), numbers.tolist(), strict=True):
            if old:
                devices[place] = (old >> 8 & 0xFF, old & 0xFF)
            else:
                devices[place] = (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)
    return devices


def _faults(
    fields: npt.NDArray[Any],
    rows: Rows,
    sizes: npt.NDArray[np.uint64],
    seeds: list[int],
    geometry: Geometry,
) -> dict[int, str]:
    """Return why which inodes are not to be believed."""
    extra = fields["i_extra_isize"].astype(np.int64)
    room = geometry.inode_bytes - EXT4_GOOD_OLD_INODE_SIZE
    most = np.uint64(_BLOCK_LIMIT * geometry.block_bytes)
    found: dict[int, str] = {}
    for what, mask in (
        ("is of an unknown type", ~np.isin(_types(fields), _TYPES)),
        ("has a size that no file can have", sizes > most),
        ("has fields past its end", (extra > room) | (extra % 4 != 0)),
        ("has a wrong checksum", _is_wrong(fields, rows, seeds, geometry)),
        ("is not in use", fields["i_links_count"] == 0),
    ):
        found.update(dict.fromkeys(np.flatnonzero(mask).tolist(), what))
    return found


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
