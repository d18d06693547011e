"""What a scan finds in real pools: the live state, older ones, and what damage leaves."""

from collections import Counter
from functools import cache

import pytest

from tests.anatomy import Anatomy
from tests.cases import image_bytes, image_names
from tests.damage import BLOCK, BlockKind, DamagedImage
from tests.made_images import Image, details, device_over, mappings
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.scan import Scan, scan
from thinmeta.schemas.btree_node import Child, DeviceDetails

EMPTY = "a01-empty-pool"
HELD = "a13-metadata-snapshot-held"
DEEP = "d02-shared-subtrees"
DELETED = "a26-deleted-volumes"
DELETED_LAST = {(DELETED, "meta"), (DELETED, "meta-deleted"), ("c05-lvm-two-disks", "meta")}
"""Here deleting came last, and no time tells that state from the one before."""


each_image = pytest.mark.parametrize(
    ("case", "image"), image_names(), ids=["/".join(each) for each in image_names()]
)


def scanned(image: bytes) -> Scan:
    with device_over(image) as device:
        return scan(device)


@cache
def sound_scan(case: str, image: str = "meta") -> Scan:
    return scanned(image_bytes(case, image))


def roots_of(candidate: Candidate) -> tuple[int | None, int | None]:
    return candidate.mapping_root, candidate.details_root


def live_roots(case: str, image: str = "meta") -> tuple[int, int]:
    superblock = DamagedImage.of(case, image).superblock()
    return int(superblock["data_mapping_root"]), int(superblock["device_details_root"])


def found_devices(
    found: Scan, candidate: Candidate
) -> dict[int, tuple[int | None, int, int | None]]:
    return {
        each.device_id: (each.mapping_root, each.nr_mappings, each.mapped_blocks)
        for each in found.devices(candidate)
    }


def known_devices(anatomy: Anatomy) -> dict[int, tuple[int | None, int, int | None]]:
    return {
        device_id: (
            anatomy.device_roots[device_id],
            sum(len(anatomy.entries(leaf.block)) for leaf in anatomy.leaves(device_id)),
            anatomy.mapped_blocks(device_id),
        )
        for device_id in anatomy.device_ids
    }


# Sound pools


@each_image
def test_the_live_state_comes_first(case: str, image: str) -> None:
    first = sound_scan(case, image).candidates[0]

    assert first.is_live
    assert first.is_whole
    assert roots_of(first) == live_roots(case, image)
    assert sum(each.is_live for each in sound_scan(case, image).candidates) == 1


@each_image
def test_the_live_devices_are_those_of_its_trees(case: str, image: str) -> None:
    found, anatomy = sound_scan(case, image), Anatomy.of(case, image)
    known = known_devices(anatomy)

    assert found_devices(found, found.candidates[0]) == known
    assert found.candidates[0].nr_devices == len(known)
    assert found.candidates[0].nr_mappings == sum(count for _, count, _ in known.values())


@each_image
def test_all_blocks_in_use_are_told_apart(case: str, image: str) -> None:
    anatomy, classes = Anatomy.of(case, image), sound_scan(case, image).classes

    def classes_of(blocks: list[int]) -> set[int]:
        return set(classes[blocks].tolist())

    space_maps = anatomy.space_map_blocks()
    in_mappings = [place.block for place in anatomy.mapping_places()]
    assert classes[0] == BlockClass.SUPERBLOCK
    assert classes_of(in_mappings) <= {BlockClass.MAPPINGS}
    assert classes_of([place.block for place in anatomy.details]) == {BlockClass.DETAILS}
    assert classes_of(space_maps[BlockKind.INDEX]) == {BlockClass.INDEX}
    assert classes_of(space_maps[BlockKind.BITMAP]) == {BlockClass.BITMAP}
    assert classes_of(space_maps[BlockKind.NODE]) <= {
        BlockClass.BITMAP_INDEX,
        BlockClass.REF_COUNTS,
    } | ({BlockClass.MAPPINGS} if not anatomy.device_ids else set())


def test_heights_are_counted_from_the_leaves() -> None:
    places = {place.block: place for place in Anatomy.of(DEEP).mapping_places()}
    live = Counter(place.is_leaf for place in places.values())
    counted = {
        each.height: each.nr_blocks
        for each in sound_scan(DEEP).node_counts
        if each.kind is BlockClass.MAPPINGS
    }

    assert sorted(counted) == [0, 1]
    assert counted[0] >= live[True] > 1000
    assert counted[1] >= live[False] > 10


@pytest.mark.parametrize("image", ["meta", "meta-live-after-changes"])
def test_a_metadata_snapshot_is_a_state(image: str) -> None:
    found = sound_scan(HELD, image)
    held_root = Anatomy.of(HELD, image).held_root
    snapshot = Anatomy.of(HELD, image, snapshot=True)

    (held,) = [each for each in found.candidates if each.superblock == held_root]

    assert found.classes[held_root] == BlockClass.HELD_SUPERBLOCK
    assert [each.blocknr for each in found.superblocks] == [0, held_root]
    assert held.mapping_root == snapshot.devices[0].block
    assert held.details_root == snapshot.details[0].block
    assert found_devices(found, held) == known_devices(snapshot)


# Older states


@pytest.mark.parametrize(
    ("case", "later", "earlier"),
    [
        (HELD, "meta", "meta-live-at-reserve"),
        (HELD, "meta-released", "meta-live-at-reserve"),
        ("a11-needs-check-flag", "meta", "meta-before"),
        ("a16-metadata-and-data-resized", "meta", "meta-before"),
        ("docker-loop-lvm-xfs-64k", "meta", "meta-live-msnap"),
        ("docker-direct-lvm-ext4-512k", "meta", "meta-live-msnap"),
    ],
)
def test_the_state_of_an_earlier_copy_is_found(case: str, later: str, earlier: str) -> None:
    found = sound_scan(case, later)
    before = Anatomy.of(case, earlier)

    (state,) = [each for each in found.candidates if each.mapping_root == before.devices[0].block]

    assert found_devices(found, state) == known_devices(before)
    assert state.is_whole


@each_image
def test_a_lost_superblock_hides_no_state(case: str, image: str) -> None:
    if case == EMPTY:
        pytest.skip("a list of no devices is an empty leaf, which only a superblock tells apart")
    damaged = DamagedImage.of(case, image)
    damaged.zero(0)

    found = scanned(damaged.to_bytes())

    assert found.live_superblock is None
    assert not any(each.is_live for each in found.candidates)
    if (case, image) not in DELETED_LAST:
        assert roots_of(found.candidates[0]) == live_roots(case, image)
    assert {roots_of(each) for each in found.candidates} == {
        roots_of(each) for each in sound_scan(case, image).candidates
    }


def test_of_an_empty_pool_without_superblock_the_details_are_left() -> None:
    damaged = DamagedImage.of(EMPTY)
    damaged.zero(0)

    (state,) = scanned(damaged.to_bytes()).candidates

    assert roots_of(state) == (None, live_roots(EMPTY)[1])
    assert (state.nr_devices, state.is_pair) == (0, False)


# Damage


@pytest.mark.parametrize("case", ["a23-long-runs-and-holes", DEEP])
def test_a_lost_leaf_takes_its_own_mappings_only(case: str) -> None:
    anatomy = Anatomy.of(case)
    leaves = sorted({place.block for place in anatomy.mapping_places() if place.is_leaf})
    total = sound_scan(case).candidates[0].nr_mappings
    for leaf in leaves[:: max(1, len(leaves) // 3)]:
        damaged = DamagedImage.of(case)
        damaged.flip_bit(leaf, 3000)

        found = scanned(damaged.to_bytes())

        first = found.candidates[0]
        lost = anatomy.occurrences[leaf]
        assert found.classes[leaf] == BlockClass.BAD
        assert roots_of(first) == live_roots(case)
        assert (first.nr_nodes_lost, first.is_live, first.is_whole) == (lost, True, False)
        assert first.nr_mappings == total - lost * len(anatomy.entries(leaf))


def test_a_block_that_was_used_again_is_lost_to_its_old_parent() -> None:
    case = "a23-long-runs-and-holes"
    anatomy = Anatomy.of(case)
    device_id = next(each for each in anatomy.device_ids if len(anatomy.leaves(each)) > 2)
    first, second, *_ = [place.block for place in anatomy.leaves(device_id)]
    damaged = DamagedImage.of(case)
    damaged.copy(second, first)
    damaged.readdress(first)
    damaged.restamp(first)

    found = scanned(damaged.to_bytes())

    (device,) = [each for each in found.devices(found.candidates[0]) if each.device_id == device_id]
    assert found.classes[first] == BlockClass.MAPPINGS
    assert device.nr_nodes_lost == 1
    assert device.mapped_blocks is not None
    assert device.nr_mappings == device.mapped_blocks - len(anatomy.entries(first))


def test_a_block_of_another_place_is_torn() -> None:
    damaged = DamagedImage.of(HELD)
    source = Anatomy.of(HELD).details[0].block
    (target,) = damaged.free_blocks(1)
    damaged.copy(source, target)

    assert scanned(damaged.to_bytes()).classes[target] == BlockClass.TORN


def test_the_middle_of_a_tree_is_an_orphan_once_its_root_is_lost() -> None:
    anatomy = Anatomy.of(DEEP)
    device_id = anatomy.device_ids[0]
    root, *below = anatomy.mapping_tree(device_id)
    damaged = DamagedImage.of(DEEP)
    damaged.zero(*range(1, root.block + 1))  # older roots of the same parts go, too
    kept = [place for place in below if place.block > root.block]

    found = scanned(damaged.to_bytes())

    assert all(each.root > root.block for each in found.orphans)
    ranks = [each.nr_mappings for each in found.orphans]
    assert ranks == sorted(ranks, reverse=True)
    assert bool(found.orphans) == bool(kept)


def test_a_deleted_device_whose_list_is_lost_is_an_orphan() -> None:
    image = Image()
    leaves = [image.leaf(mappings(begin, range(100, 284), time=3)) for begin in (0, 184, 368)]
    orphan = image.internal([(0, leaves[0]), (184, leaves[1]), (368, leaves[2])])
    kept = image.leaf(mappings(0, range(700, 710)))
    found = scanned(image.pool({1: kept}, {1: 10}))

    (each,) = found.orphans

    assert (each.root, each.height, each.nr_leaves, each.nr_nodes_lost) == (orphan, 1, 3, 0)
    assert (each.first_key, each.last_key, each.nr_mappings) == (0, 551, 552)
    assert (each.time, each.highest_data_block) == (3, 283)


@pytest.mark.parametrize("nr_blocks", [60, 100, 200])
def test_a_truncated_copy_keeps_what_lies_before_its_end(nr_blocks: int) -> None:
    case = "a08-snapshots-of-snapshots"
    damaged = DamagedImage.of(case)
    damaged.truncate(nr_blocks * BLOCK + 100)

    found = scanned(damaged.to_bytes())

    whole = [
        each
        for each in sound_scan(case).candidates
        if max(map(int, filter(None, roots_of(each)))) < nr_blocks
    ]
    assert len(found.classes) == nr_blocks
    assert {each.mapping_root for each in whole} <= {each.mapping_root for each in found.candidates}
    assert found.candidates[0].is_whole
    assert roots_of(found.candidates[0]) == roots_of(whole[0])


def test_lost_details_are_replaced_by_older_ones_of_the_same_devices() -> None:
    case = "a08-snapshots-of-snapshots"
    roots, details_root = live_roots(case)
    damaged = DamagedImage.of(case)
    damaged.flip_bit(details_root, 3000)

    found = scanned(damaged.to_bytes())

    state = next(each for each in found.candidates if each.mapping_root == roots)
    assert state.superblock == 0
    assert state.details_root not in (None, details_root)
    assert not state.is_live
    devices = found.devices(state)
    assert [each.device_id for each in devices] == Anatomy.of(case).device_ids
    assert all(each.mapped_blocks is not None for each in devices)


# Pools that thin_dump --repair gets wrong


def test_one_mapping_to_data_block_0_is_no_list_of_devices() -> None:
    image = Image()
    root = image.leaf(mappings(0, [0]))
    found = scanned(image.pool({1: root}, {1: 1}))

    (state,) = found.candidates
    assert state.is_live
    assert state.is_whole
    assert (state.nr_devices, state.nr_mappings, state.highest_data_block) == (1, 1, 0)


@pytest.mark.parametrize("time", [0, 1, 2, 5])
def test_a_young_live_state_wins_over_an_older_one_without_mappings(time: int) -> None:
    image = Image()
    empty = image.leaf([])
    image.leaf([(1, empty)], Child)
    image.leaf([(1, details(0)), (2, details(0))], DeviceDetails)
    roots = {1: image.leaf(mappings(0, [0], time)), 2: empty}

    found = scanned(image.pool(roots, {1: 1, 2: 0}))

    assert found.candidates[0].is_live
    assert found.candidates[0].nr_mappings == 1
