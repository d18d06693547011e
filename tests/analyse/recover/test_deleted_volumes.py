"""Volumes that the kernel deleted are found, listed and read as they were before.

The case has three copies of the metadata: before the deletion, right after it, and after
the pool was activated anew and new volumes took a part of the blocks. There is one data
image, of the end. Every sector that was written says for which volume and for where.
"""

import hashlib
import re
from pathlib import Path

import pytest

from tests.cases import FIXTURES, image_bytes, unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import DumpedDevice, mappings_of, parsed_xml, thin_dump
from tests.made_images import device_over
from thinmeta.analyse.recover.scan import scan
from thinmeta.errors import ExitCode

CASE = "a26-deleted-volumes"
DELETED = {3, 4, 5}
DATA_BLOCK = 64 * 1024
SECTOR = 512

each_later_copy = pytest.mark.parametrize("later", ["meta-deleted", "meta"])


def dumped(image: str) -> dict[int, DumpedDevice]:
    """Return the devices that thin_dump shows."""
    devices = parsed_xml(thin_dump(CASE, image, "thin_dump", "0.9.0")).devices
    return {device.device_id: device for device in devices}


def roots_before() -> tuple[int, int]:
    superblock = DamagedImage.of(CASE, "meta-before").superblock()
    return int(superblock["data_mapping_root"]), int(superblock["device_details_root"])


def state_before() -> str:
    return "{}:{}".format(*roots_before())


def hashes_before() -> dict[int, tuple[str, int]]:
    """Return SHA-256 and size of each device as the kernel read it before the deletion."""
    lines = (FIXTURES / CASE / "truth-before/thin-devices.sha256").read_text().splitlines()
    rows = [line.split() for line in lines]
    return {int(device_id): (sha256, int(size)) for sha256, device_id, size in rows}


def test_the_kernel_deleted_them() -> None:
    assert dumped("meta-before").keys() - dumped("meta-deleted").keys() == DELETED
    assert dumped("meta").keys() & DELETED == {3}  # an id that was given again


@each_later_copy
def test_the_state_before_is_found(later: str) -> None:
    expected = {each.device_id: each.mapped_blocks for each in dumped("meta-before").values()}

    with device_over(image_bytes(CASE, later)) as device:
        found = scan(device)
    (state,) = [
        each
        for each in found.candidates
        if (each.mapping_root, each.details_root) == roots_before()
    ]

    assert state.is_whole
    assert not state.is_live
    assert {each.device_id: each.nr_mappings for each in found.devices(state)} == expected


@each_later_copy
@pytest.mark.parametrize("version", ["0.9.0", "1.1.0"])
def test_it_is_dumped_as_it_was(later: str, version: str, thinmeta: Thinmeta) -> None:
    earlier = thin_dump(CASE, "meta-before", "thin_dump", version).splitlines()

    result = thinmeta(
        *("dump", "--state", state_before(), "--compat", version[:3]), unpacked(CASE, later)
    )

    assert result.exit_code == ExitCode.DONE
    assert result.stdout_bytes.splitlines()[1:] == earlier[1:]  # the superblock is that of now


@pytest.mark.parametrize("device_id", sorted(DELETED))
def test_one_that_was_deleted_is_dumped_alone(device_id: int, thinmeta: Thinmeta) -> None:
    result = thinmeta(
        *("dump", "--state", state_before(), "--dev-id", device_id, "--compat", "0.9"),
        unpacked(CASE, "meta-deleted"),
    )

    assert result.exit_code == ExitCode.DONE
    assert parsed_xml(result.stdout_bytes).devices == [dumped("meta-before")[device_id]]


def extracted(thinmeta: Thinmeta, device_id: int, metadata: str, out: Path) -> bytes:
    """Extract a device as it was, from the data of the end."""
    _, size = hashes_before()[device_id]
    result = thinmeta(
        *("extract", f"{device_id}@{state_before()}", "--size", size, "-o", out),
        *("-p", unpacked(CASE, metadata), "--data", unpacked(CASE, "data")),
    )
    assert result.exit_code == ExitCode.DONE
    return out.read_bytes()


@each_later_copy
@pytest.mark.parametrize("device_id", [3, 4])
def test_where_no_block_was_used_again_its_bytes_are_those_of_before(
    device_id: int, later: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    content = extracted(thinmeta, device_id, later, tmp_path / "out")

    assert hashlib.sha256(content).hexdigest() == hashes_before()[device_id][0]


def stamps(block: bytes, offset: int) -> set[tuple[int, int]]:
    """Return for which volumes the sectors of a block were written, and how far from there."""
    found = set()
    for at in range(0, len(block), SECTOR):
        if stamp := re.match(rb"[a-z](\d+) off=(\d+)\n", block[at : at + SECTOR]):
            found.add((int(stamp[1]), int(stamp[2]) - offset - at))
        else:
            assert not any(block[at : at + SECTOR])
    return found


def test_only_blocks_that_were_used_again_are_lost(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Volume 5 shared no block, so what is mapped in the end is of others."""
    taken = {place for each in dumped("meta").values() for _, place, _ in mappings_of(each.runs)}
    found: dict[bool, list[set[tuple[int, int]]]] = {True: [], False: []}

    content = extracted(thinmeta, 5, "meta", tmp_path / "out")

    for origin_block, place, _ in mappings_of(dumped("meta-before")[5].runs):
        at = origin_block * DATA_BLOCK
        found[place in taken].append(stamps(content[at : at + DATA_BLOCK], at))
    assert all(each == {(5, 0)} for each in found[False])
    assert all(5 not in dict(each) for each in found[True])
    assert len(found[False]) > len(found[True]) > 0
