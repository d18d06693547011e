"""A device's runs are what thin_dump prints of it, however they are asked for."""

from itertools import pairwise

import numpy as np
import pytest

from tests.cases import unpacked
from tests.golden import (
    DumpedDevice,
    chunks_of,
    dumped_images,
    mappings_of,
    parsed_xml,
    runs_of,
    thin_dump,
)
from thinmeta.model.pool import open_pool

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
        runs = {device_id: runs_of(pool, device) for device_id, device in pool.devices.items()}

    assert runs == {device.device_id: device.runs for device in printed(case, image)}


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_a_device_maps_as_many_blocks_as_its_details_say(case: str, image: str) -> None:
    with open_pool(unpacked(case, image)) as pool:
        for device in pool.devices.values():
            assert sum(run.length for run in runs_of(pool, device)) == device.mapped_blocks


def test_a_device_of_many_pieces_is_the_one_that_thin_dump_prints() -> None:
    (expected,) = printed(*LARGE, "thin_dump-dev-2")

    with open_pool(unpacked(*LARGE)) as pool:
        chunks = list(chunks_of(pool, pool.devices[2]))

    assert len(chunks) >= 1
    assert [run for chunk in chunks for run in chunk] == expected.runs


def test_chunks_are_columns_of_unsigned_numbers() -> None:
    with open_pool(unpacked("a04-interleaved-four-thins-64k")) as pool:
        for chunk in chunks_of(pool, pool.devices[1]):
            columns = (chunk.origin_begin, chunk.data_begin, chunk.length, chunk.time)
            assert {column.dtype for column in columns} == {np.dtype(np.uint64)}
            assert {column.shape for column in columns} == {(len(chunk),)}


def test_runs_ascend_and_are_tuples_of_plain_ints() -> None:
    with open_pool(unpacked("a04-interleaved-four-thins-64k")) as pool:
        runs = runs_of(pool, pool.devices[1])

    assert all(
        left.origin_begin + left.length <= right.origin_begin for left, right in pairwise(runs)
    )
    assert {type(number) for run in runs for number in run} == {int}


def test_a_device_without_mappings_has_no_runs() -> None:
    with open_pool(unpacked("a02-empty-pool-min-metadata")) as pool:
        (device,) = pool.devices.values()
        assert runs_of(pool, device) == []


def test_snapshots_share_data_blocks_with_their_origin() -> None:
    with open_pool(unpacked("a08-snapshots-of-snapshots")) as pool:
        mapped = {
            device_id: {data_block for _, data_block, _ in mappings_of(runs_of(pool, device))}
            for device_id, device in pool.devices.items()
        }
        counts = pool.data_ref_counts.read(0, len(pool.data_ref_counts))

    everything = set().union(*mapped.values())
    assert everything == set(np.flatnonzero(counts).tolist())
    assert any(mapped[1] & mapped[other] for other in mapped if other != 1)
