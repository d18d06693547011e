"""A device's runs are what thin_dump prints of it, however they are asked for."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.cases import unpacked
from tests.golden import DumpedDevice, dumped_images, mappings_of, parsed_xml, thin_dump
from thinmeta.model.pool import open_pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.walk.runs import Run, Runs

# This one's XML has 20 MB, and test_dump compares it byte for byte; one device is enough here.
LARGE = ("d02-shared-subtrees", "meta")

IMAGES = [image for image in dumped_images() if image != LARGE]
IMAGE_IDS = ["/".join(image) for image in IMAGES]


def printed(case: str, image: str, name: str = "thin_dump") -> list[DumpedDevice]:
    return parsed_xml(thin_dump(case, image, name, "0.9.0")).devices


def test_all_images_but_one_are_compared_whole() -> None:
    assert len(IMAGES) == len(dumped_images()) - 1


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_the_runs_of_each_device_are_those_that_thin_dump_prints(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        runs = {device_id: list(device.runs()) for device_id, device in pool.devices.items()}

    assert runs == {device.device_id: device.runs for device in printed(case, image)}


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_a_device_maps_as_many_blocks_as_its_details_say(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        for device in pool.devices.values():
            assert int(device.runs().read().length.sum()) == device.mapped_blocks


def test_a_device_of_many_pieces_is_the_one_that_thin_dump_prints() -> None:
    (expected,) = printed(*LARGE, "thin_dump-dev-2")

    with open_pool(unpacked(*LARGE)) as pool:
        device = pool.devices[2]
        chunks = list(device.runs().chunks())

    assert len(chunks) >= 1
    assert [run for chunk in chunks for run in chunk] == expected.runs


@pytest.fixture
def device() -> Iterator[ThinDevice]:
    with open_pool(unpacked("a04-interleaved-four-thins-64k")) as pool:
        yield pool.devices[1]


def test_runs_can_be_asked_for_again(device: ThinDevice) -> None:
    runs = device.runs()

    assert list(runs) == list(runs) == list(runs.read())


def test_chunks_are_columns_of_unsigned_numbers(device: ThinDevice) -> None:
    for chunk in device.runs().chunks():
        columns = (chunk.origin_begin, chunk.data_begin, chunk.length, chunk.time)
        assert {column.dtype for column in columns} == {np.dtype(np.uint64)}
        assert {column.shape for column in columns} == {(len(chunk),)}


def test_chunks_are_the_runs_in_order(device: ThinDevice) -> None:
    whole = device.runs().read()

    assert list(Runs.joined(list(device.runs().chunks()))) == list(whole)
    assert (np.diff(whole.origin_begin.astype(np.int64)) >= whole.length[:-1].astype(int)).all()


def test_runs_are_tuples_of_plain_ints(device: ThinDevice) -> None:
    run = next(iter(device.runs()))

    assert isinstance(run, Run)
    assert {type(number) for number in run} == {int}


def test_a_device_without_mappings_has_no_runs() -> None:
    with open_pool(unpacked("a02-empty-pool-min-metadata")) as pool:
        (device,) = pool.devices.values()
        assert list(device.runs()) == []
        assert len(device.runs().read()) == 0


def test_devices_compare_and_print_without_the_file_that_they_are_read_from(
    device: ThinDevice,
) -> None:
    with open_pool(unpacked("a04-interleaved-four-thins-64k")) as pool:
        again = pool.devices[1]

    assert again == device
    assert "source" not in repr(device)


def test_snapshots_share_data_blocks_with_their_origin() -> None:
    with open_pool(unpacked("a08-snapshots-of-snapshots")) as pool:
        mapped = {
            device_id: {data_block for _, data_block, _ in mappings_of(list(device.runs()))}
            for device_id, device in pool.devices.items()
        }
        counts = pool.data_ref_counts.read(0, len(pool.data_ref_counts))

    everything = set().union(*mapped.values())
    assert everything == set(np.flatnonzero(counts).tolist())
    assert any(mapped[1] & mapped[other] for other in mapped if other != 1)
