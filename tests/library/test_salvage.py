"""Past damage the library goes on as `--salvage` does, and says what is lost, per device."""

from collections.abc import Iterator

import numpy as np
import pytest

import thinmeta
from tests.anatomy import Anatomy
from tests.cases import image_bytes, unpacked
from tests.damage import DamagedImage
from tests.made_images import Image, mappings
from tests.salvage.corpus import CASES, DELETES, destroyed, edited
from tests.salvage.remains import Remains, bad_blocks

REUSED = "a19-device-id-reuse"
SIZE = 24 << 20


@pytest.fixture
def damaged_leaf() -> Iterator[tuple[bytes, int]]:
    """An image whose device 5 has lost its first leaf; where that was."""
    image = DamagedImage.with_open_books(DELETES)
    block = Anatomy.of(DELETES).leaves(5)[0].block
    image.zero(block)
    yield image.to_bytes(), block
    image.revert()


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_is_what_the_model_has(case: str) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    for damage in [*destroyed(anatomy), *edited(anatomy)][::23]:
        damage.apply(image)
        remains = Remains(case, damage.is_bad)
        with thinmeta.open_pool(image.to_bytes()) as pool:
            left = pool.salvaged()
            usage = left.usage()
            losses = left.losses()
            runs = {each: list(device.runs().read()) for each, device in left.devices.items()}
        image.revert()

        expected = {each.device_id: each for each in remains.devices}
        assert runs == {each: device.runs for each, device in expected.items()}, str(damage)
        assert usage.mapped.tolist() == [len(each.mapped) for each in expected.values()]
        assert usage.is_complete.tolist() == [each.is_complete for each in expected.values()]
        assert losses.columns()["is_complete"].tolist() == usage.is_complete.tolist()


def test_a_device_says_what_is_lost_of_it(damaged_leaf: tuple[bytes, int]) -> None:
    content, block = damaged_leaf
    with thinmeta.open_pool(content) as pool:
        by_itself = [pool.device(each).losses() for each in (1, 5)]
        left = pool.salvaged()
        assert [left.device(each).losses().devices for each in (1, 5)] == [
            each.devices for each in by_itself
        ]
        assert [each.is_complete for each in by_itself] == [True, False]
        remains = {each.device_id: each for each in Remains(DELETES, bad_blocks([block])).devices}
        found, [lost] = len(remains[5].mapped), remains[5].lost
        assert (by_itself[1].devices[0].found, by_itself[1].devices[0].missing) == (
            found,
            (pool.device(5).mapped_blocks or 0) - found,
        )
        ranges = left.losses().range_columns()
    assert {name: column.tolist() for name, column in ranges.items() if name != "what"} == {
        "device_id": [5],
        "key_name": ["origin block"],
        "first_key": [lost.first],
        "last_key": [lost.last],
        "block": [block],
    }


def test_what_is_left_is_left_in_other_states_too() -> None:
    image = DamagedImage.of("a13-metadata-snapshot-held")
    image.zero(Anatomy.of("a13-metadata-snapshot-held").leaves(1)[0].block)
    content = image.to_bytes()
    image.revert()
    with thinmeta.open_pool(content) as pool:
        held = pool.salvaged().in_state(thinmeta.State.SNAP)
        direct = pool.in_state(thinmeta.State.SNAP).losses()
        assert held.losses().devices == direct.devices
        assert held.usage().is_complete.tolist() == [each.is_complete for each in direct.devices]
        by_spec = pool.salvaged().device("1@snap").losses()
        assert by_spec.devices == (direct.devices[0],)


@pytest.mark.parametrize("way", ["goes on", "salvaged"])
def test_what_is_lost_of_a_volume_is_never_zeros(way: str) -> None:
    image = DamagedImage.of(REUSED)
    image.zero(Anatomy.of(REUSED).leaves(1)[0].block)
    content = image.to_bytes()
    image.revert()
    told: list[thinmeta.Damage] = []
    on_damage = told.append if way == "goes on" else thinmeta.raise_damage

    with thinmeta.open_pool(content, on_damage=on_damage) as pool:
        left = pool.salvaged() if way == "salvaged" else pool
        with (
            left.device(1).open(unpacked(REUSED, "data"), size=SIZE) as volume,
            pytest.raises(OSError, match="the metadata that says where it is is damaged"),
        ):
            volume.read(4096)
    with (
        thinmeta.open_pool(content) as pool,
        pool.device(1).open(unpacked(REUSED, "data"), size=SIZE) as volume,
        pytest.raises(thinmeta.DamagedMetadataError),
    ):
        volume.read(4096)


def test_a_device_whose_mapping_tree_is_lost_maps_not_nothing() -> None:
    image = Image()
    content = image.pool({1: image.leaf(mappings(0, [7]))}, {1: 1, 2: 3, 4: 0})
    told: list[thinmeta.Damage] = []

    with thinmeta.open_pool(content) as pool:
        with pytest.raises(thinmeta.DamagedMetadataError, match=r"device 2.*mapping tree is lost"):
            pool.device(2).runs().read()
        with pytest.raises(thinmeta.DamagedMetadataError, match=r"device 2.*mapping tree is lost"):
            pool.device(2).open("data")
        assert len(pool.device(4).runs().read()) == 0
        assert pool.usage().is_complete.tolist() == [True, False, True]
        left = pool.salvaged()
        assert left.device(2).losses().devices[0].missing == 3
        with pytest.raises(thinmeta.InputError, match="nothing of its mapping tree is left"):
            left.device(2).open("data")
    with thinmeta.open_pool(content, on_damage=told.append) as pool:
        assert len(pool.device(2).runs().read()) == 0
    assert told[-1].what == "its mapping tree is lost"


def test_what_is_left_answers_with_bounds(damaged_leaf: tuple[bytes, int]) -> None:
    content, _ = damaged_leaf
    with thinmeta.open_pool(image_bytes(DELETES)) as pool:
        whole = pool.usage()
    with thinmeta.open_pool(content) as pool:
        left = pool.salvaged()
        usage, summary = left.usage(), left.diff(5, 5).summary()
        assert len(left.check().findings) > 0

    assert (usage.exclusive >= whole.exclusive).all()
    assert (usage.mapped <= whole.mapped).all()
    assert not usage.is_exact.any()
    assert (summary.same, summary.relation) == (int(usage.mapped[2]), None)


def test_states_are_found_without_a_superblock() -> None:
    content = bytearray(image_bytes(DELETES))
    with thinmeta.open_pool(bytes(content)) as pool:
        sound = {each: list(device.runs().read()) for each, device in pool.devices.items()}
        states = pool.states()
    content[:4096] = bytes(4096)

    with pytest.raises(thinmeta.InputError, match="no thin-pool superblock"):
        thinmeta.open_pool(content)
    found = thinmeta.find_states(content)
    roots = found[0].roots
    assert roots is not None
    with thinmeta.open_pool(content, state=roots) as pool:
        assert sound == {each: list(device.runs().read()) for each, device in pool.devices.items()}

    assert {each.roots for each in found} <= {each.roots for each in states}
    assert found[:2].columns()["mapping_root"].dtype == np.int64


def test_what_is_no_metadata_has_no_states() -> None:
    with pytest.raises(thinmeta.InputError, match="is text"):
        thinmeta.find_states(b"#!/bin/sh\n")
    with pytest.raises(thinmeta.InputError, match="nobody says where the metadata is"):
        thinmeta.find_states()
