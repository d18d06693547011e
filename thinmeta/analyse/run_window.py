"""A window of data blocks: the runs that begin in it, as many as fit into memory, in order.

Runs are ordered by data block, length, tree and origin block. A window begins at such a
place in their order, and ends where it must to hold no more runs than it may: what comes
later is let go, and gathered again by the window that begins there.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.leaf_runs import LeafRuns
from thinmeta.schemas import block_time
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places, ragged
from thinmeta.walk.runs import Runs

RUNS_KEPT = 1 << 19
"""Runs of a window that is full; until it is cut it has up to twice as many."""

_FIRST_RUNS = 1 << 14
"""Runs that the first window aims at, so that there is something to see soon."""

_Column = npt.NDArray[Any]
_Columns = tuple[_Column, _Column, _Column, _Column]

_FIRST = (0, 0, 0)
"""The length, tree and origin block before all others of a data block."""


class Limit(NamedTuple):
    """A place in the order of all runs: that of the first run there can be from it on."""

    data: int
    length: int
    tree: int
    origin: int


_PAST_ALL = Limit(block_time.NR_DATA_BLOCKS, 0, 0, 0)


class RunWindow:
    """The runs from one place in their order to another, which comes nearer as they are added.

    Attributes:
        begin: where it begins.
        end: where it ends, and the next one begins; None if none is left for that.
        was_cut: whether there were more runs than it may have.
    """

    def __init__(self, begin: Limit, end_data: int | None) -> None:
        """Begin with no runs.

        Args:
            begin: where it begins.
            end_data: the data block where it is to end; None if it takes all.
        """
        self.begin = begin
        self.end = None if end_data is None else Limit(end_data, 0, 0, 0)
        self.was_cut = False
        self.size = 0
        room = 2 * RUNS_KEPT
        self._columns: _Columns = (
            np.empty(room, dtype=np.uint64),
            np.empty(room, dtype=np.uint64),
            np.empty(room, dtype=np.uint32),
            np.empty(room, dtype=np.uint32),
        )

    @property
    def last_data(self) -> int:
        """The last data block at which a run of this window may begin."""
        end = self.end or _PAST_ALL
        return end.data if end[1:] != _FIRST else end.data - 1

    def add(self, runs: Runs, begins: Places, counts: Places, trees: Places) -> None:
        """Add runs, each of several trees; those that are not within the window are passed over.

        Args:
            runs: without a time that matters.
            begins: where the trees of each begin in `trees`.
            counts: how many trees each has.
            trees: numbers of trees.
        """
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        if total > RUNS_KEPT:
            runs, begins, counts = self._lowest(runs, begins, counts)
            ends = np.cumsum(counts)
            total = int(ends[-1])
        if total == len(runs) <= RUNS_KEPT:
            self._put(runs.data_begin, runs.origin_begin, runs.length, trees[begins])
            return
        for at in range(0, total, RUNS_KEPT):
            # Of each run as many trees as fall into this part.
            first = np.maximum(ends - counts, at)
            number = np.minimum(ends, at + RUNS_KEPT) - first
            some = np.flatnonzero(number > 0)
            number, first = number[some], first[some] - (ends - counts)[some]
            which = np.repeat(some, number)
            tree = trees[ragged(begins[some] + first, number)]
            self._put(runs.data_begin[which], runs.origin_begin[which], runs.length[which], tree)

    def sorted_pieces(self, at_once: int) -> Iterator[tuple[Keys, Keys, Places, Keys]]:
        """Return data block, length, tree and origin block of all runs in their order."""
        data, origin, length, tree = (column[: self.size] for column in self._columns)
        order = _order(data, length, tree, origin)
        for begin in range(0, len(order), at_once):
            some = order[begin : begin + at_once]
            lengths, trees = length[some].astype(np.uint64), tree[some].astype(np.intp)
            yield data[some], lengths, trees, origin[some]

    def _lowest(self, runs: Runs, begins: Places, counts: Places) -> tuple[Runs, Places, Places]:
        """Leave out the runs that cannot be within the window once all these are added."""
        order = np.argsort(runs.data_begin, kind="stable")
        at = int(np.searchsorted(np.cumsum(counts[order]), RUNS_KEPT))
        cut = int(runs.data_begin[order[at]])
        if cut > runs.data_begin[order[0]]:
            self._end_at(Limit(cut, 0, 0, 0))
        kept = runs.data_begin <= self.last_data
        return runs[kept], begins[kept], counts[kept]

    def _put(self, data: Keys, origin: Keys, length: Keys, tree: Places) -> None:
        new: _Columns = (data, origin, length.astype(np.uint32), tree.astype(np.uint32))
        if self.begin[1:] != _FIRST:
            new = _only(new, ~_is_before(new, self.begin))
        if self.end is not None:
            new = _only(new, _is_before(new, self.end))
        if self.size + len(new[0]) > 2 * RUNS_KEPT:
            self._cut()
            assert self.end is not None
            new = _only(new, _is_before(new, self.end))
        end = self.size + len(new[0])
        for column, values in zip(self._columns, new, strict=True):
            column[self.size : end] = values
        self.size = end

    def _cut(self) -> None:
        """Keep the first runs only."""
        data, origin, length, tree = (column[: self.size] for column in self._columns)
        order = _order(data, length, tree, origin)
        first = order[RUNS_KEPT]
        self._end_at(Limit(*(int(column[first]) for column in (data, length, tree, origin))))
        for column in self._columns:
            column[:RUNS_KEPT] = column[order[:RUNS_KEPT]]
        self.size = RUNS_KEPT

    def _end_at(self, limit: Limit) -> None:
        if self.end is None or limit < self.end:
            self.end = limit
            self.was_cut = True


def _only(columns: _Columns, kept: Mask) -> _Columns:
    if kept.all():
        return columns
    data, origin, length, tree = columns
    return data[kept], origin[kept], length[kept], tree[kept]


def _is_before(columns: _Columns, limit: Limit) -> Mask:
    data, origin, length, tree = columns
    before: Mask = data < limit.data
    if limit[1:] == _FIRST:
        return before
    at = np.flatnonzero(data == limit.data)
    is_less = origin[at] < limit.origin
    for column, value in ((tree, limit.tree), (length, limit.length)):
        is_less = (column[at] < value) | ((column[at] == value) & is_less)
    before[at] = is_less
    return before


def _order(data: _Column, length: _Column, tree: _Column, origin: _Column) -> Places:
    order: Places = np.argsort(data, kind="stable")
    ascending = data[order]
    equal = np.zeros(len(order) + 1, dtype=np.bool_)
    equal[1:-1] = ascending[1:] == ascending[:-1]
    among_equals = np.flatnonzero(equal[1:] | equal[:-1])
    some = order[among_equals]
    order[among_equals] = some[np.lexsort((origin[some], tree[some], length[some], data[some]))]
    return order


class WindowEnds:
    """Guesses where windows must end to have as many runs as they may, and not many more.

    The runs of a leaf are taken to lie evenly between its lowest and its highest block.
    """

    def __init__(self, leaves: LeafRuns, times: Places) -> None:
        """Begin with the beginning of the data device.

        Args:
            leaves: what each leaf maps.
            times: how often each leaf occurs.
        """
        filled = np.flatnonzero(leaves.nr_runs * times)
        begins = leaves.lowest[filled].astype(np.float64)
        ends = leaves.highest[filled].astype(np.float64) + 1
        runs = (leaves.nr_runs[filled] * times[filled]).astype(np.float64)
        places = np.concatenate((begins, ends))
        order = np.argsort(places, kind="stable")
        change = np.concatenate((runs / (ends - begins), -runs / (ends - begins)))[order]
        self._places = np.append(0.0, places[order])
        steps = np.diff(self._places, append=self._places[-1])
        density = np.maximum(np.cumsum(np.append(0.0, change)), 0)
        self._before = np.append(0.0, np.cumsum(density * steps)[:-1])
        self._aim = float(_FIRST_RUNS)
        self._factor = 1.0

    def next(self, begin: Limit) -> int | None:
        """Return the data block where a window that begins there is to end; None for all."""
        before = np.interp(float(begin.data), self._places, self._before)
        wanted = before + self._aim * self._factor
        if wanted >= self._before[-1]:
            return None
        return max(begin.data + 1, int(np.interp(wanted, self._before, self._places)))

    def learn(self, window: RunWindow) -> None:
        """Take into account how many runs there were."""
        if window.was_cut:
            self._factor = 1.0
        elif window.size < self._aim / 4:
            self._factor *= 4
        self._aim = min(2 * self._aim, float(RUNS_KEPT))
