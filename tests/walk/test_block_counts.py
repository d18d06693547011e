"""Counts of blocks, against a slow model, and the memory that they take."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

NR_BLOCKS = 3 * BLOCKS_AT_ONCE + 5

PLACES = st.one_of(
    st.integers(0, 300),
    st.builds(
        lambda window, offset: max(0, window * BLOCKS_AT_ONCE + offset),
        st.integers(0, 4),
        st.integers(-300, 300),
    ),
    st.integers(0, 4 * BLOCKS_AT_ONCE),
)
BATCHES = st.one_of(
    st.lists(PLACES, max_size=300),
    st.builds(lambda begin, size: list(range(begin, begin + size)), PLACES, st.integers(1, 600)),
    st.builds(lambda block, times: times * [block], PLACES, st.integers(1, 600)),
)


def as_blocks(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def counted(counts: BlockCounts) -> Counter[int]:
    found: Counter[int] = Counter()
    for number in range(6):
        window = counts.window(number)
        if window is not None:
            for place in np.flatnonzero(window).tolist():
                found[number * BLOCKS_AT_ONCE + place] = int(window[place])
    return found


@examples(100)
@given(st.lists(BATCHES, max_size=8))
def test_each_block_is_counted_wherever_it_is(batches: list[list[int]]) -> None:
    counts, limited = BlockCounts(), BlockCounts(NR_BLOCKS)
    for batch in batches:
        counts.add(as_blocks(batch))
        limited.add(as_blocks(batch))

    expected = Counter(block for batch in batches for block in batch)
    assert counted(counts) == expected
    assert counts.highest() == max(expected, default=-1)
    assert counted(limited) == {block: n for block, n in expected.items() if block < NR_BLOCKS}


@pytest.mark.parametrize("most", [1, 2, 70_000])
@pytest.mark.parametrize("beside", [0, 300])
def test_windows_with_repeats_are_told(most: int, beside: int) -> None:
    """In a list, and in a window of its own, where so many are `beside` it."""
    counts = BlockCounts()
    first = 2 * BLOCKS_AT_ONCE
    counts.add(as_blocks([first + 7] * most))
    counts.add(as_blocks(list(range(first + 8, first + 8 + beside))))
    counts.add(as_blocks([5]))

    repeated = {number: window[7] for number, window in counts.repeated()}

    assert repeated == ({2: most} if most > 1 else {})


@pytest.mark.parametrize("times", [254, 255, 256, 257, 65535, 65536, 65537])
def test_a_window_grows_wider_before_a_count_wraps(times: int) -> None:
    counts = BlockCounts(10)

    counts.add(as_blocks([3] * (times - 1)))
    counts.add(as_blocks([2, 3]))

    assert counted(counts) == {2: 1, 3: times}


def test_one_by_one_a_count_goes_past_a_byte() -> None:
    counts = BlockCounts(1000)
    many = list(range(300))

    for _ in range(300):
        counts.add(as_blocks(many))
    for _ in range(300):
        counts.add(as_blocks([400]))

    assert counted(counts) == dict.fromkeys([*many, 400], 300)


def test_what_is_past_the_end_is_passed_over() -> None:
    counts = BlockCounts(10)

    counts.add(as_blocks([9, 10, 2**40, 2**64 - 1]))
    counts.add(as_blocks(list(range(5, 505))))

    assert counted(counts) == {5: 1, 6: 1, 7: 1, 8: 1, 9: 2}


def test_blocks_far_apart_that_become_many_are_all_counted() -> None:
    """More than the list of a window takes, in no order, twice each."""
    blocks = np.random.default_rng(1).permutation(BLOCKS_AT_ONCE).astype(np.uint64)
    counts = BlockCounts()
    for _ in range(2):
        for begin in range(0, BLOCKS_AT_ONCE, 1 << 16):
            counts.add(blocks[begin : begin + (1 << 16)])

    window = counts.window(0)

    assert window is not None
    assert (window == 2).all()


def test_blocks_far_apart_take_memory_of_their_number() -> None:
    """One in 4,096: a page each would be 400 MiB."""
    blocks = np.arange(100_000, dtype=np.uint64) * 4096
    counts = BlockCounts()

    tracemalloc.start()
    for begin in range(0, len(blocks), 1000):
        counts.add(blocks[begin : begin + 1000].copy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 << 20
