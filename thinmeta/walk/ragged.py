"""Arrays of pieces of unequal length, without a loop over the pieces; and arrays without repeats.

`np.unique` does the latter too, but it loads `numpy.ma`, for which small dumps would wait.
"""

from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


def ragged(starts: Places, counts: Places) -> Places:
    """Return `starts[0], starts[0]+1, ...` for `counts[0]` places, then those of the next.

    >>> ragged(np.array([10, 50]), np.array([3, 2])).tolist()
    [10, 11, 12, 50, 51]
    """
    ends = np.cumsum(counts)
    if not ends.size:
        return np.empty(0, dtype=np.int64)
    shifts: Places = np.repeat(starts - (ends - counts), counts)
    return np.arange(ends[-1], dtype=np.int64) + shifts


def starts_of(counts: Places) -> Places:
    """Return where each piece begins when pieces of `counts` stand one after the other.

    The result has one element more than `counts`: the last is the total.
    """
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def nr_marked_before(marks: npt.NDArray[np.bool_], places: Places) -> Places:
    """Return how many of the marks before each of some places are set.

    >>> nr_marked_before(np.array([True, False, True]), np.array([0, 1, 3])).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(np.flatnonzero(marks), places)


_ScalarT = TypeVar("_ScalarT", bound=np.generic)

_ROWS_ALIKE = 8
"""So many rows of one length, on average, are copied faster together than by their elements."""


def beginnings(rows: npt.NDArray[_ScalarT], counts: Places) -> npt.NDArray[_ScalarT]:
    """Return the first elements of each row, of as many as `counts` says, one row after the other.

    >>> beginnings(np.array([[1, 2, 3], [4, 5, 6]]), np.array([2, 1])).tolist()
    [1, 2, 4]
    """
    cuts = (np.flatnonzero(counts[1:] != counts[:-1]) + 1).tolist()
    if not len(counts) or len(cuts) > len(counts) // _ROWS_ALIKE:
        return rows[np.arange(rows.shape[1]) < counts[:, np.newaxis]]
    found = np.empty(int(counts.sum()), dtype=rows.dtype)
    end = 0
    for first, after in pairwise([0, *cuts, len(counts)]):
        some = rows[first:after, : int(counts[first])]
        begin, end = end, end + some.size
        found[begin:end].reshape(some.shape)[:] = some
    return found


def distinct(values: npt.NDArray[_ScalarT]) -> npt.NDArray[_ScalarT]:
    """Return the values without repeats, ascending.

    >>> distinct(np.array([7, 2, 7])).tolist()
    [2, 7]
    """
    ascending: npt.NDArray[Any] = np.sort(values)
    return ascending[is_new(ascending)]


def distinct_places(values: npt.NDArray[_ScalarT]) -> tuple[npt.NDArray[_ScalarT], Places]:
    """Return the values without repeats, ascending, and where each of `values` is among them.

    >>> [found.tolist() for found in distinct_places(np.array([7, 2, 7]))]
    [[2, 7], [1, 0, 1]]
    """
    order = np.argsort(values, kind="stable")
    ascending: npt.NDArray[Any] = values[order]
    new = is_new(ascending)
    places = np.empty(len(values), dtype=np.int64)
    places[order] = np.cumsum(new) - 1
    return ascending[new], places


def places_among(
    ascending: npt.NDArray[_ScalarT], values: npt.NDArray[_ScalarT]
) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Return where each of `values` is in `ascending`, or would be, and whether it is there.

    >>> [found.tolist() for found in places_among(np.array([2, 7]), np.array([7, 5]))]
    [[1, 1], [True, False]]
    """
    places = np.searchsorted(ascending, values)
    is_there = np.zeros(len(values), dtype=np.bool_)
    within = places < len(ascending)
    is_there[within] = ascending[places[within]] == values[within]
    return places, is_there


def tallied(values: npt.NDArray[_ScalarT]) -> tuple[npt.NDArray[_ScalarT], Places]:
    """Return the values without repeats, ascending, and how often each is there.

    >>> [found.tolist() for found in tallied(np.array([7, 2, 7]))]
    [[2, 7], [1, 2]]
    """
    ascending: npt.NDArray[Any] = np.sort(values)
    begins = np.flatnonzero(is_new(ascending))
    return ascending[begins], np.diff(begins, append=len(ascending))


def marked_once(
    values: npt.NDArray[np.uint64], low: int, high: int
) -> npt.NDArray[np.bool_] | None:
    """Tell of each number from `low` to `high` whether it is there; None where one is repeatedly.

    >>> marked_once(np.array([7, 5], dtype=np.uint64), 5, 8).tolist()
    [True, False, True, False]
    """
    marks = np.zeros(high - low + 1, dtype=np.bool_)
    marks[(values - np.uint64(low)).view(np.int64)] = True
    return marks if np.count_nonzero(marks) == len(values) else None


def is_new(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which rows are not like the one before; the first is new.

    >>> is_new(np.array([7, 7, 7]), np.array([1, 1, 2])).tolist()
    [True, False, True]
    """
    first, *others = columns
    new = np.ones(len(first), dtype=np.bool_)
    np.not_equal(first[1:], first[:-1], out=new[1:])
    for column in others:
        new[1:] |= column[1:] != column[:-1]
    return new


def piece_begins(length: int, breaks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell where pieces begin: at the first of `length` places, and at others behind a break.

    Args:
        length: how many places there are.
        breaks: for each place from the second on, whether it does not go on from the one before.

    >>> piece_begins(4, np.array([False, True, False])).tolist()
    [True, False, True, False]
    """
    begin = np.ones(length, dtype=np.bool_)
    begin[1:] = breaks
    return begin
