"""Who maps which data blocks: the mappings of all devices, turned round.

Complete also below nodes that devices share. All leaves are read once, to see which data
blocks each of them maps. Then the runs are gathered by windows of data blocks, in their
order, from the leaves that map anything there; a window has so many runs that they fit
into memory, however large the pool is and however often its devices share a leaf.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.leaf_runs import LeafRuns, LeafSequence, in_sequence, read_leaf_runs, runs_of
from thinmeta.analyse.run_window import Limit, RunWindow, WindowEnds
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.schemas import block_time
from thinmeta.units import DeviceId, OnProgress
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.leaves import damage_of, read_leaves
from thinmeta.walk.node_list import NODES_AT_ONCE
from thinmeta.walk.nodes import MAPPINGS, Keys, Mask
from thinmeta.walk.ragged import Places, distinct_places, starts_of
from thinmeta.walk.shared_runs import occurrences

RUNS_AT_ONCE = 1 << 14
"""Runs of a piece that is returned."""

_LEAVES_AT_ONCE = 1 << 18
"""Leaves of trees whose sequence is in memory at once."""


class Region(NamedTuple):
    """Data blocks, half-open."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class ReverseRuns(Columnar):
    """Runs of data blocks and who maps them, as columns of shape `(n,)`, dtype uint64.

    Attributes:
        data_begin: first block on the data device.
        length: in blocks.
        device_id: the device that maps them.
        origin_begin: first block in that device.
    """

    data_begin: Keys
    length: Keys
    device_id: Keys
    origin_begin: Keys


def rmap(
    pool: Pool, regions: Sequence[Region], *, on_progress: OnProgress | None = None
) -> Iterator[ReverseRuns]:
    """Return which devices map the data blocks of `regions`, neighbours joined, in pieces.

    Sorted by first data block, length, device id and first block of the device. Also
    neighbours of different times are joined, and regions that touch or overlap count
    as one. Devices that only the mapping tree has are among those that map.

    Args:
        pool: in the state to look at.
        regions: data blocks.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises, before
            anything is returned; else what the node held is left out.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    inside = _InRegions(regions)
    trees = _TurnedTrees(pool, inside, on_progress)
    pool.verify_unchanged()
    ids = np.array(trees.ids, dtype=np.uint64)
    ends = WindowEnds(trees.leaves, trees.times)
    limit: Limit | None = Limit(0, 0, 0, 0)
    while limit is not None:
        window = RunWindow(limit, ends.next(limit))
        trees.gather(window)
        ends.learn(window)
        for data_begin, length, tree, origin_begin in window.sorted_pieces(RUNS_AT_ONCE):
            yield ReverseRuns(data_begin, length, ids[tree], origin_begin)
        limit = window.end
    pool.verify_unchanged()


class _InRegions:
    """Tells which block-times are of data blocks in some regions."""

    def __init__(self, regions: Sequence[Region]) -> None:
        bounds: list[list[int]] = []
        for begin, end in sorted(regions):
            if bounds and begin <= bounds[-1][1]:
                bounds[-1][1] = max(end, bounds[-1][1])
            else:
                bounds.append([begin, end])
        limited = np.minimum(
            np.array(bounds, dtype=object).reshape(-1, 2), block_time.NR_DATA_BLOCKS
        )
        self._begins, self._ends = limited.astype(np.uint64).T

    def __call__(self, values: Keys) -> Mask:
        inside: Mask
        if len(self._begins) == 1 and self._begins[0] < self._ends[0]:
            # Of the block-times themselves; what is below the first wraps, past the last.
            first, last = block_time.range_of(int(self._begins[0]), int(self._ends[0]))
            inside = values - np.uint64(first) <= np.uint64(last - first)
            return inside
        blocks = block_time.data_block(values)
        after = np.searchsorted(self._begins, blocks, side="right")
        ends = np.concatenate((np.zeros(1, dtype=np.uint64), self._ends))
        inside = blocks < ends[after]
        return inside


class _TurnedTrees:
    """The mapping trees of all devices; those of one root are walked as one.

    Attributes:
        ids: of the devices, ascending.
        leaves: what each leaf maps of the blocks that are asked for.
        times: how often each leaf occurs over all devices.
    """

    def __init__(self, pool: Pool, inside: _InRegions, on_progress: OnProgress | None) -> None:
        for damage in pool.device_table.hidden():
            pool.on_damage(damage)
        trees = MappingTrees.of(pool)
        self.ids: list[DeviceId] = trees.ids.tolist()
        self._pool, self._inside = pool, inside
        self._forest = trees.forest
        self.leaves: LeafRuns = read_leaf_runs(
            pool.source, self._forest.levels[0].nodes, inside, on_progress
        )
        for damage in trees.bad_leaves(self.leaves.codes):
            pool.on_damage(damage)
        self.times = occurrences(self._forest)
        # Trees of one root: the first of them stands for all.
        _, which = distinct_places(trees.roots)
        self._members = np.argsort(which, kind="stable")
        self._starts = starts_of(np.bincount(which))
        self._kept: LeafSequence | None = None

    def gather(self, window: RunWindow) -> None:
        """Add all runs that are within a window."""
        for sequence in self._sequences():
            places = sequence.places
            touched = np.flatnonzero(
                (self.leaves.highest[places] >= window.begin.data)
                & (self.leaves.lowest[places] <= window.last_data)
            )
            for at in range(0, len(touched), NODES_AT_ONCE):
                some = touched[at : at + NODES_AT_ONCE]
                # The window may have become smaller with what was added to it.
                some = some[self.leaves.lowest[places[some]] <= window.last_data]
                if len(some):
                    self._add(window, sequence, some)

    def _add(self, window: RunWindow, sequence: LeafSequence, some: Places) -> None:
        leaves = self._forest.levels[0].nodes[sequence.places[some]]
        roots = sequence.trees[some]
        entries, codes = read_leaves(self._pool.source, leaves, MAPPINGS)
        for bad in np.flatnonzero(codes).tolist():  # what was sound when it was first read
            device_id = self.ids[self._members[self._starts[roots[bad]]]]
            damage = damage_of(leaves, codes, bad, MAPPINGS)
            self._pool.on_damage(damage._replace(device_id=device_id))
        runs, starts = runs_of(entries, self._inside(entries.values))
        filled = np.diff(starts) > 0
        runs.length[starts[1:][filled] - 1] += sequence.more[some][filled].astype(np.uint64)
        begins_here = runs.data_begin >= window.begin.data
        begins_here &= runs.data_begin <= window.last_data
        begins_here[starts[:-1][filled & sequence.goes_on[some]]] = False
        root = np.repeat(roots, np.diff(starts))
        found = runs
        if not begins_here.all():
            found, root = runs[begins_here], root[begins_here]
        begins = self._starts[root]
        window.add(found, begins, self._starts[root + 1] - begins, self._members)

    def _sequences(self) -> Iterator[LeafSequence]:
        """Return the leaves of all trees, of the trees of one root once, not too many at once."""
        if self._kept is not None:
            yield self._kept
            return
        firsts = self._members[self._starts[:-1]]
        begin = 0
        for some in self._forest.few_at_once(firsts, _LEAVES_AT_ONCE):
            sequence = in_sequence(self._forest, some, self.leaves)
            sequence = sequence._replace(trees=sequence.trees + begin)
            if len(some) == len(firsts):
                self._kept = sequence
            yield sequence
            begin += len(some)
