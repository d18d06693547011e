"""Ranges of bytes are what single bytes say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.volume.byte_ranges import ByteRanges, overlaps, unshared
from thinmeta.volume.layout import Layout, Pieces, Source

RANGES = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=5)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    begin, end = np.array(rows, dtype=np.uint64).reshape(-1, 2).T
    return begin, end


def bytes_in(begin: np.ndarray, end: np.ndarray) -> set[int]:
    return {
        each
        for low, high in zip(begin.tolist(), end.tolist(), strict=True)
        for each in range(low, high)
    }


@examples(100)
@given(rows=RANGES, other=RANGES)
def test_ranges(rows: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    some, few = ByteRanges.of(*columns(rows)), ByteRanges.of(*columns(other))
    assert bytes_in(some.begin, some.end) == bytes_in(*columns(rows))
    assert (some.begin[1:] > some.end[:-1]).all()
    both = ByteRanges.union([some, few])
    assert bytes_in(both.begin, both.end) == bytes_in(*columns(rows + other))

    left = few.outside(some.begin, some.end)
    assert bytes_in(left.begin, left.end) == bytes_in(*columns(rows)) - bytes_in(*columns(other))

    found = overlaps(*columns(rows), few.begin, few.end)
    for row, (begin, end) in enumerate(rows):
        own = found.row == row
        common = bytes_in(found.begin[own], found.end[own])
        assert common == set(range(begin, end)) & bytes_in(*columns(other))
    assert (found.begin >= few.begin[found.other]).all()
    assert (found.end <= few.end[found.other]).all()


PIECES = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 9), st.sampled_from(Source)),
    max_size=5,
)


def layout(drawn: list[tuple[int, int, int, Source]]) -> Layout:
    rows, at = [], 0
    for length, hole, place, source in drawn:
        rows.append((at + hole, length, place, source))
        at += hole + length
    table = np.array(rows, dtype=np.uint64).reshape(-1, 4).T
    return Layout(Pieces(table[0], table[1], table[2], table[3].astype(np.uint8)), at, 1)


def said(one: Layout, at: int) -> tuple[int, int] | None:
    pieces = one.pieces
    for row in range(len(pieces)):
        if pieces.begin[row] <= at < pieces.end[row]:
            return int(pieces.source[row]), int(pieces.place[row]) + at - int(pieces.begin[row])
    return None


@examples(100)
@given(left=PIECES, right=PIECES)
def test_where_volumes_may_differ(
    left: list[tuple[int, int, int, Source]], right: list[tuple[int, int, int, Source]]
) -> None:
    one, other = layout(left), layout(right)

    found = unshared(one, other)

    expected = set()
    for at in range(max(one.size, other.size)):
        sides = said(one, at), said(other, at)
        of_data = all(side is None or side[0] == Source.DATA for side in sides)
        if sides[0] != sides[1] or not of_data:
            expected.add(at)
    assert bytes_in(found.begin, found.end) == expected
