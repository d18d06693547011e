"""A short look says whether metadata is left where the superblock is gone, and stays short."""

import time
from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes
from tests.device.test_signatures import md_superblock
from tests.made_images import BLOCK, device_over
from thinmeta.analyse.recover.glance import MOST_BYTES, Glance, glance
from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.device.opening import open_blocks

GOOD = image_bytes("a08-snapshots-of-snapshots")
WIPED = bytes(BLOCK) + GOOD[BLOCK:]


def seen(image: bytes) -> Glance:
    with device_over(image) as device:
        return glance(device)


def test_metadata_in_its_place_is_seen() -> None:
    found = seen(WIPED)

    assert (found.sound_block, found.begins_at) == (1, None)


@pytest.mark.parametrize("nr_wiped", [2, 10])
def test_what_was_wiped_may_be_more(nr_wiped: int) -> None:
    found = seen(bytes(nr_wiped * BLOCK) + GOOD[nr_wiped * BLOCK :])

    assert found.sound_block is not None
    assert found.sound_block >= nr_wiped


@pytest.mark.parametrize("nr_before", [1, 256, 2000])
def test_metadata_that_begins_further_on_is_placed(nr_before: int) -> None:
    found = seen(bytes(nr_before * BLOCK) + GOOD)

    assert (found.sound_block, found.begins_at) == (None, nr_before * BLOCK)


def test_one_block_of_a_pool_makes_no_metadata() -> None:
    found = seen(bytes(9 * BLOCK) + GOOD[BLOCK : 2 * BLOCK] + bytes(9 * BLOCK))

    assert (found.sound_block, found.begins_at, found.is_all) == (None, None, True)


def test_zeros_are_told_from_what_is_not() -> None:
    assert seen(bytes(9 * BLOCK)).is_zeros
    assert not seen(bytes(9 * BLOCK - 1) + b"\1").is_zeros


def test_the_superblock_of_an_md_array_may_be_in_the_second_block() -> None:
    member = bytes(BLOCK) + md_superblock(5, 264192).ljust(3 * BLOCK, b"\0")

    assert "RAID 5), whose data begins at its sector 264192" in str(seen(member).written_over)


def test_not_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20 << 30)
    device = open_blocks(path, inspect=lambda _: None)

    found = glance(device, most_seconds=60)

    assert (found.nr_bytes, found.is_all, found.is_zeros) == (MOST_BYTES, False, True)
    device.close()


class Slow(BlockDevice):
    """A device that takes its time."""

    def read(self, blocks: Blocks) -> BlockBatch:
        time.sleep(0.05)
        return BlockBatch(
            np.ones((len(blocks), BLOCK), dtype=np.uint8), np.zeros(len(blocks), dtype=np.uint8)
        )


def test_it_ends_in_time(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(16 << 30)
    with path.open("rb", buffering=0) as file:
        found = glance(Slow(file.fileno(), "slow"), most_seconds=0.2)

    assert 0 < found.nr_bytes < MOST_BYTES
    assert not found.is_all
