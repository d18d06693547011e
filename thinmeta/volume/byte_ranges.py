"""Ranges of bytes of a volume: joined, and held against others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.volume.layout import Bytes, Layout, Source
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import Places, distinct, piece_begins, ragged

_ZERO = np.uint64(0)
_ZEROS = 255
"""Instead of a `Source`: it is in none."""


@dataclass(frozen=True, slots=True, eq=False)
class ByteRanges(Columnar):
    """Half-open ranges, as columns of shape `(n,)`, dtype uint64, ascending; none touch.

    Attributes:
        begin: first byte.
        end: the byte after the last one.
    """

    begin: Bytes
    end: Bytes

    @classmethod
    def of(cls, begin: Bytes, end: Bytes) -> "ByteRanges":
        """Return what is in any of some ranges, which may be in any order, overlap, or be empty.

        >>> begin, end = (np.array(each, dtype=np.uint64) for each in ([5, 0, 2, 9], [7, 2, 3, 9]))
        >>> found = ByteRanges.of(begin, end)
        >>> found.begin.tolist(), found.end.tolist()
        ([0, 5], [3, 7])
        """
        order = np.argsort(begin, kind="stable")
        order = order[begin[order] < end[order]]
        begin, reached = begin[order], np.maximum.accumulate(end[order])
        first = np.flatnonzero(piece_begins(len(begin), begin[1:] > reached[:-1]))
        last = np.append(first[1:], len(begin))[: len(first)] - 1
        return cls(begin[first], reached[last])

    @classmethod
    def union(cls, parts: "Sequence[ByteRanges]") -> "ByteRanges":
        """Return what is in any of `parts`."""
        columns = [(each.begin, each.end) for each in (NO_RANGES, *parts)]
        return cls.of(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def outside(self, begin: Bytes, end: Bytes) -> "ByteRanges":
        """Return what of some ranges, ascending and apart, is in none of these.

        >>> few = ByteRanges(*np.array([[2, 6], [4, 7]], dtype=np.uint64))
        >>> left = few.outside(*np.array([[0, 5], [3, 9]], dtype=np.uint64))
        >>> left.begin.tolist(), left.end.tolist()
        ([0, 5, 7], [2, 6, 9])
        """
        found = overlaps(begin, end, self.begin, self.end)
        lows = np.concatenate([begin, found.end])
        highs = np.concatenate([found.begin, end])
        lows.sort()
        highs.sort()
        there = lows < highs
        return ByteRanges(lows[there], highs[there])


NO_RANGES = ByteRanges(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64))


class Overlaps(NamedTuple):
    """What ranges have in common with others, as columns of shape `(n,)`.

    Attributes:
        row: of the ranges.
        other: row of the others.
        begin: first byte, dtype uint64.
        end: the byte after the last one.
    """

    row: Places
    other: Places
    begin: Bytes
    end: Bytes


def overlaps(begin: Bytes, end: Bytes, other_begin: Bytes, other_end: Bytes) -> Overlaps:
    """Return what ranges have in common with others, in the order of the ranges, then the others.

    Args:
        begin: of ranges in any order, which may overlap; shape `(n,)`.
        end: of these.
        other_begin: of the others, ascending; none overlap.
        other_end: of these.

    >>> columns = ([4, 0], [9, 5], [1, 8], [6, 10])
    >>> found = overlaps(*(np.array(each, dtype=np.uint64) for each in columns))
    >>> [column.tolist() for column in found]
    [[0, 0, 1], [0, 1, 0], [4, 8, 1], [6, 9, 5]]
    """
    first = np.searchsorted(other_end, begin, side="right")
    counts = np.maximum(np.searchsorted(other_begin, end, side="left") - first, 0)
    row, other = np.repeat(np.arange(len(begin)), counts), ragged(first, counts)
    low = np.maximum(begin[row], other_begin[other])
    high = np.minimum(end[row], other_end[other])
    there = low < high
    return Overlaps(row[there], other[there], low[there], high[there])


def unshared(left: Layout, right: Layout) -> ByteRanges:
    """Return where two volumes of one pool may differ: all that is not the same bytes of its data.

    What neither maps is zeros in both. What an external origin has, or nobody, may differ.
    """
    bounds = [each for side in (left, right) for each in (side.pieces.begin, side.pieces.end)]
    points = distinct(np.concatenate(bounds))
    low, high = points[:-1], points[1:]
    (source, place), (other_source, other_place) = _at(left, low), _at(right, low)
    same = (source == other_source) & (place == other_place)
    same &= (source == Source.DATA) | (source == _ZEROS)
    return ByteRanges.of(low[~same], high[~same])


def _at(layout: Layout, points: Bytes) -> tuple[npt.NDArray[np.uint8], Bytes]:
    """Return in which source the bytes at `points` are, and where in it."""
    pieces = layout.pieces
    row = np.searchsorted(pieces.begin, points, side="right") - 1
    source = np.full(len(points), _ZEROS, dtype=np.uint8)
    place = np.zeros(len(points), dtype=np.uint64)
    there = np.flatnonzero(row >= 0)
    there = there[points[there] < pieces.end[row[there]]]
    source[there] = pieces.source[row[there]]
    place[there] = pieces.place[row[there]] + points[there] - pieces.begin[row[there]]
    return source, place
