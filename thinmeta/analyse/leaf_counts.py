"""What each leaf of a forest of mapping trees holds, in numbers: the parts of a device's sums.

A leaf is read once, and once more where data blocks turn out to be mapped repeatedly.
The memory is a few numbers a leaf and two bits a data block.
"""

from collections.abc import Iterator
from enum import Flag, auto
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.seen_blocks import SeenBlocks
from thinmeta.schemas import block_time
from thinmeta.units import OnProgress
from thinmeta.walk.forest import Forest
from thinmeta.walk.leaves import LeafPiece, leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Codes, Entries, Keys, Mask, Metadata
from thinmeta.walk.ragged import Places, is_new, nr_marked_before, ragged, starts_of
from thinmeta.walk.runs import join
from thinmeta.walk.shared_runs import occurrences_by_block


class Ask(Flag):
    """What to count besides mappings."""

    NOTHING = 0
    EXCLUSIVE = auto()
    TIMES = auto()
    RUNS = auto()
    ALL = EXCLUSIVE | TIMES | RUNS


class LeafCounts(NamedTuple):
    """Counts by leaf: all but `times` have one element for each place among a forest's leaves.

    Attributes:
        codes: index of `REASONS`; a leaf with a code counts nothing.
        mapped: its mappings.
        exclusive: those whose data block is mapped nowhere else.
        runs: its runs, as if no leaf came before or after.
        first_key, first_value, last_key, last_value: its first and its last mapping.
        times: how many mappings have which time.
    """

    codes: Codes
    mapped: Places
    exclusive: Places
    runs: Places
    first_key: Keys
    first_value: Keys
    last_key: Keys
    last_value: Keys
    times: "Times"

    def nr_runs(self, leaves: Places, owners: Places, nr_trees: int) -> Places:
        """Return how many runs some trees have.

        Args:
            leaves: of all these trees, as places, tree by tree in key order.
            owners: which of the trees each belongs to.
            nr_trees: how many trees there are.
        """
        is_filled = self.mapped[leaves] > 0
        filled, owners = leaves[is_filled], owners[is_filled]
        before, after = filled[:-1], filled[1:]
        firsts = self.first_value[after]
        goes_on = (
            (owners[1:] == owners[:-1])
            & (self.first_key[after] - self.last_key[before] == 1)
            & (firsts - self.last_value[before] == block_time.NEXT_BLOCK)
            & (block_time.data_block(firsts) != 0)
        )
        runs = self.runs[filled]
        runs[1:] -= goes_on
        return _sums(runs, owners, nr_trees)


class Times(NamedTuple):
    """How many mappings of each leaf have which time.

    Attributes:
        times: those of the first leaf, those of the next, ...
        counts: how many mappings of the leaf have that time.
        starts: where each leaf's times begin, shape `(n + 1,)`.
    """

    times: Keys
    counts: Places
    starts: Places

    @classmethod
    def of(cls, entries: Entries) -> "Times":
        """Count those of leaves that follow each other."""
        nr_leaves = len(entries.starts) - 1
        owners = np.repeat(np.arange(nr_leaves, dtype=np.uint64), np.diff(entries.starts))
        pairs = block_time.packed(owners, block_time.time(entries.values))
        if (pairs[1:] < pairs[:-1]).any():
            pairs.sort()
        places = np.flatnonzero(is_new(pairs))
        found = pairs[places]
        starts = np.searchsorted(
            block_time.data_block(found), np.arange(nr_leaves + 1, dtype=np.uint64)
        )
        return cls(block_time.time(found), np.diff(places, append=len(pairs)), starts)

    @classmethod
    def joined(cls, parts: list["Times"]) -> "Times":
        """Return those of all parts, one after the other."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(
            np.concatenate([np.empty(0, dtype=np.uint64), *(part.times for part in parts)]),
            np.concatenate([nothing, *(part.counts for part in parts)]),
            starts_of(np.concatenate([nothing, *(np.diff(part.starts) for part in parts)])),
        )

    def since(self, times: Keys, leaves: Places, owners: Places) -> Places:
        """Return how many mappings of some trees have a time or a later one.

        Args:
            times: of each tree, shape `(n,)`.
            leaves: of all these trees, as places, tree by tree.
            owners: which of the trees each belongs to.
        """
        begins = self.starts[leaves]
        nr_times = self.starts[leaves + 1] - begins
        places = ragged(begins, nr_times)
        owners = np.repeat(owners, nr_times)
        counts = np.where(self.times[places] >= times[owners], self.counts[places], 0)
        return _sums(counts, owners, len(times))


def _sums(counts: Places, owners: Places, nr_trees: int) -> Places:
    """Return what each tree has of `counts`; `owners` ascend."""
    cuts = np.searchsorted(owners, np.arange(nr_trees + 1))
    sums: Places = np.diff(starts_of(counts)[cuts])
    return sums


def count_leaves(
    source: Metadata, forest: Forest, ask: Ask, on_progress: OnProgress | None = None
) -> LeafCounts:
    """Read and count all leaves of `forest`, which must be of mapping trees.

    Args:
        source: where to read.
        forest: all trees that may share data blocks.
        ask: what to count; the rest stays 0.
        on_progress: told of each piece that was read.
    """
    leaves = forest.levels[0].nodes
    reader = LeafReader(source, leaves, on_progress)
    counts = _nothing(len(leaves))
    times: list[Times] = []
    seen = SeenBlocks()
    for piece in reader.read():
        counts.codes[piece.places] = piece.codes
        _count(counts, piece.places, piece.entries, ask)
        if Ask.TIMES in ask:
            times.append(Times.of(piece.entries))
        if Ask.EXCLUSIVE in ask:
            seen.add(piece.entries.values)
    if Ask.EXCLUSIVE in ask:
        # What occurs in one tree only can be exclusive, and is until it is seen elsewhere.
        alone = _in_one_tree(forest)
        counts.exclusive[alone] = counts.mapped[alone]
        _take_away_shared(counts, reader, seen, np.flatnonzero(alone))
        for window in (np.flatnonzero(seen.touched[1:]) + 1).tolist():
            seen = SeenBlocks(window)
            for piece in reader.read():
                seen.add(piece.entries.values)
            _take_away_shared(counts, reader, seen, np.flatnonzero(alone))
    return counts._replace(times=Times.joined(times))


class LeafReader:
    """Reads leaves, all or those at some places, and tells how many in all."""

    def __init__(self, source: Metadata, leaves: NodeList, on_progress: OnProgress | None) -> None:
        """Read nothing yet."""
        self._source = source
        self._leaves = leaves
        self._on_progress = on_progress
        self._total = 0

    def read(self, places: Places | None = None) -> Iterator[LeafPiece]:
        """Return the leaves in pieces, all or those at `places`."""
        self._total += len(self._leaves) if places is None else len(places)
        return leaf_pieces(self._source, self._leaves, MAPPINGS, self._tell, places=places)

    def _tell(self, nr_leaves: int, _: int) -> None:
        if self._on_progress is not None:
            self._on_progress(nr_leaves, self._total)


def _nothing(nr_leaves: int) -> LeafCounts:
    mapped, exclusive, runs = np.zeros((3, nr_leaves), dtype=np.int64)
    first_key, first_value, last_key, last_value = np.zeros((4, nr_leaves), dtype=np.uint64)
    return LeafCounts(
        codes=np.zeros(nr_leaves, dtype=np.uint8),
        mapped=mapped,
        exclusive=exclusive,
        runs=runs,
        first_key=first_key,
        first_value=first_value,
        last_key=last_key,
        last_value=last_value,
        times=Times.joined([]),
    )


def _count(counts: LeafCounts, places: Places, entries: Entries, ask: Ask) -> None:
    keys, values, starts = entries.keys, entries.values, entries.starts
    counts.mapped[places] = np.diff(starts)
    filled = np.flatnonzero(np.diff(starts))
    firsts, lasts = starts[filled], starts[filled + 1] - 1
    filled = places[filled]
    counts.first_key[filled], counts.first_value[filled] = keys[firsts], values[firsts]
    counts.last_key[filled], counts.last_value[filled] = keys[lasts], values[lasts]
    if Ask.RUNS in ask:
        _, begins = join(keys, values, starts[:-1])
        counts.runs[places] = np.diff(np.searchsorted(begins, starts))


def _take_away_shared(
    counts: LeafCounts, reader: LeafReader, seen: SeenBlocks, alone: Places
) -> None:
    if not seen.any_more_than_once():
        return
    for piece in reader.read(alone):
        shared = seen.more_than_once(piece.entries.values)
        counts.exclusive[piece.places] -= np.diff(nr_marked_before(shared, piece.entries.starts))


def _in_one_tree(forest: Forest) -> Mask:
    """Tell which leaves occur only once."""
    identity, occurs = occurrences_by_block(forest)
    alone: Mask = (occurs == 1)[identity]
    return alone
