"""Which blocks of ext2, ext3 or ext4 are free, by the bits of each block group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.schemas.ext4 import (
    EXT4_BG_BLOCK_UNINIT,
    EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
)

_HALF = 0xFFFF


def free_blocks(blocks: BlockGroups, group: int) -> npt.NDArray[np.int64]:
    """Return the free blocks of a group, ascending.

    Raises:
        FileError: its descriptor or its bits cannot be read or believed.

    Source: `ext4_read_block_bitmap_nowait()` and `ext4_init_block_bitmap()`, fs/ext4/balloc.c.
    """
    geometry = blocks.geometry
    fields = geometry.superblock
    descriptor = blocks.descriptors.fields(group)
    first: int = fields.s_first_data_block + group * fields.s_blocks_per_group
    count = min(fields.s_blocks_per_group, geometry.nr_blocks - first)
    has_flags = geometry.has_checksums or geometry.ro_compat & EXT4_FEATURE_RO_COMPAT_GDT_CSUM
    if has_flags and descriptor["bg_flags"] & EXT4_BG_BLOCK_UNINIT:
        is_free = np.ones(count, dtype=np.bool_)
        for begin, length in _own_blocks(blocks, group, descriptor):
            is_free[max(0, begin - first) : max(0, begin + length - first)] = False
        return np.flatnonzero(is_free) + first
    place = _wide(descriptor, "bg_block_bitmap")
    if not fields.s_first_data_block < place < blocks.end:
        raise FileError(f"block group {group} has its bits in block {place}, where none can be")
    data = blocks.read(place)
    per_bit = 1 << max(0, fields.s_log_cluster_size - fields.s_log_block_size)
    if geometry.has_checksums:
        _refuse_wrong_checksum(blocks, group, descriptor, data[: fields.s_clusters_per_group // 8])
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    is_free = np.repeat(bits == 0, per_bit)[:count]
    return np.flatnonzero(is_free) + first


def _refuse_wrong_checksum(
    blocks: BlockGroups, group: int, descriptor: dict[str, Any], bits: bytes
) -> None:
    """Hold the bits against their checksum.

    Source: `ext4_block_bitmap_csum_verify()`, fs/ext4/bitmap.c.
    """
    found = stored(going_on(bits, blocks.geometry.seed))
    wanted = descriptor["bg_block_bitmap_csum_lo"]
    if "bg_block_bitmap_csum_hi" in descriptor:
        wanted |= descriptor["bg_block_bitmap_csum_hi"] << 16
    else:
        found &= _HALF
    if found != wanted:
        raise FileError(f"the checksum of the bits of block group {group} is wrong")


def _own_blocks(
    blocks: BlockGroups, group: int, descriptor: dict[str, Any]
) -> Iterator[tuple[int, int]]:
    """Return what a group without bits has in use: first block and length of each part."""
    geometry = blocks.geometry
    yield blocks.descriptors.beginning(group)
    yield _wide(descriptor, "bg_block_bitmap"), 1
    yield _wide(descriptor, "bg_inode_bitmap"), 1
    inodes = geometry.superblock.s_inodes_per_group * geometry.inode_bytes
    yield _wide(descriptor, "bg_inode_table"), -(-inodes // geometry.block_bytes)


def _wide(descriptor: dict[str, Any], name: str) -> int:
    return int(descriptor[f"{name}_lo"] | descriptor.get(f"{name}_hi", 0) << 32)
