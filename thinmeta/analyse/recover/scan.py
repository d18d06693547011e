"""All that is left on a metadata device: blocks by class, older states, lost mapping trees."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from thinmeta.analyse.recover.block_classes import NODE_CLASSES, BlockClass, Classes
from thinmeta.analyse.recover.candidates import Candidate, Finder
from thinmeta.analyse.recover.device_lists import DeviceLists, FoundDevice
from thinmeta.analyse.recover.orphans import Orphan, find_orphans
from thinmeta.analyse.recover.sums import sums_of_details, sums_of_mappings, sums_of_roots
from thinmeta.analyse.recover.survey import Survey, survey
from thinmeta.analyse.recover.trees import Trees, find_trees
from thinmeta.device.blocks import BlockDevice
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import MetadataBlock, OnProgress

_MAX_SUPERBLOCKS = 256
"""Copies of the superblock that are read: a pool has one, and one for a snapshot."""


@dataclass(frozen=True, slots=True)
class NodeCount:
    """How many nodes there are of a kind and a height; leaves have height 0."""

    kind: BlockClass
    height: int
    nr_blocks: int


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What one pass over a metadata device found.

    Attributes:
        classes: `BlockClass` of each block, shape `(nr_blocks,)`, dtype uint8.
        node_counts: nodes by kind and height.
        superblocks: sound copies, the live one first, then the metadata snapshot that it
            names, then by block.
        candidates: states of the pool, best first.
        orphans: mapping trees that no candidate holds, largest first.
        lists: the nodes that list devices, and with them all trees.
    """

    classes: Classes
    node_counts: tuple[NodeCount, ...]
    superblocks: tuple[Superblock, ...]
    candidates: tuple[Candidate, ...]
    orphans: tuple[Orphan, ...]
    lists: DeviceLists = field(repr=False)

    def devices(self, candidate: Candidate) -> tuple[FoundDevice, ...]:
        """Return the devices of a candidate, by ascending id."""
        return self.lists.devices(candidate)

    @property
    def live_superblock(self) -> Superblock | None:
        """The superblock in block 0; None if it is not sound."""
        return next(
            (each for each in self.superblocks if each.blocknr == SUPERBLOCK_LOCATION), None
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing shows that this was metadata once."""
        return bool((self.classes >= BlockClass.ZERO).all())

    def count(self, block_class: BlockClass) -> int:
        """Return how many blocks are of a class."""
        return int(np.count_nonzero(self.classes == block_class))


def scan(device: BlockDevice, on_progress: OnProgress = lambda *_: None) -> Scan:
    """Read a metadata device once and find what is left on it.

    Args:
        device: the metadata; no superblock is needed.
        on_progress: told of blocks that were read.
    """
    return scan_of(device, survey(device, on_progress))


def scan_of(device: BlockDevice, found: Survey) -> Scan:
    """Find what is left on a metadata device, given what one pass over it found."""
    trees = find_trees(found)
    of_mappings = sums_of_mappings(trees)
    roots, of_devices = sums_of_roots(trees, of_mappings)
    details = sums_of_details(trees, found.details)
    superblocks = _superblocks(device, found.classes)
    candidates = Finder(trees, roots, of_devices, details).candidates(superblocks)
    classes = found.classes
    classes[trees.nodes.blocks.astype(np.int64)] = trees.kinds
    return Scan(
        classes,
        tuple(_node_counts(trees)),
        superblocks,
        candidates,
        find_orphans(trees, of_mappings, candidates),
        DeviceLists.of(trees, of_mappings, found.details),
    )


def _node_counts(trees: Trees) -> Iterator[NodeCount]:
    for kind in NODE_CLASSES:
        heights = trees.heights[trees.kinds == kind]
        counts = np.bincount(np.maximum(heights, 0))
        for height in np.flatnonzero(counts).tolist():
            yield NodeCount(BlockClass(kind), height, int(counts[height]))


def _superblocks(device: BlockDevice, classes: Classes) -> tuple[Superblock, ...]:
    found = []
    blocks = np.flatnonzero(classes <= BlockClass.HELD_SUPERBLOCK)[:_MAX_SUPERBLOCKS]
    for block in blocks.tolist():
        try:
            found.append(read_superblock(device, MetadataBlock(block), ignore_unsupported=True))
        except DamagedMetadataError:
            continue  # it was sound when it was read before
    held_root = found[0].held_root if found and found[0].blocknr == SUPERBLOCK_LOCATION else 0
    order = {SUPERBLOCK_LOCATION: 0, held_root: 1}
    return tuple(sorted(found, key=lambda each: order.get(each.blocknr, 2)))
