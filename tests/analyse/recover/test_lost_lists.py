"""Lists of more devices than a leaf holds: what is above their leaves comes back."""

from collections.abc import Callable, Sequence

import pytest

from tests.analyse.recover.mappings_of import Mappings, mappings_of
from tests.anatomy import Anatomy
from tests.builder.documents import Document, Run
from tests.damage import DamagedImage
from thinmeta.builder.restore import restore

NR_DEVICES = 300


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> DamagedImage:
    """Return a pool of which each device has other mappings than all others."""
    folder = tmp_path_factory.mktemp("lists")
    devices: dict[int, Sequence[Run | str]] = {
        3 * each: [(each, 10 * each, 1 + each % 7, 2)] for each in range(1, NR_DEVICES + 1)
    }
    (folder / "pool.xml").write_text(Document(devices=devices).xml())
    restore(folder / "pool.xml", folder / "meta.bin")
    return DamagedImage((folder / "meta.bin").read_bytes())


@pytest.fixture(scope="module")
def sound(image: DamagedImage) -> Mappings:
    return mappings_of(image.sound.tobytes())[0]


def _top_of_roots(anatomy: Anatomy) -> set[int]:
    return {anatomy.devices[0].block}


def _top_of_details(anatomy: Anatomy) -> set[int]:
    return {anatomy.details[0].block}


def _both(anatomy: Anatomy) -> set[int]:
    return _top_of_roots(anatomy) | _top_of_details(anatomy)


@pytest.mark.parametrize("lost", [_top_of_roots, _top_of_details, _both])
def test_all_devices_are_there(
    image: DamagedImage, sound: Mappings, lost: Callable[[Anatomy], set[int]]
) -> None:
    blocks = lost(Anatomy(image))
    image.zero(*blocks)
    left, losses = mappings_of(image.to_bytes())
    image.revert()

    assert len(sound) == NR_DEVICES
    assert left == sound
    assert losses.is_complete
    assert {each.block for each in losses.rebuilt} == blocks
    assert {each.device_id for each in losses.rebuilt} == {*sound}


def test_with_a_leaf_that_is_lost_nothing_is_proven(image: DamagedImage, sound: Mappings) -> None:
    anatomy = Anatomy(image)
    leaf = next(place.block for place in anatomy.devices if place.is_leaf)
    image.zero(leaf, *_top_of_roots(anatomy))
    left, losses = mappings_of(image.to_bytes())
    image.revert()

    assert all(left[each] <= sound[each] for each in left)
    assert not losses.is_complete


def test_where_the_books_do_not_close_nothing_is_proven(
    image: DamagedImage, sound: Mappings
) -> None:
    image.superblock()["metadata_space_map_root"]["nr_allocated"] += 1
    image.restamp(0)
    image.zero(*_top_of_details(Anatomy(image)))
    left, losses = mappings_of(image.to_bytes())
    image.revert()

    assert not losses.rebuilt
    assert not losses.is_complete
    assert all(left[each] <= sound[each] for each in left)
