"""The table of devices: columns that behave as the devices that they stand for."""

import numpy as np
import pytest

from tests.analyse.shared_pools import ModelDevice, image_of, pool_over
from tests.cases import unpacked
from tests.golden import parsed_xml, thin_dump
from thinmeta.model.device_columns import Devices, DevicesById
from thinmeta.model.device_table import DeviceTable
from thinmeta.model.pool import open_pool
from thinmeta.units import LAST_KEY, DeviceId, MetadataBlock

CASE = "a08-snapshots-of-snapshots"


def table_of(model: dict[int, ModelDevice]) -> DeviceTable:
    with pool_over(image_of(model)) as pool:
        return pool.device_table


def five() -> DeviceTable:
    ids = (1, 2, 7, 2**24 - 1, 2**32)
    return table_of({each: ModelDevice(mapped={0: (each % 1000, 0)}) for each in ids})


def test_each_device_is_what_thin_dump_prints_of_it() -> None:
    with open_pool(unpacked(CASE)) as pool:
        devices = pool.device_table.devices
    printed = parsed_xml(thin_dump(CASE, "meta", "thin_dump", "0.9.0")).devices

    assert [
        (each.device_id, each.mapped_blocks, each.transaction_id, each.creation_time)
        for each in devices
    ] == [
        (each.device_id, each.mapped_blocks, each.transaction_id, each.creation_time)
        for each in printed
    ]
    assert [each.snap_time for each in devices] == [each.snap_time for each in printed]


def test_places_count_from_both_ends() -> None:
    devices = five().devices

    assert [devices[place].device_id for place in range(-5, 5)] == 2 * devices.ids.tolist()
    for place in (-6, 5):
        with pytest.raises(IndexError):
            devices[place]


def test_some_are_devices_as_well() -> None:
    devices = five().devices

    assert [each.device_id for each in devices[1:3]] == [2, 7]
    assert [each.device_id for each in devices[np.array([4, 0])]] == [2**32, 1]
    assert devices[:0] != devices
    assert list(devices[:0]) == []


def test_columns_come_back_from_the_devices() -> None:
    devices = five().devices

    assert Devices.of(list(devices)) == devices


@pytest.mark.parametrize("absent", [-1, 0, 3, 2**33, LAST_KEY, LAST_KEY + 1, 2**70])
def test_an_id_that_is_not_there_is_not_found(absent: int) -> None:
    devices = five().devices

    assert devices.place_of(absent) is None
    assert absent not in DevicesById(devices)
    with pytest.raises(KeyError):
        DevicesById(devices)[absent]


def test_ids_lead_to_their_devices() -> None:
    devices = five().devices
    by_id = DevicesById(devices)

    assert list(by_id) == devices.ids.tolist()
    assert dict(by_id) == {device.device_id: device for device in devices}


def test_mapping_trees_are_those_of_all_devices_by_id() -> None:
    table = five()
    devices = table.devices
    root = devices[1].mapping_root
    assert root is not None
    without_details = {DeviceId(5): MetadataBlock(77), DeviceId(2): root}

    ids, roots = DeviceTable(devices[np.array([0, 2, 3])], without_details, ()).mapping_trees()

    assert ids.tolist() == [1, 2, 5, 7, 2**24 - 1]
    expected = [devices[0].mapping_root, root, 77, devices[2].mapping_root, devices[3].mapping_root]
    assert roots.tolist() == expected
