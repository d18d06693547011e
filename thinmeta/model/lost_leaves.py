"""Leaves of mapping trees that cannot be believed: which of a tree's keys they hide."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.device.blocks import Blocks
from thinmeta.errors import Damage
from thinmeta.schemas import block_time
from thinmeta.units import OnProgress
from thinmeta.walk.forest import Forest
from thinmeta.walk.leaves import damage_of, leaf_pieces
from thinmeta.walk.nodes import MAPPINGS, REACHED_TWICE, Codes, Mask, Metadata
from thinmeta.walk.ragged import Places, nr_marked_before


class LostRange(NamedTuple):
    """Origin blocks that no sound node covers, with the bounds that the parents give.

    Attributes:
        first_key: the first of them.
        last_key: the last, inclusive; `LAST_KEY` where nothing bounds them.
        damage: of the first bad node that should have covered them.
        nr_nodes: how many bad nodes should have.
    """

    first_key: int
    last_key: int
    damage: Damage
    nr_nodes: int


class CountedLeaves(NamedTuple):
    """By place among the leaves: what is wrong, mappings within and past the data device.

    `newest` is the newest time of a mapping, at the place where a piece of leaves begins.
    """

    codes: Codes
    within: Places
    beyond: Places
    newest: Places


def count_leaves(
    source: Metadata, forest: Forest, nr_data_blocks: int, on_progress: OnProgress | None
) -> CountedLeaves:
    """Read all leaves of a forest of mapping trees, and count what they hold."""
    leaves = forest.levels[0].nodes
    counted = CountedLeaves(
        np.zeros(len(leaves), dtype=np.uint8), *np.zeros((3, len(leaves)), dtype=np.int64)
    )
    for piece in leaf_pieces(source, leaves, MAPPINGS, on_progress):
        places, entries = piece.places, piece.entries
        past = block_time.data_block(entries.values) >= nr_data_blocks
        counted.codes[places] = piece.codes
        counted.beyond[places] = np.diff(nr_marked_before(past, entries.starts))
        counted.within[places] = np.diff(entries.starts) - counted.beyond[places]
        if len(entries.values):
            counted.newest[places[0]] = int(block_time.time(entries.values).max())
    return counted


def lost_ranges(forest: Forest, counted: CountedLeaves) -> Iterator[tuple[int, LostRange]]:
    """Return the key ranges that trees have lost, tree by tree in key order.

    Only trees that have bad leaves are walked, small ones together.
    """
    is_bad = counted.codes != 0
    for some in forest.few_at_once(np.flatnonzero(forest.totals(is_bad.astype(np.int64)))):
        yield from _ranges_of(some, forest, counted)


def _ranges_of(
    some: Places, forest: Forest, counted: CountedLeaves
) -> Iterator[tuple[int, LostRange]]:
    places, owners = forest.leaf_places_of(some)
    leaves, codes = forest.levels[0].nodes, counted.codes[places]
    is_twice = _is_repeated(leaves.blocks[places], owners)
    codes[is_twice & (codes != 0) & (leaves.codes[places] == 0)] = REACHED_TWICE
    is_bad = codes != 0
    goes_on = np.zeros(len(places), dtype=np.bool_)
    goes_on[1:] = is_bad[1:] & is_bad[:-1] & (owners[1:] == owners[:-1])
    begins = np.flatnonzero(is_bad & ~goes_on)
    ends = np.flatnonzero(is_bad & ~np.append(goes_on[1:], False))
    firsts = leaves[places[begins]]
    last_keys = leaves.last[places[ends]].tolist()
    numbers = (ends - begins + 1).tolist()
    for place, tree in enumerate(some[owners[begins]].tolist()):
        damage = damage_of(firsts, codes[begins], place, MAPPINGS)
        first_key = int(firsts.low[place])
        yield tree, LostRange(first_key, last_keys[place], damage, numbers[place])


def _is_repeated(blocks: Blocks, owners: Places) -> Mask:
    """Tell which blocks their owner had before; an owner's blocks follow each other."""
    order = np.lexsort((owners, blocks))
    ascending, ascending_owners = blocks[order], owners[order]
    repeated = np.zeros(len(blocks), dtype=np.bool_)
    repeated[order[1:]] = (ascending[1:] == ascending[:-1]) & (
        ascending_owners[1:] == ascending_owners[:-1]
    )
    return repeated
