"""A stream without some mappings of some devices, which come to be somebody else's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from thinmeta.units import LAST_KEY
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import distinct, piece_begins, ragged, starts_of
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import DeviceBegin, DeviceEnd, Mark, StreamPart


@dataclass(frozen=True, slots=True, eq=False)
class KeyRanges:
    """Ranges of origin blocks, ascending and apart from each other.

    Attributes:
        first: shape `(n,)`, dtype uint64.
        last: included, shape `(n,)`, dtype uint64.
    """

    first: Keys
    last: Keys

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """Return the ranges that hold `keys`, ascending, and nothing else.

        >>> ranges = KeyRanges.of(np.array([2, 3, 4, 9], dtype=np.uint64))
        >>> ranges.first.tolist(), ranges.last.tolist()
        ([2, 9], [4, 9])
        """
        begins = np.flatnonzero(piece_begins(len(keys), keys[1:] - keys[:-1] != 1))
        ends = np.append(begins[1:], len(keys)) - 1 if len(keys) else begins
        return cls(keys[begins], keys[ends])

    def __len__(self) -> int:
        """Return `n`."""
        return len(self.first)

    @property
    def nr_keys(self) -> int:
        """How many origin blocks they hold."""
        return int((self.last - self.first).sum()) + len(self)

    def meet(self, first: int, last: int) -> bool:
        """Tell whether one of them has a block of `first..last`."""
        at = int(np.searchsorted(self.last, np.uint64(first)))
        return at < len(self) and int(self.first[at]) <= last

    def taken_from(self, runs: Runs) -> Runs:
        """Return the rest of `runs`, cut where one of the ranges lies within.

        >>> numbers = [np.array([each], dtype=np.uint64) for each in (10, 50, 8, 3)]
        >>> ranges = KeyRanges.of(np.array([0, 12, 13, 17, 18], dtype=np.uint64))
        >>> [tuple(each) for each in ranges.taken_from(Runs(*numbers))]
        [(10, 50, 2, 3), (14, 54, 3, 3)]
        """
        if not len(self):
            return runs
        after = self.last[self.last < LAST_KEY] + np.uint64(1)
        cuts = distinct(np.concatenate((self.first, after)))
        last = runs.origin_begin + (runs.length - np.uint64(1))
        begin = np.searchsorted(cuts, runs.origin_begin, side="right")
        nr_cuts = np.searchsorted(cuts, last, side="right") - begin
        run = np.repeat(np.arange(len(runs)), nr_cuts + 1)
        begins = starts_of(nr_cuts + 1)
        is_cut = np.ones(len(run), dtype=np.bool_)
        is_cut[begins[:-1]] = False
        first, ends = runs.origin_begin[run], last[run]
        first[is_cut] = cuts[ragged(begin, nr_cuts)]
        before_cut = np.flatnonzero(is_cut) - 1
        ends[before_cut] = first[before_cut + 1] - np.uint64(1)
        at = np.searchsorted(self.first, first, side="right") - 1
        is_left = (at < 0) | (self.last[np.maximum(at, 0)] < first)
        data_begin = runs.data_begin[run] + (first - runs.origin_begin[run])
        rest = Runs(first, data_begin, ends - first + np.uint64(1), runs.time[run])
        return rest[is_left]


def without(parts: Iterable[StreamPart], left_out: Mapping[int, KeyRanges]) -> Iterator[StreamPart]:
    """Return a stream without some mappings; `mapped_blocks` of their devices are less by these.

    Args:
        parts: the stream, in which these mappings are in no shared part.
        left_out: by device id, at least one of each.
    """
    ranges: KeyRanges | None = None
    for part in parts:
        runs: list[Runs] = []
        marks: list[Mark] = []
        before: list[int] = []
        done = size = 0
        for mark, place in zip([*part.marks, None], [*part.before, len(part.runs)], strict=True):
            some = part.runs[done:place]
            if ranges is not None and len(some):
                some = ranges.taken_from(some)
            runs.append(some)
            done, size = place, size + len(some)
            if mark is None:
                continue
            if isinstance(mark, DeviceBegin):
                ranges = left_out.get(mark.device_id)
                if ranges is not None:
                    nr_left = mark.mapped_blocks - ranges.nr_keys
                    mark = mark._replace(mapped_blocks=max(0, nr_left))  # noqa: PLW2901
            elif isinstance(mark, DeviceEnd):
                ranges = None
            marks.append(mark)
            before.append(size)
        yield StreamPart(Runs.joined(runs), marks, before, (), part.nr_leaves)
