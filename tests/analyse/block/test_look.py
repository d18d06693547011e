"""A block looked at: what a walker that trusts all it reads finds, on real pools; and damage."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analyse.recover.test_hostile_images import stamped_blocks
from tests.anatomy import Anatomy
from tests.cases import image_bytes
from tests.damage import BlockKind, DamagedImage
from tests.made_images import device_over
from tests.properties import examples
from thinmeta.analyse.block.block_diff import block_difference
from thinmeta.analyse.block.look import BlockReport, look_at
from thinmeta.analyse.block.scanned_blocks import ScannedBlocks
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.errors import NotThereError
from thinmeta.formats.block import block_text
from thinmeta.formats.block_difference import difference_json, difference_text
from thinmeta.formats.block_objects import block_json
from thinmeta.schemas.columns import BLOCK_TIME, CHILD

DELETED = "a09-discards-and-deletes"
SHARED = "a08-snapshots-of-snapshots"
HELD = "a13-metadata-snapshot-held"
DOCKER = "docker-direct-lvm-ext4-512k"

NR_METADATA_BLOCKS = 150
"""So many blocks of each pool are looked at: those that were ever written, or most."""


@cache
def reports(case: str) -> list[BlockReport]:
    with device_over(image_bytes(case)) as device:
        whole = ScannedBlocks.of(device)
        return [look_at(whole, block) for block in range(NR_METADATA_BLOCKS)]


def looked_at(image: DamagedImage, *blocks: int) -> list[BlockReport]:
    with device_over(image.to_bytes()) as device:
        whole = ScannedBlocks.of(device)
        return [look_at(whole, block) for block in blocks]


@pytest.mark.parametrize("case", [DELETED, SHARED, HELD])
def test_the_kernel_counts_the_references_that_are_found(case: str) -> None:
    """Its reference counts are the oracle."""
    found = reports(case)

    assert [each.ways.nr_in_use for each in found] == [each.ref_count for each in found]
    assert all(each.ways.is_reachable == bool(each.ref_count) for each in found[1:])
    assert sum(1 for each in found if each.ref_count) > 10


@pytest.mark.parametrize("case", [DELETED, SHARED])
def test_each_node_is_in_the_devices_whose_trees_have_it(case: str) -> None:
    anatomy = Anatomy.of(case)
    holders: dict[int, set[int]] = {}
    for device_id in anatomy.device_ids:
        for place in anatomy.mapping_tree(device_id):
            holders.setdefault(place.block, set()).add(device_id)

    found = {
        each.block: {*led.device_ids.tolist()}
        for each in reports(case)
        for led in each.ways.states
        if led.state.is_live and each.block_class is BlockClass.MAPPINGS
    }

    assert found == {block: ids for block, ids in holders.items() if block < NR_METADATA_BLOCKS}


@pytest.mark.parametrize("case", [DELETED, SHARED])
def test_entries_are_those_that_stand_there(case: str) -> None:
    anatomy, found = Anatomy.of(case), reports(case)
    row = DamagedImage.of(case).sound

    for place in anatomy.mapping_places():
        if place.block >= NR_METADATA_BLOCKS:
            continue
        entries = found[place.block].content.entries
        if place.is_leaf:
            mappings = zip(entries["key"], entries["data_block"], entries["time"], strict=True)
            assert [tuple(map(int, each)) for each in mappings] == anatomy.mappings(place.block)
        else:
            children = zip(entries["key"].tolist(), entries["child"].tolist(), strict=True)
            assert list(children) == anatomy.entries(place.block)
        values = BLOCK_TIME if place.is_leaf else CHILD
        for offset, value in zip(
            entries["value_offset"], anatomy.entries(place.block), strict=True
        ):
            held = row[place.block, int(offset) : int(offset) + 8].view(values)
            assert int(held[0]) == value[1]


def test_blocks_of_all_kinds_are_sound_and_decoded() -> None:
    found = [each for each in reports(DELETED) if each.block_class < BlockClass.TORN]

    assert {each.block_class for each in found} == {
        *(BlockClass.SUPERBLOCK, BlockClass.MAPPINGS, BlockClass.DEVICE_ROOTS),
        *(BlockClass.DETAILS, BlockClass.BITMAP_INDEX, BlockClass.REF_COUNTS),
        *(BlockClass.INDEX, BlockClass.BITMAP),
    }
    for each in found:
        content = each.content
        assert content.faults == ()
        assert content.stored_checksum == content.right_checksum
        assert {field.name: field.value for field in content.fields}["blocknr"] == each.block
        end = 0
        for field in content.fields:
            assert field.offset == end or each.block_class is BlockClass.SUPERBLOCK
            assert field.doc
            end = field.offset + field.nr_bytes


def test_the_counts_of_a_bitmap_are_all_there() -> None:
    bitmap = next(each for each in reports(DELETED) if each.block_class is BlockClass.BITMAP)

    assert int(bitmap.content.entries["length"].sum()) == 16320


def test_versions_are_older_lists_of_the_same_devices() -> None:
    """Which states there are, and what stands in them, was written down by who made the pool."""
    live = Anatomy.of(DELETED)
    (root,) = (place.block for place in live.devices)

    found = reports(DELETED)[root].versions

    assert found.nr_same.tolist() == sorted(found.nr_same.tolist(), reverse=True)
    own = dict(live.entries(root))
    for block, nr_same in zip(found.blocks.tolist(), found.nr_same.tolist(), strict=True):
        other = dict(live.entries(block))
        assert nr_same == len(own.items() & other.items())
        assert own.keys() & other.keys()


def test_a_leaf_with_a_wrong_key_is_decoded_and_its_predecessor_found() -> None:
    image = DamagedImage.of(DOCKER)
    leaf = Anatomy.of(DOCKER).leaves(2)[0].block
    keys = image.keys(leaf)
    key = int(keys[1])
    keys[1] += 254

    (found,) = looked_at(image, leaf)

    assert found.block_class is BlockClass.BAD
    assert found.content.faults == ("has a wrong checksum", "has keys out of order")
    assert found.content.entries["key"][1] == key + 254
    assert found.ways.expected is not None
    assert found.ways.expected.kind is BlockClass.MAPPINGS
    assert found.ways.is_reachable
    best = int(found.versions.blocks[0])
    assert int(found.versions.nr_same[0]) == found.content.nr_entries - 2
    assert key in dict(Anatomy.of(DOCKER).entries(best))


@pytest.mark.parametrize("kind", [*BlockKind])
def test_a_wrong_checksum_is_told_beside_the_right_one(kind: BlockKind) -> None:
    image = DamagedImage.of(DELETED)
    anatomy = Anatomy.of(DELETED)
    block = {BlockKind.SUPERBLOCK: 0}.get(kind) or anatomy.space_map_blocks().get(kind, [0])[0]
    (sound,) = looked_at(image, block)
    image.flip_bit(block, 1)

    (found,) = looked_at(image, block)

    assert found.content.structure is sound.content.structure
    assert found.content.stored_checksum == (sound.content.right_checksum or 0) ^ 2
    assert found.content.right_checksum == sound.content.right_checksum
    assert any("checksum" in fault for fault in found.content.faults)


def test_what_was_written_for_another_block_is_told() -> None:
    image = DamagedImage.of(DELETED)
    leaf = Anatomy.of(DELETED).leaves(8)[0].block
    free = image.free_blocks(1)[0]
    image.copy(leaf, free)

    misplaced, own = looked_at(image, free, leaf)

    assert misplaced.block_class is BlockClass.TORN
    assert "was written for another block" in misplaced.content.faults
    assert free in own.versions.blocks.tolist()


def test_without_a_superblock_the_rest_is_told() -> None:
    image = DamagedImage.of(DELETED)
    root = Anatomy.of(DELETED).devices[0].block
    image.zero(0)

    first, found = looked_at(image, 0, root)

    assert first.block_class is BlockClass.ZERO
    assert (found.ref_count, found.ways.nr_in_use) == (None, None)
    assert not found.ways.is_reachable
    assert [led.state.mapping_root for led in found.ways.states] == [root]


def test_a_block_past_the_end_is_not_there() -> None:
    with pytest.raises(NotThereError, match="there is no block 2048: the metadata has only 2048"):
        looked_at(DamagedImage.of(DELETED), 2048)


def test_bitmaps_are_compared_by_block() -> None:
    found = reports(DELETED)
    first, second, *_ = (each for each in found if each.block_class is BlockClass.BITMAP)

    compared = block_difference(first, second)

    assert compared.is_comparable
    assert compared.nr_same + len(compared.keys) == 16320
    assert 0 < len(compared.keys) < 16320


@examples(12)
@given(data=st.data(), nr_blocks=st.integers(1, 5))
def test_contents_with_right_checksums_are_no_crash(data: st.DataObject, nr_blocks: int) -> None:
    image = b"".join(data.draw(stamped_blocks(number)) for number in range(nr_blocks))
    with device_over(image) as device:
        whole = ScannedBlocks.of(device)
        found = [look_at(whole, block) for block in range(nr_blocks)]

    for each in found:
        assert b"".join(block_text(each, show_all=True, raw=True))
        assert b"".join(block_json(each, raw=True))
    compared = block_difference(found[0], found[-1])
    assert b"".join(difference_json(compared))
    assert b"".join(difference_text(compared, show_all=True))
