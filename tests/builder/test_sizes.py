"""Sizes that a superblock, an option or XML claim are bounded before anything is written."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.builder.test_xml_document import DEVICE, END, GOOD, HEAD
from tests.conftest import Thinmeta
from tests.made_images import Image, details, mappings, written
from thinmeta.model.pool import open_pool
from thinmeta.schemas.btree_node import Child, DeviceDetails
from thinmeta.units import MAX_METADATA_BLOCKS

HIGHEST = 2**64 - 1
LARGEST = "--metadata-size", "16G"
UNUSED = (
    "Warning: --metadata-size: the kernel uses 33292800 sectors of metadata (15.9 GiB) and no "
    "more; the rest stays unused\n"
)


@pytest.fixture
def nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def written_to(*_: object) -> int:
        raise AssertionError("it was written to")

    monkeypatch.setattr(os, "pwrite", written_to)


def claiming(**sizes: Any) -> bytes:
    """Return a sound pool of one device whose superblock claims these sizes."""
    image = Image()
    root = image.leaf(mappings(0, range(3)))
    roots = image.leaf([(1, root)], Child)
    listed = image.leaf([(1, details(3))], DeviceDetails)
    space_map = {"nr_allocated": 0, "bitmap_root": 0, "ref_count_root": 0}
    image.blocks[0] = image.superblock(
        data_mapping_root=roots,
        device_details_root=listed,
        data_space_map_root=space_map | {"nr_blocks": sizes.get("data", 100)},
        metadata_space_map_root=space_map | {"nr_blocks": sizes.get("metadata", 4)},
    )
    return b"".join(image.blocks)


def refused(output: Path, room: str, needed: int, what: str) -> str:
    return (
        f"Error: {output}: has room for {room}, but at least {needed} are needed for {what}: "
        f"{4096 * needed} bytes\n"
    )


ALL = f"{MAX_METADATA_BLOCKS} metadata blocks, the most that metadata can have"


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize("options", [(), LARGEST])
def test_restore_of_more_data_blocks_than_can_be_counted(
    options: tuple[str, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source, output = tmp_path / "pool.xml", tmp_path / "pool.bin"
    source.write_text(GOOD)

    result = thinmeta("restore", "-i", source, "-o", output, "--nr-data-blocks", HIGHEST, *options)

    said = refused(output, ALL, 2**64 // 16320 + 2, f"{HIGHEST} data blocks")
    assert (result.exit_code, result.stderr) == (1, (UNUSED if options else "") + said)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.usefixtures("nothing_is_written")
@pytest.mark.parametrize(
    ("options", "room"), [((), "4 metadata blocks"), (LARGEST, ALL)], ids=["as before", "largest"]
)
def test_repair_of_a_superblock_that_claims_too_many(
    options: tuple[str, ...], room: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source = written(tmp_path / "meta.bin", claiming(data=HIGHEST))
    output = tmp_path / "pool.bin"

    result = thinmeta("repair", "-i", source, "-o", output, *options)

    assert result.exit_code == 1
    assert result.stderr.endswith(
        refused(output, room, 2**64 // 16320 + 2, f"{HIGHEST} data blocks")
    )
    assert list(tmp_path.iterdir()) == [source]


def test_repair_of_a_superblock_that_claims_more_metadata_than_can_be(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source = written(tmp_path / "meta.bin", claiming(metadata=HIGHEST))
    output = tmp_path / "pool.bin"

    assert thinmeta("repair", "-i", source, "-o", output).exit_code == 0

    assert output.stat().st_size == 4096 * MAX_METADATA_BLOCKS
    assert output.stat().st_blocks * 512 < 2 << 20
    with open_pool(output) as pool:
        assert pool.superblock.metadata_space_map.nr_blocks == MAX_METADATA_BLOCKS


def xml(nr_data_blocks: int, mapping: str) -> str:
    head = HEAD.replace('nr_data_blocks="1000"', f'nr_data_blocks="{nr_data_blocks}"')
    return head + DEVICE + mapping + END


@pytest.mark.usefixtures("nothing_is_written")
def test_a_run_that_is_far_too_long_for_the_target(tmp_path: Path, thinmeta: Thinmeta) -> None:
    source, output = tmp_path / "pool.xml", tmp_path / "pool.bin"
    source.write_text(
        xml(10**9, '<range_mapping origin_begin="0" data_begin="0" length="1000000000" time="0"/>')
    )

    result = thinmeta("restore", "-i", source, "-o", output, "--metadata-size", "2M")

    said = refused(output, "512 metadata blocks", 10**9 // 252 + 1, "1000000000 mappings")
    assert (result.exit_code, result.stderr) == (1, said)


def test_a_block_that_is_mapped_far_beyond_the_target(tmp_path: Path, thinmeta: Thinmeta) -> None:
    source, output = tmp_path / "pool.xml", tmp_path / "pool.bin"
    source.write_text(
        xml(0, '<single_mapping origin_block="0" data_block="66999999999" time="0"/>')
    )

    result = thinmeta("restore", "-i", source, "-o", output, "--metadata-size", "2M")

    assert result.exit_code == 1
    assert "has room for 512 metadata blocks, but at least 410" in result.stderr
    assert "are needed for 67000000000 data blocks: " in result.stderr
    assert list(tmp_path.iterdir()) == [source]


def test_metadata_larger_than_the_kernel_takes(tmp_path: Path, thinmeta: Thinmeta) -> None:
    source, output = tmp_path / "pool.xml", tmp_path / "pool.bin"
    source.write_text(GOOD)
    restoring = ("restore", "-i", source, "-o", output)

    most = thinmeta(*restoring, "--metadata-size", MAX_METADATA_BLOCKS)
    more = thinmeta(*restoring, "--force", *LARGEST)
    quiet = thinmeta(*restoring, "--force", *LARGEST, "-q")

    assert (most.exit_code, most.stderr) == (0, "")
    assert (more.exit_code, more.stderr) == (0, UNUSED)
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert output.stat().st_size == 16 << 30
    with open_pool(output) as pool:
        assert pool.superblock.metadata_space_map.nr_blocks == MAX_METADATA_BLOCKS


@pytest.mark.parametrize("command", ["restore", "repair"])
@pytest.mark.parametrize("size", ["0", "4095b", str(HIGHEST), "8E"])
def test_sizes_that_nothing_has_are_usage_errors(
    command: str, size: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    source = written(tmp_path / "meta.bin", GOOD.encode() if command == "restore" else claiming())

    result = thinmeta(command, "-i", source, "-o", tmp_path / "pool.bin", "--metadata-size", size)

    assert result.exit_code == 2
    assert "--metadata-size: " in result.stderr
