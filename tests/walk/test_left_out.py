"""A stream without some mappings: against a model that has each mapping by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.units import LAST_KEY
from thinmeta.walk.left_out import KeyRanges, without
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import DeviceBegin, DeviceEnd, Mark, SharedBegin, SharedEnd, StreamPart

Mapping = tuple[int, int, int]
"""Origin block, data block, time."""


def runs_of(rows: list[tuple[int, int, int, int]]) -> Runs:
    columns = np.array(rows, dtype=np.uint64).reshape(-1, 4).T
    return Runs(*columns)


def ranges_of(keys: set[int]) -> KeyRanges:
    return KeyRanges.of(np.array(sorted(keys), dtype=np.uint64))


def mappings(runs: Runs) -> list[Mapping]:
    return [
        (run.origin_begin + more, run.data_begin + more, run.time)
        for run in runs
        for more in range(run.length)
    ]


@st.composite
def any_runs(draw: st.DrawFn) -> Runs:
    """Return runs in order, from low keys on or up to the last that there is."""
    steps = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), max_size=8))
    size = sum(gap + length for gap, length in steps)
    at = draw(st.sampled_from([0, LAST_KEY + 1 - size]))
    rows = []
    for gap, length in steps:
        at += gap
        rows.append((at, draw(st.integers(0, 99)), length, draw(st.integers(0, 3))))
        at += length
    return runs_of(rows)


@examples(200)
@given(any_runs(), st.data())
def test_exactly_what_is_named_is_left_out(runs: Runs, data: st.DataObject) -> None:
    near = {key + step for key, _, _ in mappings(runs) for step in (-1, 0, 1)}
    keys = data.draw(st.sets(st.sampled_from(sorted({0, LAST_KEY} | near))))
    keys = {key for key in keys if 0 <= key <= LAST_KEY}
    ranges = ranges_of(keys)

    rest = ranges.taken_from(runs)

    assert mappings(rest) == [each for each in mappings(runs) if each[0] not in keys]
    assert (rest.length > 0).all()
    assert ranges.nr_keys == len(keys)
    for run in runs:
        last = run.origin_begin + run.length - 1
        inside = any(run.origin_begin <= key <= last for key in keys)
        assert ranges.meet(run.origin_begin, last) == inside


def test_nothing_taken_from_nothing_is_nothing() -> None:
    assert len(ranges_of({5}).taken_from(Runs.none())) == 0
    assert len(ranges_of(set())) == 0


@pytest.mark.parametrize("cuts", [[], [2], [1, 3], [3, 4, 5]])
def test_only_the_devices_that_are_named_lose_anything(cuts: list[int]) -> None:
    """However the stream is cut into parts, within a device, too."""
    runs = runs_of([(0, 0, 4, 0), (0, 10, 2, 0), (3, 20, 3, 1), (0, 10, 2, 0), (3, 20, 3, 1)])
    marks: list[tuple[Mark, int]] = [
        (SharedBegin(9), 0),
        (SharedEnd(), 1),
        (DeviceBegin(1, 5, 0, 0, 0), 1),
        (DeviceEnd(), 3),
        (DeviceBegin(2, 5, 0, 0, 0), 3),
        (DeviceEnd(), 5),
    ]
    parts = []
    for begin, end in zip([0, *cuts], [*cuts, len(marks)], strict=True):
        some = marks[begin:end]
        first = marks[begin][1] if begin else 0
        last = marks[end][1] if end < len(marks) else len(runs)
        before = [place - first for _, place in some]
        parts.append(StreamPart(runs[first:last], [mark for mark, _ in some], before))

    found = list(without(parts, {2: ranges_of({0, 4, 5})}))

    kept = [mapping for part in found for mapping in mappings(part.runs)]
    assert kept == [*mappings(runs[:3]), (1, 11, 0), (3, 20, 1)]
    begun = [mark for part in found for mark in part.marks if isinstance(mark, DeviceBegin)]
    assert [(mark.device_id, mark.mapped_blocks) for mark in begun] == [(1, 5), (2, 2)]
