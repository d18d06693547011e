"""Counts are what a dict would count, whatever their order, repeats and windows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.analyse.check.counting import BlockCounts
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

NR_BLOCKS = 3 * BLOCKS_AT_ONCE + 5

near_an_edge = st.builds(
    lambda window, offset: max(0, window * BLOCKS_AT_ONCE + offset),
    st.integers(0, 4),
    st.integers(-3, 3),
)


def as_blocks(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def counted(counts: BlockCounts) -> Counter[int]:
    found: Counter[int] = Counter()
    for number in range(5):
        window = counts.window(number)
        if window is not None:
            for place in np.flatnonzero(window).tolist():
                found[number * BLOCKS_AT_ONCE + place] = int(window[place])
    return found


@examples(60)
@given(parts=st.lists(st.lists(near_an_edge, max_size=12), max_size=5))
def test_counts_are_those_of_a_dict(parts: list[list[int]]) -> None:
    counts = BlockCounts(NR_BLOCKS)

    for part in parts:
        counts.add(as_blocks(part))

    blocks = [block for part in parts for block in part if block < NR_BLOCKS]
    assert counted(counts) == Counter(blocks)


@pytest.mark.parametrize("times", [254, 255, 256, 257, 65535, 65536, 65537])
def test_a_window_grows_wider_before_a_count_wraps(times: int) -> None:
    counts = BlockCounts(10)

    counts.add(as_blocks([3] * (times - 1)))
    counts.add(as_blocks([2, 3]))

    assert counted(counts) == {2: 1, 3: times}


def test_one_by_one_a_count_goes_past_a_byte() -> None:
    counts = BlockCounts(10)

    for _ in range(300):
        counts.add(as_blocks([7]))

    assert counted(counts) == {7: 300}


def test_what_is_past_the_end_is_passed_over() -> None:
    counts = BlockCounts(10)

    counts.add(as_blocks([9, 10, 2**40, 2**64 - 1]))

    assert counted(counts) == {9: 1}
