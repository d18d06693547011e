"""Where each group of blocks says what is its own: the group descriptors."""

from typing import Any

import fastcrc
import numpy as np

from thinmeta.files.ext.geometry import Geometry
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import dtype_of, field_of, fields_at
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


class GroupDescriptors:
    """Reads descriptors, a block of them at once."""

    def __init__(self, cache: Cache, geometry: Geometry) -> None:
        """Read nothing yet."""
        self._cache = cache
        self._geometry = geometry

    def read(self, part: int) -> list[tuple[int, bool]]:
        """Return of each group of a block of descriptors its table, and whether it is believed.

        Args:
            part: the block's number, of those with descriptors.

        Raises:
            FileError: it cannot be had.
        """
        geometry = self._geometry
        size = geometry.descriptor_bytes
        begin = self._descriptors_at(part) * geometry.block_bytes
        data = self._cache.read(begin, geometry.block_bytes)
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

    def fields(self, group: int) -> dict[str, Any]:
        """Return the fields of a group's descriptor.

        Raises:
            FileError: it cannot be had, or believed.
        """
        geometry = self._geometry
        part, place = divmod(group, geometry.block_bytes // geometry.descriptor_bytes)
        if not self.read(part)[place][1]:
            raise FileError(f"the checksum of the descriptor of block group {group} is wrong")
        is_wide = geometry.incompat & EXT4_FEATURE_INCOMPAT_64BIT
        layout = _DESCRIPTOR_64 if is_wide else _DESCRIPTOR
        begin = self._descriptors_at(part) * geometry.block_bytes
        return fields_at(
            layout, self._cache.read(begin, geometry.block_bytes), place * geometry.descriptor_bytes
        )

    def beginning(self, group: int) -> tuple[int, int]:
        """Return what a group begins with, in blocks: copies of superblock and descriptors.

        Source: `ext4_num_base_meta_blocks()`, fs/ext4/balloc.c.
        """
        geometry = self._geometry
        fields = geometry.superblock
        per_block = geometry.block_bytes // geometry.descriptor_bytes
        is_apart = bool(geometry.incompat & EXT4_FEATURE_INCOMPAT_META_BG)
        has_superblock = self._has_superblock(group)
        length = int(has_superblock)
        if is_apart and group >= fields.s_first_meta_bg * per_block:
            length += group % per_block in (0, 1, per_block - 1)
        elif has_superblock:
            nr_blocks = fields.s_first_meta_bg if is_apart else -(-geometry.nr_groups // per_block)
            length += nr_blocks + fields.s_reserved_gdt_blocks
        return fields.s_first_data_block + group * fields.s_blocks_per_group, length

    def _checksum(self, number: bytes, descriptor: bytes) -> int | None:
        """Return the checksum of a descriptor; None if it has none.

        Source: `ext4_group_desc_csum()`, fs/ext4/super.c.
        """
        geometry = self._geometry
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
        geometry = self._geometry
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
        geometry = self._geometry
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
