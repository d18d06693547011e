"""Who owns a data block that several devices had which come back: against a slow model."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.analyse.rival_devices import among_each_other
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.thin_device import ThinDevice
from thinmeta.units import DeviceId

Entry = tuple[int, int, int, Fate]
"""Origin block, data block, time, and the fate by what the pool maps now."""


def chosen(device_id: int, created: int, transaction_id: int = 0) -> ChosenDevice:
    device = ThinDevice(DeviceId(device_id), 0, transaction_id, created, created, None)
    return ChosenDevice(str(device_id), cast("Any", None), None, device, DeviceId(device_id))


def fates_of(entries: list[Entry]) -> Fates:
    keys, data, time = (
        np.array([each[column] for each in entries], dtype=np.uint64) for column in range(3)
    )
    fate = np.array([each[3] for each in entries], dtype=np.uint8)
    return Fates({}, True, keys, data << np.uint64(24) | time, fate)


def found(*devices: tuple[ChosenDevice, list[Entry]]) -> list[list[Fate]]:
    whose = [each for each, _ in devices]
    changed = among_each_other(whose, [fates_of(entries) for _, entries in devices])
    for each in changed:
        if each.counts:
            assert sum(each.counts.values()) == len(each.keys)
    return [[Fate(value) for value in each.fate.tolist()] for each in changed]


def slow_model(devices: list[tuple[ChosenDevice, list[Entry]]]) -> list[list[Fate]]:
    """Look at each data block by itself."""
    result = [[fate for *_, fate in entries] for _, entries in devices]
    owners: dict[int, list[tuple[int, int]]] = {}
    for which, (_, entries) in enumerate(devices):
        for place, (_, data, _, fate) in enumerate(entries):
            if fate in (Fate.FREE, Fate.HELD):
                owners.setdefault(data, []).append((which, place))
    if len({which for each in owners.values() for which, _ in each}) < 2:
        return result
    for each in (each for each in owners.values() if len(each) > 1):
        entry = {who: devices[who[0]][1][who[1]] for who in each}
        newest = max(time for _, _, time, _ in entry.values())
        last = {who for who in each if entry[who][2] == newest}
        makers = set()
        for which, _ in last:
            device = devices[which][0].device
            assert device is not None
            if device.creation_time <= newest:
                makers.add((device.device_id, device.transaction_id, device.creation_time))
        is_one = len({entry[who][0] for who in last}) == 1 and len(makers) <= 1
        for who in each:
            of_last = Fate.SHARED if is_one else Fate.UNKNOWN
            result[who[0]][who[1]] = of_last if who in last else Fate.TAKEN
    return result


@st.composite
def any_devices(draw: st.DrawFn) -> list[tuple[ChosenDevice, list[Entry]]]:
    few = st.integers(0, 2)
    entry = st.tuples(st.integers(0, 4), st.integers(0, 5), few, st.sampled_from(Fate))
    device = st.tuples(
        st.builds(chosen, few, few, few),
        st.lists(entry, max_size=5, unique_by=lambda each: each[0]).map(sorted),
    )
    return draw(st.lists(device, min_size=1, max_size=4))


@examples(200)
@given(any_devices())
def test_the_slow_model_agrees(devices: list[tuple[ChosenDevice, list[Entry]]]) -> None:
    assert found(*devices) == slow_model(devices)


FREE, TAKEN, SHARED, UNKNOWN = Fate.FREE, Fate.TAKEN, Fate.SHARED, Fate.UNKNOWN


@pytest.mark.parametrize(
    ("one", "other", "fates"),
    [
        # A snapshot has what is older than itself from its origin, by the same mapping.
        (((1, 0), (7, 50, 1)), ((2, 2), (7, 50, 1)), (SHARED, SHARED)),
        # Both were there already, so one of them made it, was deleted, and the other got the block.
        (((1, 0), (7, 50, 1)), ((2, 1), (7, 50, 1)), (UNKNOWN, UNKNOWN)),
        (((1, 0), (7, 50, 1)), ((2, 0), (8, 50, 1)), (UNKNOWN, UNKNOWN)),
        # The clock ticked in between.
        (((1, 0), (7, 50, 1)), ((2, 0), (8, 50, 2)), (TAKEN, FREE)),
        # Two states of one device have what it had.
        (((1, 0), (7, 50, 1)), ((1, 0), (7, 50, 1)), (SHARED, SHARED)),
    ],
)
def test_who_was_last_is_told_by_the_clock(
    one: tuple[tuple[int, int], tuple[int, int, int]],
    other: tuple[tuple[int, int], tuple[int, int, int]],
    fates: tuple[Fate, Fate],
) -> None:
    devices = [(chosen(*each), [(*entry, FREE)]) for each, entry in (one, other)]

    expected = [SHARED if each is FREE else each for each in fates]
    assert [each for (each,) in found(*devices)] == expected
