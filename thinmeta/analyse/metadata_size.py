"""How much metadata a pool needs, and how much metadata of a given size can hold.

The rule is thin_metadata_size's, found by running 1.1.0 and 0.9.0: a block for each 126 data
blocks, for leaves are half full after random writes; one for each device; one superblock.
"""

from typing import NamedTuple

from thinmeta.errors import InputError
from thinmeta.units import (
    DATA_BLOCK_SECTORS,
    MAX_METADATA_BLOCKS,
    METADATA_BLOCK_BYTES,
    SECTOR_BYTES,
)

_MAPPINGS_OF_A_LEAF = 252
_MAPPINGS_RECKONED = _MAPPINGS_OF_A_LEAF // 2
_SUPERBLOCKS = 1


def nr_metadata_blocks(pool_bytes: int, block_bytes: int, nr_devices: int) -> int:
    """Return the blocks of metadata that a pool needs, as thin_metadata_size 1.1.0 reckons.

    >>> nr_metadata_blocks(1 << 40, 64 << 10, 1000)
    134154

    Args:
        pool_bytes: size of the data device.
        block_bytes: size of a data block.
        nr_devices: devices and snapshots.

    Raises:
        InputError: no pool has such blocks, or the pool is smaller than one.
    """
    _refuse_block(block_bytes)
    if pool_bytes < block_bytes:
        raise InputError("the pool must be as large as a data block at least")
    nr_leaves = -(-(pool_bytes // block_bytes) // _MAPPINGS_RECKONED)
    return min(_SUPERBLOCKS + nr_leaves + nr_devices, MAX_METADATA_BLOCKS)


def nr_metadata_blocks_0_9(pool_bytes: int, block_bytes: int, nr_devices: int) -> int:
    """Return what thin_metadata_size 0.9.0 reckons, which rounds down and knows no limit.

    >>> nr_metadata_blocks_0_9(1 << 40, 64 << 10, 1000)
    134153

    Args:
        pool_bytes: size of the data device.
        block_bytes: size of a data block.
        nr_devices: devices and snapshots.

    Raises:
        InputError: it refuses this.
    """
    pool, block = pool_bytes // SECTOR_BYTES, block_bytes // SECTOR_BYTES  # bytes past are dropped
    if not block or block & (block - 1):
        raise InputError("a data block must be a sector times a power of 2")
    if pool <= block:
        raise InputError("the pool must be larger than a data block")
    if not nr_devices:
        raise InputError("there must be a device")
    return _SUPERBLOCKS + pool // block // _MAPPINGS_RECKONED + nr_devices


class Capacity(NamedTuple):
    """What metadata can hold.

    Attributes:
        nr_blocks: blocks of metadata that are of use.
        nr_mappings: of all devices, where leaves are half full; shared ones count once.
        nr_mappings_at_most: where all leaves are full, as after a restore.
    """

    nr_blocks: int
    nr_mappings: int
    nr_mappings_at_most: int


def capacity(metadata_bytes: int, nr_devices: int) -> Capacity:
    """Return what metadata of a size can hold besides the trees of so many devices.

    It turns the rule of `nr_metadata_blocks` round; space maps take a little more.

    >>> capacity(16 << 20, 10)
    Capacity(nr_blocks=4096, nr_mappings=514710, nr_mappings_at_most=1029420)

    Args:
        metadata_bytes: the size of the metadata device.
        nr_devices: devices and snapshots.
    """
    nr_blocks = min(metadata_bytes // METADATA_BLOCK_BYTES, MAX_METADATA_BLOCKS)
    nr_leaves = max(nr_blocks - _SUPERBLOCKS - nr_devices, 0)
    return Capacity(nr_blocks, nr_leaves * _MAPPINGS_RECKONED, nr_leaves * _MAPPINGS_OF_A_LEAF)


def _refuse_block(block_bytes: int) -> None:
    smallest = DATA_BLOCK_SECTORS.start * SECTOR_BYTES
    if not block_bytes or block_bytes % smallest:
        raise InputError("a data block must be a multiple of 64 KiB")
    if block_bytes > (DATA_BLOCK_SECTORS.stop - 1) * SECTOR_BYTES:
        raise InputError("a data block is 1 GiB at most")
