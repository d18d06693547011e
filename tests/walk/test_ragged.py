"""Pieces of unequal length, as a loop over the pieces would make them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.walk.ragged import distinct, distinct_places, ragged, starts_of

PIECES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 9)), max_size=20)
COUNTS = st.lists(st.integers(0, 10**6), max_size=30)
NUMBERS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=30)


@examples(100)
@given(pieces=PIECES)
def test_ragged_counts_up_in_each_piece(pieces: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in pieces], dtype=np.int64)
    counts = np.array([count for _, count in pieces], dtype=np.int64)

    places = ragged(starts, counts)

    assert places.dtype == np.int64
    assert places.tolist() == [place for start, n in pieces for place in range(start, start + n)]


@examples(100)
@given(counts=COUNTS)
def test_pieces_start_where_those_before_them_end(counts: list[int]) -> None:
    starts = starts_of(np.array(counts, dtype=np.int64))

    assert starts.tolist() == [sum(counts[:place]) for place in range(len(counts) + 1)]


@examples(100)
@given(numbers=NUMBERS)
def test_distinct_values_ascend_without_repeats(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.uint64)

    found, places = distinct_places(values)

    assert distinct(values).tolist() == found.tolist() == sorted(set(numbers))
    assert found[places].tolist() == numbers
    assert found.dtype == np.uint64
