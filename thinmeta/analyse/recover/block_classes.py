"""What a block of a metadata device is by itself: by its checksum, and by its own number."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import BlockBatch, Blocks, Fault
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.checksum import checksums, salts_of
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.node_layout import copied_headers
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR
from thinmeta.schemas.superblock import (
    SUPERBLOCK_CSUM_XOR,
    SUPERBLOCK_LOCATION,
    THIN_SUPERBLOCK_MAGIC,
    Superblock,
)
from thinmeta.units import METADATA_BLOCK_BYTES


class BlockClass(IntEnum):
    """What a block is."""

    SUPERBLOCK = 0
    """The live one, in block 0."""

    HELD_SUPERBLOCK = 1
    """A copy for a metadata snapshot, which may be released since."""

    MAPPINGS = 2
    """A node of a mapping tree: a leaf, or an internal node above such leaves."""

    DEVICE_ROOTS = 3
    """A node of the tree from device ids to mapping trees."""

    DETAILS = 4
    """A node of the tree of device details."""

    BITMAP_INDEX = 5
    """A node of the data space map's tree of index entries."""

    REF_COUNTS = 6
    """A node of a space map's tree of ref counts."""

    INTERNAL = 7
    """An internal node above nothing that is left."""

    INDEX = 8
    """The index block of the metadata space map."""

    BITMAP = 9
    """A bitmap of a space map."""

    TORN = 10
    """Any of these with a right checksum, but written for another place."""

    BAD = 11
    """Written for this place, but its checksum is wrong or it contradicts itself."""

    UNREADABLE = 12
    """It cannot be read."""

    ZERO = 13
    """Zeros: never used, or wiped."""

    UNKNOWN = 14
    """None of these."""


Classes = npt.NDArray[np.uint8]

NODE_CLASSES = range(BlockClass.MAPPINGS, BlockClass.INTERNAL + 1)
"""The kinds of B-tree nodes; an internal node has the kind of its leaves, if they are known."""

_SALTS = {
    SUPERBLOCK_CSUM_XOR: BlockClass.SUPERBLOCK,
    BTREE_CSUM_XOR: BlockClass.INTERNAL,
    INDEX_CSUM_XOR: BlockClass.INDEX,
    BITMAP_CSUM_XOR: BlockClass.BITMAP,
}

_SUPERBLOCK = dtype_of(Superblock)

_OF_ZEROS = int(checksums(np.zeros((1, METADATA_BLOCK_BYTES), dtype=np.uint8))[0])


def classify(blocks: Blocks, batch: BlockBatch) -> Classes:
    """Tell blocks apart by their checksums; all nodes are `INTERNAL` for now.

    All structures keep their own block number at the same place. A checksum of zeros
    is taken for a block of zeros: what is in such a block matters to nobody.

    Args:
        blocks: their numbers, shape `(n,)`.
        batch: what was read there.
    """
    headers = copied_headers(batch.rows)
    salts = salts_of(batch.rows)
    is_own = headers["blocknr"] == blocks
    classes = np.full(len(blocks), BlockClass.UNKNOWN, dtype=np.uint8)
    classes[is_own & (blocks != 0)] = BlockClass.BAD
    for salt, block_class in _SALTS.items():
        classes[salts == salt] = block_class
    classes[(classes < BlockClass.TORN) & ~is_own] = BlockClass.TORN
    classes[(salts == _OF_ZEROS) & (headers["csum"] == 0)] = BlockClass.ZERO
    classes[batch.faults != Fault.NONE] = BlockClass.UNREADABLE
    found = np.flatnonzero(classes == BlockClass.SUPERBLOCK)
    fields = batch.rows[found, : _SUPERBLOCK.itemsize].view(_SUPERBLOCK)[:, 0]
    is_live = blocks[found] == SUPERBLOCK_LOCATION
    superblocks = np.where(is_live, BlockClass.SUPERBLOCK, BlockClass.HELD_SUPERBLOCK)
    is_thin = fields["magic"] == THIN_SUPERBLOCK_MAGIC
    classes[found] = np.where(is_thin, superblocks, BlockClass.BAD)
    return classes
