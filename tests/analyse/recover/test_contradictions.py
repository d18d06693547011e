"""Nodes with right checksums and wrong keys or children: their children say what was there."""

import random

import pytest

from tests.analyse.recover.mappings_of import mappings_of
from tests.anatomy import Anatomy
from tests.damage import DamagedImage
from tests.needs import IS_THOROUGH

SNAPSHOTS = "a08-snapshots-of-snapshots"
CASES = ["a04-interleaved-four-thins-64k", SNAPSHOTS, "a16-metadata-and-data-resized"]


@pytest.mark.parametrize("case", CASES)
def test_wrong_keys_of_every_node_above_the_leaves(case: str) -> None:
    image, anatomy, rng = DamagedImage.of(case), Anatomy.of(case), random.Random(case)
    sound, _ = mappings_of(image.to_bytes())
    inner = sorted({place.block for place in anatomy.mapping_places() if not place.is_leaf})
    for _ in range(20 if IS_THOROUGH else 2):
        for block in inner:
            keys = image.keys(block)
            at = rng.randrange(len(keys))
            low = int(keys[at - 1]) + 1 if at else 0
            high = int(keys[at + 1]) if at + 1 < len(keys) else 2**40
            keys[at] = rng.randrange(low, high)
            image.restamp(block)
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        assert left == sound
        assert losses.is_complete


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_child(case: str) -> None:
    image, anatomy, rng = DamagedImage.of(case), Anatomy.of(case), random.Random(case)
    sound, _ = mappings_of(image.to_bytes())
    inner = sorted({place.block for place in anatomy.mapping_places() if not place.is_leaf})
    for block in inner[:: 1 if IS_THOROUGH else 3]:
        children = image.children(block)
        children[rng.randrange(len(children))] = rng.choice([1, image.nr_blocks - 1, 2**40])
        image.restamp(block)
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        assert left == sound
        assert losses.is_complete
        assert {each.block for each in losses.rebuilt} == {block}


def test_what_is_wrong_is_told() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    block = next(place.block for place in anatomy.mapping_places() if not place.is_leaf)
    image.keys(block)[1] += 1
    image.restamp(block)
    [told] = mappings_of(image.to_bytes())[1].rebuilt
    assert told.what == (
        "1 of the 3 keys of the B-tree node is wrong; 531 mappings that hang below it are proven "
        "by what its children hold"
    )


def test_a_node_that_another_took_the_place_of_is_lost_and_its_children_are_not() -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    sound, _ = mappings_of(image.to_bytes())
    inner = sorted({place.block for place in anatomy.mapping_places() if not place.is_leaf})
    leaves = sorted({place.block for place in anatomy.mapping_places() if place.is_leaf})
    for block in inner[:: 1 if IS_THOROUGH else 4]:
        image.copy(leaves[block % len(leaves)], block)
        image.readdress(block)
        image.restamp(block)
        left, _ = mappings_of(image.to_bytes())
        image.revert()
        others = {each for each in sound if block not in anatomy_of(anatomy, each)}
        assert all(left[each] == sound[each] for each in others)


def anatomy_of(anatomy: Anatomy, device_id: int) -> set[int]:
    return {place.block for place in anatomy.mapping_tree(device_id)}
