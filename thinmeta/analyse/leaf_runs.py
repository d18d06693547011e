"""The runs of leaves turned towards the data device, and how they go on from leaf to leaf."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from thinmeta.schemas import block_time
from thinmeta.units import OnProgress
from thinmeta.walk.forest import Forest
from thinmeta.walk.leaves import leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Codes, Entries, Keys, Mask, Metadata
from thinmeta.walk.ragged import Places, starts_of
from thinmeta.walk.runs import Runs, join

Inside = Callable[[Keys], Mask]
"""Given block-times, which of them are of data blocks that are asked for."""


class LeafRuns(NamedTuple):
    """What each leaf maps of the data blocks that are asked for; columns of shape `(n,)`.

    Attributes:
        codes: index of `REASONS`; a leaf with a code maps nothing.
        nr_runs: its runs, as if no leaf came before or after; times do not matter.
        lowest, highest: its data blocks.
        first_key, first_data: its first mapping.
        last_key, last_data: its last one.
        head: blocks of its first run.
    """

    codes: Codes
    nr_runs: Places
    lowest: Keys
    highest: Keys
    first_key: Keys
    first_data: Keys
    last_key: Keys
    last_data: Keys
    head: Places


def runs_of(entries: Entries, is_inside: Mask) -> tuple[Runs, Places]:
    """Return the runs of some leaves, each leaf by itself, and where those of each begin.

    Args:
        entries: of the leaves.
        is_inside: which of the entries count.
    """
    keys, values, kept = entries.keys, entries.values, entries.starts
    if not is_inside.all():
        inside = np.flatnonzero(is_inside)
        keys, values = keys[inside], values[inside]
        kept = np.searchsorted(inside, kept)
    runs, places = join(keys, block_time.without_time(values), kept[:-1])
    return runs, np.searchsorted(places, kept)


def read_leaf_runs(
    source: Metadata, leaves: NodeList, inside: Inside, on_progress: OnProgress | None
) -> LeafRuns:
    """Read leaves, each once, a piece at a time."""
    nr_leaves = len(leaves)
    codes = np.zeros(nr_leaves, dtype=np.uint8)
    nr_runs, head = np.zeros((2, nr_leaves), dtype=np.int64)
    lowest, highest, first_key, first_data, last_key, last_data = np.zeros(
        (6, nr_leaves), dtype=np.uint64
    )
    for piece in leaf_pieces(source, leaves, MAPPINGS, on_progress):
        codes[piece.places] = piece.codes
        runs, starts = runs_of(piece.entries, inside(piece.entries.values))
        counts = np.diff(starts)
        filled = np.flatnonzero(counts)
        first, last = starts[filled], starts[filled + 1] - 1
        at = piece.places[filled]
        nr_runs[at] = counts[filled]
        if len(filled):
            ends = runs.data_begin + runs.length - np.uint64(1)
            lowest[at] = np.minimum.reduceat(runs.data_begin, first)
            highest[at] = np.maximum.reduceat(ends, first)
            first_key[at], first_data[at] = runs.origin_begin[first], runs.data_begin[first]
            last_key[at] = runs.origin_begin[last] + runs.length[last] - np.uint64(1)
            last_data[at] = ends[last]
            head[at] = runs.length[first]
    return LeafRuns(
        codes, nr_runs, lowest, highest, first_key, first_data, last_key, last_data, head
    )


class LeafSequence(NamedTuple):
    """The leaves of some trees that map anything, tree by tree in key order; shape `(n,)`.

    Attributes:
        trees: the element of the trees that has it.
        places: the leaf.
        goes_on: whether its first run continues that of the leaf before.
        more: blocks by which the leaves behind continue its last run.
    """

    trees: Places
    places: Places
    goes_on: Mask
    more: Places


def in_sequence(forest: Forest, trees: Places, leaves: LeafRuns) -> LeafSequence:
    """Return the leaves of some trees, and how their runs go on from one to the next."""
    places, owners = forest.leaf_places_of(trees)
    filled = leaves.nr_runs[places] > 0
    places, owners = places[filled], owners[filled]
    goes_on = np.zeros(len(places), dtype=np.bool_)
    before, after = places[:-1], places[1:]
    goes_on[1:] = (
        (owners[1:] == owners[:-1])
        & (leaves.first_key[after] - leaves.last_key[before] == 1)
        & (leaves.first_data[after] - leaves.last_data[before] == 1)
    )
    is_continued = np.append(goes_on[1:], False)[: len(places)]
    # The last run of a leaf takes the heads of those behind it, up to one that ends it.
    ends = np.flatnonzero(~(is_continued & (leaves.nr_runs[places] == 1)))
    heads = starts_of(leaves.head[places])
    more = np.zeros(len(places), dtype=np.int64)
    at = np.flatnonzero(is_continued)
    more[at] = heads[ends[np.searchsorted(ends, at + 1)] + 1] - heads[at + 1]
    return LeafSequence(owners, places, goes_on, more)
