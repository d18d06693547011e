"""JSON says, line by line, what thin_dump 0.9 says in XML."""

import json
from typing import Any

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.golden import DumpedDevice, DumpedPool, dumped_images, parsed_xml, thin_dump
from thinmeta.walk.runs import Run

# The XML of d02 has 20 MB; of that pool one device is compared.
LARGE = ("d02-shared-subtrees", "meta")
IMAGES = [image for image in dumped_images() if image != LARGE]
IMAGE_IDS = ["/".join(image) for image in IMAGES]

HELD = ("a13-metadata-snapshot-held", "meta-live-after-changes")
RELEASED = ("a13-metadata-snapshot-held", "meta-released")


def objects(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def pool_of(lines: list[dict[str, Any]]) -> DumpedPool:
    """Return what the lines say, which must come in their documented order."""
    first, *devices_and_runs, end = lines
    assert first.pop("type") == "superblock"
    assert end == {"type": "end"}
    devices: list[DumpedDevice] = []
    for each in devices_and_runs:
        kind = each.pop("type")
        if kind == "device":
            devices.append(DumpedDevice(**each))
        else:
            assert kind == "run"
            assert each.pop("device_id") == devices[-1].device_id
            devices[-1].runs.append(Run(**each))
    return DumpedPool(first, devices)


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_json_has_the_contents_of_the_xml(case: str, image: str, thinmeta: Thinmeta) -> None:
    xml = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0"))

    result = thinmeta("dump", "--format", "json", unpacked(case, image))

    assert result.exit_code == 0, result.stderr
    pool = pool_of(objects(result.stdout))
    assert pool.devices == xml.devices
    del pool.superblock["held_root"]
    assert pool.superblock == {
        "time": xml.superblock["time"],
        "transaction_id": xml.superblock["transaction"],
        "needs_check": bool(xml.superblock["flags"]),
        "version": xml.superblock["version"],
        "data_block_sectors": xml.superblock["data_block_size"],
        "nr_data_blocks": xml.superblock["nr_data_blocks"],
    }


def test_one_device_of_a_large_pool(thinmeta: Thinmeta) -> None:
    xml = parsed_xml(thin_dump(*LARGE, "thin_dump-dev-2", "0.9.0"))

    result = thinmeta("dump", "-f", "json", "--dev-id", 2, unpacked(*LARGE))

    assert pool_of(objects(result.stdout)).devices == xml.devices


def test_a_held_root_is_told(thinmeta: Thinmeta) -> None:
    held, released = (
        objects(thinmeta("dump", "-f", "json", "--skip-mappings", unpacked(*image)).stdout)[0]
        for image in (HELD, RELEASED)
    )

    assert type(held["held_root"]) is int
    assert released["held_root"] is None


def test_both_compatibilities_are_the_same_json(thinmeta: Thinmeta) -> None:
    image = unpacked("a08-snapshots-of-snapshots")

    new = thinmeta("dump", "-f", "json", "--compat", "1.1", image)
    old = thinmeta("dump", "-f", "json", "--compat", "0.9", image)

    assert new.stdout_bytes == old.stdout_bytes


def test_a_metadata_snapshot_is_the_one_that_thin_dump_prints(thinmeta: Thinmeta) -> None:
    xml = parsed_xml(thin_dump(*HELD, "thin_dump-m", "0.9.0"))

    result = thinmeta("dump", "-f", "json", "-m", unpacked(*HELD))

    assert pool_of(objects(result.stdout)).devices == xml.devices


def test_of_a_metadata_snapshot_the_live_superblock_tells_the_data_blocks(
    thinmeta: Thinmeta,
) -> None:
    # Only the texts that must equal thin_dump's say 0.
    live = thinmeta("dump", "-f", "json", unpacked(*HELD))
    held = thinmeta("dump", "-f", "json", "-m", unpacked(*HELD))

    counts = [objects(result.stdout)[0]["nr_data_blocks"] for result in (live, held)]
    assert counts == [4096, 4096]


def test_overrides_are_those_of_the_xml(thinmeta: Thinmeta) -> None:
    options = "--transaction-id", 10**9, "--data-block-size", 256, "--nr-data-blocks", 10**9

    result = thinmeta("dump", "-f", "json", *options, unpacked("a01-empty-pool"))

    superblock = objects(result.stdout)[0]
    assert superblock["transaction_id"] == 10**9
    assert superblock["data_block_sectors"] == 256
    assert superblock["nr_data_blocks"] == 10**9
