"""Mapping trees that no list of devices leads to any more."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.sums import MappingSums
from thinmeta.analyse.recover.trees import Below, Trees
from thinmeta.units import DataBlock, MetadataBlock
from thinmeta.walk.nodes import Keys


@dataclass(frozen=True, slots=True)
class Orphan:
    """A mapping tree, or a part of one, of a device that is not known.

    Attributes:
        root: its highest node that is left.
        height: 0 where that is a leaf.
        nr_leaves: leaves that are left.
        nr_nodes_lost: nodes that were used again or damaged since.
        nr_mappings: mappings that are left.
        first_key: the lowest origin block that it can hold.
        last_key: the highest that it holds.
        time: the newest time of a mapping.
        highest_data_block: the highest that is mapped.
    """

    root: MetadataBlock
    height: int
    nr_leaves: int
    nr_nodes_lost: int
    nr_mappings: int
    first_key: int
    last_key: int
    time: int
    highest_data_block: DataBlock


def find_orphans(
    trees: Trees, sums: MappingSums, candidates: Iterable[Candidate]
) -> tuple[Orphan, ...]:
    """Return the mapping trees that no candidate holds, those of most mappings first."""
    is_orphan = (trees.kinds == BlockClass.MAPPINGS) & (sums.nr_mappings > 0)
    is_orphan &= ~trees.is_child & ~trees.is_device_root
    # A leaf of one number is taken for a device root where there are details to match.
    blocks = trees.nodes.blocks
    paired = np.array([each.mapping_root for each in candidates if each.is_pair], dtype=np.uint64)
    lists = np.searchsorted(blocks, paired)
    lists = lists[trees.nodes.may_hold_roots[lists]]
    is_orphan[lists] = False
    is_orphan[trees.children[trees.starts[lists]]] = False
    places = np.flatnonzero(is_orphan)
    lasts = last_keys(trees)
    places = places[np.lexsort((-places, -sums.time[places], -sums.nr_mappings[places]))]
    return tuple(
        Orphan(*row)
        for row in zip(
            blocks[places].tolist(),
            trees.heights[places].tolist(),
            sums.nr_leaves[places].tolist(),
            sums.nr_lost[places].tolist(),
            sums.nr_mappings[places].tolist(),
            trees.nodes.first[places].tolist(),
            lasts[places].tolist(),
            sums.time[places].tolist(),
            sums.highest[places].tolist(),
            strict=True,
        )
    )


def last_keys(trees: Trees) -> Keys:
    """Return the highest key below each node."""
    lasts = trees.nodes.last.copy()
    for parents in trees.above_leaves(BlockClass.MAPPINGS):
        lasts[parents] = Below(trees, parents).highest(lasts)
    return lasts
