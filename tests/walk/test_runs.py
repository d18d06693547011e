"""Runs are the mappings they came from, joined as far as can be."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden import mappings_of
from tests.properties import examples
from thinmeta.walk.runs import Joiner, Run, Runs, join

LAST_BLOCK = 2**40 - 1
LAST_TIME = 2**24 - 1

Mapping = tuple[int, int, int]


@st.composite
def mappings(draw: st.DrawFn) -> list[Mapping]:
    """Return mappings by ascending origin block, of which many continue the one before."""
    origin_block = draw(st.integers(0, 3) | st.integers(2**63, 2**64 - 200))
    data_block = draw(st.integers(0, 9) | st.integers(LAST_BLOCK - 4, LAST_BLOCK))
    time = draw(st.integers(0, 1) | st.just(LAST_TIME))
    made = []
    for step in draw(st.lists(st.sampled_from("cccccgjtb"), max_size=40)):
        made.append((origin_block, data_block, time))
        origin_block += 3 if step == "g" else 1
        data_block = 0 if step == "j" else (data_block + (-1 if step == "b" else 1)) % 2**40
        time = (time + 1) % 2**24 if step == "t" else time
    return made


def columns(mapped: Sequence[Mapping]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array([origin_block for origin_block, _, _ in mapped], dtype=np.uint64)
    values = np.array([data_block << 24 | time for _, data_block, time in mapped], dtype=np.uint64)
    return keys, values


def places(at: Sequence[int]) -> np.ndarray:
    return np.array(at, dtype=np.int64)


def goes_on(before: Mapping, after: Mapping) -> bool:
    return after == (before[0] + 1, before[1] + 1, before[2])


def straightforward(mapped: Sequence[Mapping], breaks: set[int]) -> list[Run]:
    """Join one mapping after the other."""
    runs: list[Run] = []
    for place, (origin_block, data_block, time) in enumerate(mapped):
        if place and place not in breaks and goes_on(mapped[place - 1], mapped[place]):
            runs[-1] = runs[-1]._replace(length=runs[-1].length + 1)
        else:
            runs.append(Run(origin_block, data_block, 1, time))
    return runs


BREAKS = st.sets(st.integers(0, 40), max_size=6)


@examples(200)
@given(mapped=mappings(), breaks=BREAKS)
def test_runs_are_those_of_the_straightforward_way(mapped: list[Mapping], breaks: set[int]) -> None:
    runs, begins = join(*columns(mapped), places(sorted(breaks)))

    assert list(runs) == straightforward(mapped, breaks)
    assert begins.tolist() == [
        sum(run.length for run in list(runs)[:place]) for place in range(len(runs))
    ]


@examples(200)
@given(mapped=mappings())
def test_runs_expand_to_the_mappings_and_are_as_long_as_can_be(mapped: list[Mapping]) -> None:
    runs = list(join(*columns(mapped), places([]))[0])

    assert list(mappings_of(runs)) == mapped
    for before, after in pairwise(runs):
        further = before.length - 1
        last = before.origin_begin + further, before.data_begin + further, before.time
        assert not goes_on(last, (after.origin_begin, after.data_begin, after.time))


@examples(200)
@given(mapped=mappings(), cuts=st.lists(st.integers(0, 40), max_size=6), breaks=BREAKS)
def test_pieces_make_no_difference(
    mapped: list[Mapping], cuts: list[int], breaks: set[int]
) -> None:
    keys, values = columns(mapped)
    breaks = {place for place in breaks if place <= len(mapped)}
    joiner, fed = Joiner(), Runs.none()
    preceding: dict[int, int] = {}
    bounds = [0, *sorted(min(cut, len(mapped)) for cut in cuts), len(mapped)]
    for begin, end in pairwise(bounds):
        # A break at a border is told with the piece before it or with the one after it.
        here = [place for place in sorted(breaks) if begin <= place <= end]
        breaks_before = [place for place in here if place not in preceding]
        held, runs, before = joiner.feed(
            keys[begin:end].copy(), values[begin:end].copy(), places(breaks_before) - begin
        )
        fed = Runs.joined([fed, held])
        for place, nr_runs in zip(breaks_before, before.tolist(), strict=True):
            preceding[place] = len(fed) + nr_runs
        fed = Runs.joined([fed, runs])
    fed = Runs.joined([fed, joiner.close()])

    expected = straightforward(mapped, breaks)
    assert list(fed) == expected
    ends = np.cumsum([run.length for run in expected], dtype=np.int64)
    assert preceding == {place: int(np.searchsorted(ends, place, side="right")) for place in breaks}


def test_a_block_after_the_last_one_of_40_bits_does_not_go_on() -> None:
    runs, _ = join(*columns([(7, LAST_BLOCK, 3), (8, 0, 3)]), places([]))

    assert list(runs) == [Run(7, LAST_BLOCK, 1, 3), Run(8, 0, 1, 3)]


def test_a_time_that_overflows_into_the_block_does_not_go_on() -> None:
    # As packed numbers, both differ by what a next block differs by.
    for mapped in ([(1, 4, LAST_TIME), (2, 6, 0)], [(1, 4, 1), (2, 5, 0)]):
        assert len(join(*columns(mapped), places([]))[0]) == 2


def test_the_last_block_of_40_bits_can_end_a_run() -> None:
    runs, _ = join(*columns([(7, LAST_BLOCK - 1, 3), (8, LAST_BLOCK, 3)]), places([]))

    assert list(runs) == [Run(7, LAST_BLOCK - 1, 2, 3)]


def test_nothing_joins_over_two_devices() -> None:
    joiner = Joiner()
    joiner.feed(*columns([(0, 100, 0)]), places([]))

    held, runs, before = joiner.feed(*columns([(1, 101, 0)]), places([0]))

    assert [list(held), list(runs)] == [[Run(0, 100, 1, 0)], []]
    assert before.tolist() == [0]
    assert list(joiner.close()) == [Run(1, 101, 1, 0)]


def test_marks_without_mappings_let_go_of_what_is_held() -> None:
    joiner = Joiner()
    joiner.feed(*columns([(0, 100, 0)]), places([]))

    held, runs, before = joiner.feed(*columns([]), places([0, 0]))

    assert [list(held), list(runs)] == [[Run(0, 100, 1, 0)], []]
    assert before.tolist() == [0, 0]
    assert len(joiner.close()) == 0


@pytest.mark.parametrize(("lost_from", "held"), [(2, True), (3, False), (50, False)])
def test_a_run_is_held_back_while_what_is_lost_could_extend_it(lost_from: int, held: bool) -> None:
    joiner = Joiner()
    joiner.feed(*columns([(0, 100, 0), (1, 101, 0)]), places([]))

    closed = joiner.close_before(lost_from)

    assert [list(closed), list(joiner.close())] == (
        [[], [Run(0, 100, 2, 0)]] if held else [[Run(0, 100, 2, 0)], []]
    )


def test_runs_are_sliced_and_joined_as_columns() -> None:
    runs = Runs(*(np.arange(4, dtype=np.uint64) + place for place in (0, 10, 20, 30)))

    assert len(runs) == 4
    assert list(runs[1:3]) == [Run(1, 11, 21, 31), Run(2, 12, 22, 32)]
    assert list(Runs.joined([runs[2:], runs[:1]])) == [
        Run(2, 12, 22, 32),
        Run(3, 13, 23, 33),
        Run(0, 10, 20, 30),
    ]
    assert list(Runs.none()) == []
