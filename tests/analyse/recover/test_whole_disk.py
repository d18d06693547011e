"""Metadata on a whole disk: found by what its blocks say of themselves, wherever it begins."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes
from tests.damage import DamagedImage
from tests.properties import examples
from thinmeta.analyse.recover import whole_disk
from thinmeta.analyse.recover.whole_disk import metadata_places
from thinmeta.device.blocks import BlockDevice
from thinmeta.device.extents import Extents

ONE, OTHER = "a08-snapshots-of-snapshots", "a13-metadata-snapshot-held"
SECTOR = 512


def places_in(path: Path) -> list[whole_disk.MetadataPlace]:
    fd = os.open(path, os.O_RDONLY)
    device = BlockDevice.over(Extents.of_file(fd, str(path)))
    try:
        return metadata_places(device, lambda *_: None).places
    finally:
        device.close()


@examples(12)
@given(
    sector=st.one_of(st.integers(1, 20000), st.sampled_from([8185, 8191, 8192, 8193])),
    is_sparse=st.booleans(),
)
def test_at_any_sector(sector: int, is_sparse: bool) -> None:
    image = image_bytes(ONE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "disk")
        with path.open("wb") as file:
            if not is_sparse:
                file.write(np.random.default_rng(sector).bytes(sector * SECTOR))
            file.seek(sector * SECTOR)
            file.write(image)
            file.write(bytes(4096))
        (found,) = places_in(path)
    assert (found.begin, found.lowest) == (sector * SECTOR, 0)
    assert (found.transaction_id, found.data_block_sectors) == (15, 128)
    assert found.nr_blocks > 200


def test_several_and_without_their_superblocks(tmp_path: Path) -> None:
    first, second = image_bytes(ONE), image_bytes(OTHER, "meta-released")
    path = tmp_path / "disk"
    path.write_bytes(bytes(SECTOR) + first + bytes(3 * SECTOR + 4096) + second[4096:] + bytes(4096))
    one, other = places_in(path)
    assert (one.begin, other.begin) == (SECTOR, SECTOR + len(first) + 3 * SECTOR)
    assert one.transaction_id is not None
    assert (other.lowest, other.transaction_id, other.data_block_sectors) == (1, None, None)


def test_what_lies_before_the_disk_begins(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(image_bytes(ONE)[20 * 4096 :])
    (found,) = places_in(path)
    assert found.begin == -20 * 4096
    assert found.lowest >= 20


def test_blocks_that_agree_with_no_others_are_no_metadata(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    rows = np.frombuffer(image_bytes(ONE), dtype=np.uint8).reshape(-1, 4096)
    path.write_bytes(bytes(SECTOR) + rows[1].tobytes() + bytes(4096) + rows[5].tobytes() * 1)
    assert places_in(path) == []


def test_beginnings_without_end_take_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each block tells of another beginning, those that are told once are let go."""
    monkeypatch.setattr(whole_disk, "_MOST_PLACES", 64)
    image = DamagedImage.of(ONE)
    row = image.block(1).tobytes()
    path = tmp_path / "disk"
    path.write_bytes(bytes(SECTOR) + image_bytes(ONE) + row * 3000)
    (found,) = places_in(path)
    assert (found.begin, found.lowest) == (SECTOR, 0)
