"""What each layer wrote, against what thin_dump printed of the devices, block by block."""

from collections import Counter

import pytest

from tests.cases import unpacked
from tests.golden import mappings_of, parsed_xml, thin_dump
from tests.names.docker_roots import CASES, root_of
from thinmeta.analyse.layers import MeasuredLayer, Written, measured, stack
from thinmeta.model.pool import open_pool
from thinmeta.names.catalogue import NameKind
from thinmeta.units import DeviceId

Mapped = dict[int, int]
"""Data block by origin block."""


def dumped(case: str) -> dict[int, Mapped]:
    pool = parsed_xml(thin_dump(case, "meta", "thin_dump", "0.9.0"))
    return {
        device.device_id: {block: data for block, data, _ in mappings_of(device.runs)}
        for device in pool.devices
    }


def layers_of(case: str) -> list[MeasuredLayer]:
    docker = root_of(case)
    with open_pool(unpacked(case)) as pool:
        return measured(pool, docker.devices, docker.devices.values())


@pytest.mark.parametrize("case", CASES)
def test_what_was_written_is_what_differs_from_the_parent(case: str) -> None:
    mapped = dumped(case)
    uses = Counter(data for device in mapped.values() for data in device.values())

    layers = layers_of(case)

    assert len(layers) == 14
    for layer in layers:
        record = layer.docker.record
        assert record is not None
        own = mapped[record.device_id]
        below = {}
        if layer.docker.kind is not NameKind.BASE:
            assert layer.parent is not None
            assert layer.parent.record is not None
            below = mapped[layer.parent.record.device_id]
        assert layer.written == Written(
            added=len(own.keys() - below.keys()),
            changed=sum(below[block] != data for block, data in own.items() if block in below),
            removed=len(below.keys() - own.keys()),
        )
        assert layer.usage is not None
        assert layer.usage.mapped == len(own)
        assert layer.usage.exclusive == sum(uses[data] == 1 for data in own.values())


@pytest.mark.parametrize("case", CASES)
def test_a_copied_file_of_four_bytes_is_a_device_of_its_own(case: str) -> None:
    docker = root_of(case)
    top = docker.device(8)
    assert top is not None

    devices = stack(docker.devices, top)

    assert [device.record.device_id for device in devices if device.record] == [1, 2, 4, 6, 8]
    copies = [device.instruction.created_by or "" for device in devices if device.instruction][1:]
    assert [text.split()[-1] for text in copies] == ["/tmp/1.txt", "/tmp/2.txt", "/tmp/3.txt"]
    assert all(" COPY " in text for text in copies)


def test_what_is_missing_is_not_measured() -> None:
    docker = root_of(CASES[0])
    top = docker.device(8)
    assert top is not None
    assert top.record is not None
    assert top.parent is not None
    below = docker.devices[top.parent]
    assert below.record is not None
    devices = {
        **docker.devices,
        top.hash: top._replace(record=top.record._replace(device_id=DeviceId(99))),
        below.hash: below._replace(record=None),
    }

    with open_pool(unpacked(CASES[0])) as pool:
        found = measured(pool, devices, stack(devices, devices[top.hash]))

    assert [layer.usage is None for layer in found] == [False, False, False, True, True]
    assert [layer.written is None for layer in found] == [False, False, False, True, True]
