"""Counts of data blocks, against a slow model, and the memory that they take."""

import tracemalloc
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.builder.data_counts import DataCounts
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

PLACES = st.one_of(
    st.integers(0, 300),
    st.integers(BLOCKS_AT_ONCE - 300, BLOCKS_AT_ONCE + 300),
    st.integers(0, 4 * BLOCKS_AT_ONCE),
)
BATCHES = st.one_of(
    st.lists(PLACES, min_size=1, max_size=300),
    st.builds(lambda begin, size: list(range(begin, begin + size)), PLACES, st.integers(1, 600)),
    st.builds(lambda block, times: times * [block], PLACES, st.integers(1, 600)),
)


@examples(100)
@given(st.lists(BATCHES, min_size=1, max_size=8))
def test_each_block_is_counted_wherever_it_is(batches: list[list[int]]) -> None:
    counts = DataCounts()
    for batch in batches:
        counts.add(np.array(batch, dtype=np.int64))

    expected = Counter(block for batch in batches for block in batch)
    found: dict[int, int] = {}
    for number in range(5):
        chunk = counts.chunk(number)
        if chunk is not None:
            at = np.flatnonzero(chunk)
            found |= zip((at + number * BLOCKS_AT_ONCE).tolist(), chunk[at].tolist(), strict=True)
    assert found == expected
    assert counts.highest == max(expected)


def test_blocks_far_apart_that_become_many_are_all_counted() -> None:
    """More than the list of a chunk takes, in no order, twice each."""
    blocks = np.random.default_rng(1).permutation(BLOCKS_AT_ONCE)
    counts = DataCounts()
    for _ in range(2):
        for begin in range(0, BLOCKS_AT_ONCE, 1 << 16):
            counts.add(blocks[begin : begin + (1 << 16)])

    chunk = counts.chunk(0)

    assert chunk is not None
    assert (chunk == 2).all()


def test_blocks_far_apart_take_memory_of_their_number() -> None:
    """One in 4,096: a page each would be 400 MiB."""
    blocks = np.arange(100_000) * 4096
    counts = DataCounts()

    tracemalloc.start()
    for begin in range(0, len(blocks), 1000):
        counts.add(blocks[begin : begin + 1000].copy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 << 20
