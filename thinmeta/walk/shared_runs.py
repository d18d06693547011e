"""Runs of leaves that several devices share, which thin_dump prints once.

A run is a sequence of leaves that always occur together. Between two neighbours a
and b of any tree there is a cut, unless b is all that ever follows a and a is all
that ever precedes b (the ends of a tree count as followers and as predecessors).
A run is shared when its first leaf occurs more than once. The neighbours are found
level by level, so that the cost follows the distinct nodes and not the devices.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from thinmeta.walk.forest import Forest
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import Mask
from thinmeta.walk.ragged import Places, distinct, distinct_places

_END = -1
_LEAVES_KEPT = 256
"""Leaves of a tree that is cut once where the next one is the same."""


class SharedRuns:
    """Where the runs of a forest begin, for each place among its leaves.

    Attributes:
        is_head: a run begins here, shape `(n,)`.
        is_shared: and is shared, shape `(n,)`.
        is_left: False where nothing is left of the leaf, shape `(n,)`; None: all are.
    """

    def __init__(
        self, forest: Forest, is_head: Mask, is_shared: Mask, is_left: Mask | None = None
    ) -> None:
        """Take what was found."""
        self.forest = forest
        self.is_head = is_head
        self.is_shared = is_shared
        self.is_left = is_left

    def of_what_is_left(self, is_left: Mask | None) -> "SharedRuns":
        """Return them of leaves of some of which nothing is left; None: all are."""
        return SharedRuns(self.forest, self.is_head, self.is_shared, is_left)

    def sections(self, tree: int) -> Iterator[tuple[bool, NodeList]]:
        """Return a tree's leaves cut into sections: one shared run, or what is not shared.

        A shared run of which nothing is left is not returned, nor is anything of a tree
        of which nothing is left.
        """
        if not self._has_some_left[tree]:
            return
        # Many devices may be one small tree: what was cut for the last one is kept.
        same = int(self.forest.roots[tree]), int(self.forest.heights[tree])
        if same in self._last:
            yield from self._last[same]
            return
        places = self.forest.leaf_places(tree)
        if len(places) > _LEAVES_KEPT:
            yield from self._cut(places)
            return
        self._last.clear()
        self._last[same] = list(self._cut(places))
        yield from self._last[same]

    def _cut(self, places: Places) -> Iterator[tuple[bool, NodeList]]:
        leaves = self.forest.leaves_at(places)
        head = self.is_head[places]
        head[0] = True
        run_begin = np.maximum.accumulate(np.where(head, np.arange(len(places)), 0))
        shared = self.is_shared[places[run_begin]]
        cut = head & (shared | np.concatenate(([False], shared[:-1])))
        cut[0] = True
        begins = np.flatnonzero(cut)
        ends = np.append(begins[1:], len(places))
        if self.is_left is not None:
            some_left = np.logical_or.reduceat(self.is_left[places], begins)
            kept = some_left | ~shared[begins]
            begins, ends = begins[kept], ends[kept]
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield bool(shared[begin]), leaves[begin:end]

    @cached_property
    def _last(self) -> dict[tuple[int, int], list[tuple[bool, NodeList]]]:
        return {}

    @cached_property
    def _has_some_left(self) -> Mask:
        if self.is_left is None:
            return np.ones(len(self.forest.roots), dtype=np.bool_)
        has_some: Mask = self.forest.totals(self.is_left.astype(np.int64)) > 0
        return has_some


def find_shared_runs(forest: Forest) -> SharedRuns | None:
    """Return where the runs of all trees of `forest` begin; None where none is shared.

    Of two trees with the leaves 10, 11, 12 and 10, 11, 13 (as `Forest` shows them), 11 is all
    that follows 10, and is followed by two leaves, which ends the run:

    >>> from thinmeta.walk.level import Level
    >>> from thinmeta.walk.nodes import MAPPINGS
    >>> leaves = NodeList.roots(np.arange(10, 14, dtype=np.uint64), np.zeros(4, np.uint8))
    >>> nodes = NodeList.roots(np.array([20, 21], dtype=np.uint64), np.zeros(2, np.uint8))
    >>> bodies, starts, inner = np.array([0, 0]), np.array([0, 2]), np.array([0, 1])
    >>> levels = [Level.of_leaves(leaves), Level(nodes, bodies, starts, inner, np.array([2, 3]))]
    >>> forest = Forest(MAPPINGS, levels, heights=np.array([1, 1]), roots=np.array([0, 1]))
    >>> list(zip(*(places.tolist() for places in _neighbours(forest)), strict=True))
    [(-1, 0), (0, 1), (1, 2), (1, 3), (2, -1), (3, -1)]
    >>> runs = find_shared_runs(forest)
    >>> [(is_shared, leaves.blocks.tolist()) for is_shared, leaves in runs.sections(1)]
    [(True, [10, 11]), (False, [13])]
    """
    identity, occurs = occurrences_by_block(forest)
    if not (occurs > 1).any():
        return None
    before, after = _neighbours(forest)
    # The end of a tree becomes a leaf of its own, which sorts last.
    nr_blocks = len(occurs)
    by_block = np.append(identity, nr_blocks)
    before, after = _unique_pairs(by_block[before], by_block[after])
    followers = np.bincount(before, minlength=nr_blocks + 1)
    predecessors = np.bincount(after, minlength=nr_blocks + 1)
    goes_on = (followers[before] == 1) & (predecessors[after] == 1)
    goes_on &= (before != nr_blocks) & (after != nr_blocks)
    is_head = np.ones(nr_blocks, dtype=np.bool_)
    is_head[after[goes_on]] = False
    return SharedRuns(forest, is_head[identity], (is_head & (occurs > 1))[identity])


def occurrences_by_block(forest: Forest) -> tuple[Places, Places]:
    """Return how often each leaf's block occurs; with another key range it is the same block.

    Returns:
        For each place among the leaves, which distinct block it is; and for each
        distinct block, how often it occurs over all trees.
    """
    blocks, identity = distinct_places(forest.levels[0].nodes.blocks)
    occurs = np.zeros(len(blocks), dtype=np.int64)
    np.add.at(occurs, identity, occurrences(forest))
    return identity, occurs


def occurrences(forest: Forest) -> Places:
    """Return how often each leaf occurs over all trees, by its place."""
    return forest.spread(np.ones(len(forest.roots), dtype=np.int64), np.add, 0)


def _neighbours(forest: Forest) -> tuple[Places, Places]:
    """Return all pairs of leaves that follow each other, as places; `_END` for a tree's end."""
    before = after = np.empty(0, dtype=np.int64)
    for height in range(len(forest.levels) - 1, -1, -1):
        roots = distinct(forest.roots[forest.heights == height])
        ends = np.full(len(roots), _END, dtype=np.int64)
        before = np.concatenate((before, ends, roots))
        after = np.concatenate((after, roots, ends))
        if height:
            before, after = _step_down(before, after, forest, height)
        before, after = _unique_pairs(before, after)
    return before, after


def _step_down(before: Places, after: Places, forest: Forest, height: int) -> tuple[Places, Places]:
    level, bad = forest.levels[height], forest.bad_places(height - 1)
    begins, ends = level.starts[:-1][level.bodies], level.starts[1:][level.bodies]
    has_inner = np.flatnonzero(begins < ends)
    first, last = level.last.copy(), level.last
    first[has_inner] = level.inner[begins[has_inner]]
    within = np.ones(len(level.inner) + 1, dtype=np.bool_)
    within[level.starts] = False
    second = np.flatnonzero(within)
    return (
        np.concatenate(
            (
                np.concatenate((last, bad, [_END]))[before],
                level.inner[second - 1],
                level.inner[ends[has_inner] - 1],
            )
        ),
        np.concatenate(
            (
                np.concatenate((first, bad, [_END]))[after],
                level.inner[second],
                last[has_inner],
            )
        ),
    )


def _unique_pairs(before: Places, after: Places) -> tuple[Places, Places]:
    base = int(max(before.max(initial=0), after.max(initial=0))) + 2
    packed = distinct((before + 1) * base + (after + 1))
    return packed // base - 1, packed % base - 1
