"""Who refers to blocks: nodes, the index of the metadata space map, and superblocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass, Classes
from thinmeta.analyse.recover.node_facts import Counts
from thinmeta.device.blocks import BlockDevice, Blocks
from thinmeta.model.superblock import Superblock
from thinmeta.schemas.columns import METADATA_INDEX
from thinmeta.units import MetadataBlock
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import BITMAP_INDEX, Keys, Metadata, checked_entries, read_nodes

_READ_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class BitmapLinks(Columnar):
    """Entries that lead to bitmaps; every array has shape `(n,)`.

    Attributes:
        parents: the leaf of the data space map's index, or the metadata space map's index.
        entries: which entry of it.
        keys: which bitmap of the space map it is, dtype uint64.
        targets: the block where it says that the bitmap stands, dtype uint64.
        of_metadata: whether it is a bitmap of the metadata space map.
    """

    parents: Blocks
    entries: Counts
    keys: Keys
    targets: Blocks
    of_metadata: npt.NDArray[np.bool_]


class Pointer(NamedTuple):
    """A field of a superblock that names a block.

    Attributes:
        superblock: where the superblock stands.
        field: its field.
        target: the block that it names.
        expected: what that should be.
    """

    superblock: MetadataBlock
    field: str
    target: MetadataBlock
    expected: BlockClass


def pointers_of(superblocks: Sequence[Superblock]) -> Iterator[Pointer]:
    """Return what superblocks name; fields are called as the kernel calls them."""
    for each in superblocks:
        named = (
            ("held_root", each.held_root, BlockClass.HELD_SUPERBLOCK),
            ("data_mapping_root", each.data_mapping_root, BlockClass.DEVICE_ROOTS),
            ("device_details_root", each.device_details_root, BlockClass.DETAILS),
            (
                "data_space_map_root.bitmap_root",
                each.data_space_map.bitmap_root,
                BlockClass.BITMAP_INDEX,
            ),
            (
                "data_space_map_root.ref_count_root",
                each.data_space_map.ref_count_root,
                BlockClass.REF_COUNTS,
            ),
            (
                "metadata_space_map_root.bitmap_root",
                each.metadata_space_map.bitmap_root,
                BlockClass.INDEX,
            ),
            (
                "metadata_space_map_root.ref_count_root",
                each.metadata_space_map.ref_count_root,
                BlockClass.REF_COUNTS,
            ),
        )
        for name, target, expected in named:
            if target:  # block 0 is the superblock: a 0 names nothing
                yield Pointer(each.blocknr, name, target, expected)


def bitmap_links(device: BlockDevice, classes: Classes, index_leaves: Blocks) -> BitmapLinks:
    """Read all that leads to bitmaps.

    Args:
        device: the metadata.
        classes: of each block.
        index_leaves: leaves of the data space map's index, now or before.
    """
    none = np.empty(0, dtype=np.uint64)
    no_numbers = np.empty(0, dtype=np.int64)
    parts = [BitmapLinks(none, no_numbers, none, none, np.empty(0, dtype=np.bool_))]
    indexes = np.flatnonzero(classes == BlockClass.INDEX).astype(np.uint64)
    parts += (_of_leaves(device, blocks) for blocks in _pieces(index_leaves))
    parts += (_of_indexes(device, blocks) for blocks in _pieces(indexes))
    return BitmapLinks.joined(parts)


def _pieces(blocks: Blocks) -> Iterator[Blocks]:
    for begin in range(0, len(blocks), _READ_AT_ONCE):
        yield blocks[begin : begin + _READ_AT_ONCE]


def _of_leaves(device: BlockDevice, blocks: Blocks) -> BitmapLinks:
    nodes, codes = read_nodes(
        Metadata(device, device.nr_blocks), blocks, BITMAP_INDEX, internal=False
    )
    low, last = np.zeros(len(blocks), dtype=np.uint64), np.full(len(blocks), 2**64 - 1, np.uint64)
    found = checked_entries(nodes, codes, low, last, BITMAP_INDEX.values)
    counts = np.diff(found.starts)
    return BitmapLinks(
        np.repeat(blocks, counts),
        np.arange(len(found.keys), dtype=np.int64) - np.repeat(found.starts[:-1], counts),
        found.keys,
        np.ascontiguousarray(found.values["blocknr"]),
        np.zeros(len(found.keys), dtype=np.bool_),
    )


def _of_indexes(device: BlockDevice, blocks: Blocks) -> BitmapLinks:
    targets = device.read(blocks).rows.view(METADATA_INDEX)["index"][:, 0]["blocknr"]
    places, entries = np.nonzero(targets)
    return BitmapLinks(
        blocks[places],
        entries,
        entries.astype(np.uint64),
        targets[places, entries],
        np.ones(len(entries), dtype=np.bool_),
    )
