"""Nodes that are nearly right are read as what they held, however many are, books or none."""

import random

import numpy as np
import pytest

from tests.analyse.recover.mappings_of import mappings_of
from tests.anatomy import Anatomy
from tests.damage import DamagedImage
from tests.needs import IS_THOROUGH

SNAPSHOTS = "a08-snapshots-of-snapshots"
CASES = ["a04-interleaved-four-thins-64k", SNAPSHOTS, "a16-metadata-and-data-resized"]


@pytest.mark.parametrize("case", CASES)
def test_one_bit_of_every_node_above_the_leaves(case: str) -> None:
    image = DamagedImage.with_open_books(case)  # so that nothing else can prove it
    anatomy, rng = Anatomy.of(case), random.Random(case)
    sound, _ = mappings_of(image.to_bytes())
    lists = {place.block for place in [*anatomy.devices, *anatomy.details]}
    for _ in range(20 if IS_THOROUGH else 3):
        for block in _inner(anatomy) | lists:
            image.flip_bit(block, rng.randrange(8 * 4096))
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        assert left == sound
        assert losses.is_complete
        assert {each.block for each in losses.rebuilt} == _inner(anatomy) | lists


@pytest.mark.parametrize("case", CASES)
def test_keys_of_every_node_above_the_leaves(case: str) -> None:
    image = DamagedImage.with_open_books(case)
    anatomy, rng = Anatomy.of(case), random.Random(case)
    sound, _ = mappings_of(image.to_bytes())
    for _ in range(10 if IS_THOROUGH else 2):
        for block in _inner(anatomy):
            keys = image.keys(block)
            keys[rng.randrange(len(keys))] = rng.getrandbits(64)
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        assert all(left[each] <= sound[each] for each in sound)
        assert losses.is_complete == (left == sound)
        # One that began below its first child is not what its children say of themselves.
        assert sum(map(len, left.values())) > sum(map(len, sound.values())) // 2


def test_a_sector_of_keys_and_one_of_children() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    sound, _ = mappings_of(image.to_bytes())
    for block in sorted(_inner(anatomy))[: None if IS_THOROUGH else 2]:
        for sector in (1, 4):
            image.block(block)[512 * sector : 512 * sector + 512] = 0xA5
            left, losses = mappings_of(image.to_bytes())
            image.revert()
            assert left == sound
            assert losses.is_complete
            assert {each.block for each in losses.rebuilt} <= {block}


def test_a_sector_of_zeros_among_the_keys_and_children_that_are_not_there() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    sound, _ = mappings_of(image.to_bytes())
    block = min(_inner(anatomy))
    image.keys(block)[:] = 0
    image.children(block)[:-1] = 0
    left, _ = mappings_of(image.to_bytes())
    assert left == sound


def test_the_only_list_of_devices_says_what_it_held() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    [place] = anatomy.devices
    image.flip_bit(place.block, 8 * 2048 + 3)
    _, losses = mappings_of(image.to_bytes())
    assert [each.device_id for each in losses.rebuilt] == anatomy.device_ids
    assert losses.rebuilt[0].what.startswith("one bit of the B-tree node is wrong; ")


def test_what_else_is_wrong_is_not_taken_for_one_bit() -> None:
    """By chance a checksum tells of one bit where more is wrong; that makes no sense then."""
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    sound, _ = mappings_of(image.to_bytes())
    block = min(_inner(anatomy))
    keys = image.keys(block)
    keys[0], keys[1:] = 1, np.arange(len(keys) - 1) + 1_000_000
    image.restamp(block)
    image.flip_bit(block, 8 * 3000)
    left, _ = mappings_of(image.to_bytes())
    assert all(left[each] <= sound[each] for each in sound)


def _inner(anatomy: Anatomy) -> set[int]:
    return {place.block for place in anatomy.mapping_places() if not place.is_leaf}
