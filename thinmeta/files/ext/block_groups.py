"""Blocks by their numbers, and where each group of them has its inodes."""

from functools import lru_cache
from typing import Any

import fastcrc
import numpy as np

from thinmeta.files.ext.geometry import Geometry, read_geometry
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.ext4 import (
    EXT4_FEATURE_COMPAT_SPARSE_SUPER2,
    EXT4_FEATURE_INCOMPAT_64BIT,
    EXT4_FEATURE_INCOMPAT_META_BG,
    EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
    EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER,
    EXT4_SUPERBLOCK_OFFSET,
    Ext4GroupDescriptor,
    Ext4GroupDescriptor64,
    Ext4GroupNumber,
)

_DESCRIPTOR = dtype_of(Ext4GroupDescriptor)
_DESCRIPTOR_64 = dtype_of(Ext4GroupDescriptor64)
_NUMBER = dtype_of(Ext4GroupNumber)
_CHECKSUM_AT, _CHECKSUM = field_of(Ext4GroupDescriptor, "bg_checksum")
_CHECKSUM_END = _CHECKSUM_AT + _CHECKSUM.sizeof()

_crc16: Any = fastcrc.crc16.modbus


class BlockGroups:
    """The blocks of a file system.

    Attributes:
        cache: what reads them.
        geometry: how many there are, and how large.
        end: how many of them are on the volume.
    """

    def __init__(self, cache: Cache) -> None:
        """Read the superblock; see `read_geometry()` for what it raises."""
        self.cache = cache
        self.geometry: Geometry = read_geometry(cache)
        self.end = min(self.geometry.nr_blocks, cache.size // self.geometry.block_bytes)
        self._tables = lru_cache(maxsize=4096)(self._read_descriptors)

    def read(self, block: int) -> bytes:
        """Return a block.

        Raises:
            FileError: it cannot be had.
        """
        size = self.geometry.block_bytes
        return self.cache.read(block * size, size)

    def inode_table(self, group: int) -> int:
        """Return at which block the inodes of a group begin.

        Raises:
            FileError: the group's descriptor cannot be read or believed.
        """
        geometry = self.geometry
        part, place = divmod(group, geometry.block_bytes // geometry.descriptor_bytes)
        table, is_right = self._tables(part)[place]
        if not is_right:
            raise FileError(f"the checksum of the descriptor of block group {group} is wrong")
        inodes = geometry.superblock.s_inodes_per_group
        length = -(-inodes * geometry.inode_bytes // geometry.block_bytes)
        if not geometry.superblock.s_first_data_block < table <= geometry.nr_blocks - length:
            raise FileError(
                f"block group {group} has its inodes at block {table}, where none can be"
            )
        return int(table)

    def _read_descriptors(self, part: int) -> list[tuple[int, bool]]:
        """Return of each group of a block of descriptors its table, and whether it is believed."""
        geometry = self.geometry
        size = geometry.descriptor_bytes
        data = self.read(self._descriptors_at(part))
        rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
        is_wide = geometry.incompat & EXT4_FEATURE_INCOMPAT_64BIT
        layout = _DESCRIPTOR_64 if is_wide else _DESCRIPTOR
        fields = rows[:, : layout.itemsize].copy().view(layout)[:, 0]
        tables = fields["bg_inode_table_lo"].astype(np.uint64)
        if is_wide:
            tables |= fields["bg_inode_table_hi"].astype(np.uint64) << np.uint64(32)
        first = part * len(rows)
        numbers = np.arange(first, first + len(rows), dtype=_NUMBER)
        sums = [
            self._checksum(number.tobytes(), data[at : at + size])
            for number, at in zip(numbers, range(0, len(data), size), strict=True)
        ]
        right = [
            wanted is None or wanted == found
            for wanted, found in zip(sums, fields["bg_checksum"].tolist(), strict=True)
        ]
        return list(zip(tables.tolist(), right, strict=True))

    def _checksum(self, number: bytes, descriptor: bytes) -> int | None:
        """Return the checksum of a descriptor; None if it has none.

        Source: `ext4_group_desc_csum()`, fs/ext4/super.c.
        """
        geometry = self.geometry
        before, after = descriptor[:_CHECKSUM_AT], descriptor[_CHECKSUM_END:]
        if geometry.has_checksums:
            zeros = bytes(_CHECKSUM_END - _CHECKSUM_AT)
            return stored(going_on(number + before + zeros + after, geometry.seed)) & 0xFFFF
        if geometry.ro_compat & EXT4_FEATURE_RO_COMPAT_GDT_CSUM:
            return int(_crc16(geometry.superblock.s_uuid + number + before + after))
        return None

    def _descriptors_at(self, part: int) -> int:
        """Return where a block of descriptors is.

        Source: `descriptor_loc()`, fs/ext4/super.c.
        """
        geometry = self.geometry
        fields = geometry.superblock
        superblock_at = EXT4_SUPERBLOCK_OFFSET // geometry.block_bytes
        is_apart = geometry.incompat & EXT4_FEATURE_INCOMPAT_META_BG
        if not is_apart or part < fields.s_first_meta_bg:
            return int(superblock_at + 1 + part)
        group = part * (geometry.block_bytes // geometry.descriptor_bytes)
        block = group * fields.s_blocks_per_group + fields.s_first_data_block
        after = int(self._has_superblock(group))
        if not group and superblock_at > fields.s_first_data_block:
            after += 1  # blocks of 1 KiB, counted from 0: bigalloc
        return int(block + after)

    def _has_superblock(self, group: int) -> bool:
        """Tell whether a group begins with a copy of the superblock.

        Source: `ext4_bg_has_super()`, fs/ext4/balloc.c.
        """
        geometry = self.geometry
        if not group:
            return True
        if geometry.compat & EXT4_FEATURE_COMPAT_SPARSE_SUPER2:
            return group in geometry.superblock.s_backup_bgs
        if group == 1 or not geometry.ro_compat & EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER:
            return True
        return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1
