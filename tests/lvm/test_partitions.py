"""Where partitions begin: MBR, its logical partitions, and both copies of a GPT."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lvm.lvm_images import SECTOR, with_gpt, with_mbr, written
from tests.properties import examples
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.partitions import partitions
from thinmeta.schemas.partition_table import BootRecord, GptEntry, GptHeader

CONTENTS = bytes(range(256)) * 400


def found(path: str) -> list[tuple[int, int]]:
    disk = Disk.open(path)
    try:
        return [(each.number, each.offset) for each in partitions(disk)]
    finally:
        disk.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def test_the_schemas_are_as_long_as_they_must_be() -> None:
    assert (BootRecord.sizeof(), GptHeader.sizeof(), GptEntry.sizeof()) == (512, 92, 128)


def test_a_mbr(path: Path) -> None:
    assert found(written(path, with_mbr(CONTENTS, 64))) == [(1, SECTOR), (2, 64 * SECTOR)]


def test_logical_partitions_are_counted_from_5_on(path: Path) -> None:
    expected = [(1, SECTOR), (5, 20 * SECTOR), (6, 80 * SECTOR)]
    assert found(written(path, with_mbr(CONTENTS, 80, logical=True))) == expected


@pytest.mark.parametrize("block", [512, 4096])
def test_a_gpt(path: Path, block: int) -> None:
    assert found(written(path, with_gpt(CONTENTS, 64, block))) == [(3, 64 * block)]


@pytest.mark.parametrize("at", [512 + 9, 512 + 60, 2 * 512 + 300])
def test_the_second_copy_of_a_gpt_is_taken(path: Path, at: int) -> None:
    disk = bytearray(with_gpt(CONTENTS, 64))
    disk[at] ^= 1
    assert found(written(path, disk)) == [(3, 64 * SECTOR)]


def test_a_gpt_without_a_sound_copy_has_no_partitions(path: Path) -> None:
    disk = bytearray(with_gpt(CONTENTS, 64))
    disk[512 + 9] ^= 1
    disk[-512 + 9] ^= 1
    assert found(written(path, disk)) == []


@pytest.mark.parametrize("number", [2**32, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("field", [72, 80])
def test_a_gpt_with_numbers_that_cannot_be(path: Path, field: int, number: int) -> None:
    disk = bytearray(with_gpt(CONTENTS, 64))
    for at in (512, len(disk) - 512):
        disk[at + field : at + field + 8] = number.to_bytes(8, "little")
        disk[at + 16 : at + 20] = bytes(4)
        disk[at + 16 : at + 20] = zlib.crc32(disk[at : at + 92]).to_bytes(4, "little")
    assert found(written(path, disk)) == []


def test_what_has_no_table_has_no_partitions(path: Path) -> None:
    assert found(written(path, CONTENTS)) == []
    assert found(written(path, b"")) == []


def test_a_partition_past_the_end_is_none(path: Path) -> None:
    disk = with_mbr(CONTENTS, 64)[: 64 * SECTOR]
    assert found(written(path, disk)) == [(1, SECTOR)]


def test_a_chain_that_bites_its_tail_ends(path: Path) -> None:
    disk = bytearray(with_mbr(CONTENTS, 80, logical=True))
    second = 64 * SECTOR
    disk[second + 462 : second + 478] = struct.pack("<BxxxBxxxII", 0, 5, 0, 9)
    assert found(written(path, disk)) == [(1, SECTOR), (5, 20 * SECTOR), (6, 80 * SECTOR)]


def test_a_table_that_sfdisk_wrote(path: Path) -> None:
    sfdisk = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if sfdisk is None:
        pytest.skip("there is no sfdisk")
    for label, script, expected in (
        ("dos", "2048,4096\n8192,,E\n9000,1000,8e\n", [(1, 2048), (5, 9000)]),
        ("gpt", "2048,4096\n8192,1000\n", [(1, 2048), (2, 8192)]),
    ):
        path.write_bytes(bytes(8 << 20))
        subprocess.run(
            [sfdisk, "--quiet", "--label", label, path], input=script, text=True, check=True
        )
        assert found(str(path)) == [(number, sector * SECTOR) for number, sector in expected]


TABLES = [
    with_mbr(CONTENTS, 80, logical=True),
    with_gpt(CONTENTS, 64),
    with_gpt(CONTENTS, 64, 4096),
]


@examples(100)
@given(
    number=st.integers(0, len(TABLES) - 1),
    changed=st.lists(st.tuples(st.integers(0, 90 * SECTOR), st.binary(max_size=8)), max_size=6),
    cut=st.none() | st.integers(0, 90 * SECTOR),
)
def test_no_damage_makes_an_error(
    path: Path, number: int, changed: list[tuple[int, bytes]], cut: int | None
) -> None:
    disk = bytearray(TABLES[number])
    for at, bytes_ in changed:
        disk[at : at + len(bytes_)] = bytes_
    offsets = [offset for _, offset in found(written(path, disk[:cut]))]
    assert all(0 < offset < len(disk) for offset in offsets)
