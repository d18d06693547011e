"""What is put together from below is what was there: nothing that is proven is wrong."""

import random
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.analyse.recover.lost_nodes_of import LosingPool
from tests.analyse.recover.mappings_of import mappings_of
from tests.anatomy import Anatomy, sound_output
from tests.cases import image_names
from tests.damage import BlockKind, DamagedImage, kind_of
from tests.in_process import invoked
from tests.needs import IS_THOROUGH
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import LEAF_NODE
from thinmeta.schemas.columns import BLOCK_TIME, INDEX_ENTRY, KEY, NODE_HEADER
from thinmeta.schemas.decode import pack_counts, unpack_counts

SNAPSHOTS = "a08-snapshots-of-snapshots"
DOCKER = "docker-loop-lvm-xfs-64k"
SHARED = "d02-shared-subtrees"


@pytest.mark.parametrize(("case", "image"), image_names())
def test_one_lost_node_comes_back_as_it_was(case: str, image: str) -> None:
    pool = LosingPool.of(case, image)

    for block in pool.inner[:: 1 if IS_THOROUGH else 3]:
        outcome = pool.loses(block)
        assert (outcome.proven, outcome.open) == (pool.nr_mappings(block), 0)


@pytest.mark.parametrize(
    ("case", "most", "least"),
    [
        ("a04-interleaved-four-thins-64k", 6, 1.0),
        ("a09-discards-and-deletes", 1, 0.66),
        ("a23-long-runs-and-holes", 3, 1.0),
        (SNAPSHOTS, 66 if IS_THOROUGH else 8, 0.71 if IS_THOROUGH else 0.6),
        (DOCKER, 91 if IS_THOROUGH else 4, 0.92 if IS_THOROUGH else 0.5),
        pytest.param(SHARED, 120, 0.889, marks=pytest.mark.thorough),
    ],
)
def test_of_two_lost_nodes_no_less_is_proven_than_was(
    case: str, most: int, least: float, record_property: Callable[[str, float], None]
) -> None:
    pool = LosingPool.of(case)
    found = [pool.loses(*pair) for pair in pool.flat_sets(2, most)]

    proven = sum(each.proven for each in found)
    share = proven / (proven + sum(each.open for each in found))
    record_property("share proven", share)
    assert len(found) == most
    assert share >= least


@pytest.mark.parametrize("case", ["a04-interleaved-four-thins-64k", SNAPSHOTS, DOCKER])
def test_what_is_proven_of_many_lost_nodes_is_right(case: str) -> None:
    pool, rng = LosingPool.of(case), random.Random(3)

    for _ in range(60 if IS_THOROUGH else 4):
        lost = rng.sample(pool.inner, min(len(pool.inner), rng.choice((2, 3, 4, 6))))
        lost += rng.sample(pool.leaves, rng.choice((0, 0, 1, 3)))
        pool.loses(*lost)


@pytest.mark.parametrize("case", ["a04-interleaved-four-thins-64k", SNAPSHOTS, DOCKER, SHARED])
def test_a_node_and_leaves_are_lost_together(case: str) -> None:
    pool, rng = LosingPool.of(case), random.Random(4)

    for _ in range(100 if IS_THOROUGH else 6):
        block = rng.choice(pool.inner)
        own = sorted(pool.below(block) & {*pool.leaves})
        lost = {*rng.sample(own, min(len(own), rng.choice((1, 2)))), rng.choice(pool.leaves)}
        if not {*pool.children[block]} <= lost:
            assert pool.loses(block, *lost).open == 0


def test_a_node_above_another_comes_back_with_it() -> None:
    pool = LosingPool.of("a16-metadata-and-data-resized")
    chains = [
        (above, each)
        for above, each in combinations(pool.inner, 2)
        if each in pool.below(above) or above in pool.below(each)
    ]

    for pair in chains:
        pool.loses(*pair)


DECIDED = {
    "a08-snapshots-of-snapshots": 13,
    "a15-data-full": 0,
    "a18-large-device-ids": 2,
    "docker-direct-lvm-ext4-512k": 7,
    "docker-loop-lvm-xfs-64k": 4,
    "a05-block-128k": 1,
    "a06-block-512k": 1,
    "a07-block-1m": 3,
    "docker-files-direct-lvm-ext4-64k": 5,
    "d02-shared-subtrees": 0,
    "podman-direct-lvm-ext4-512k": 5,
    "containerd-devmapper-ext4-64k": 10,
}
"""How many devices are decided where their list is lost, where that is not all."""


@pytest.mark.parametrize("case", sorted({case for case, _ in image_names()}))
def test_a_lost_list_of_devices_comes_back_as_far_as_it_is_decided(case: str) -> None:
    pool = LosingPool.of(case)

    found = pool.rebuilt(pool.device_list).roots

    for device_id, root in found.items():
        true = pool.device_roots[device_id]
        assert root.block == true or not (root.nr_mappings or pool.nr_mappings(true))
    assert len(found) >= DECIDED.get(case, len(pool.device_roots))


def test_a_pool_whose_list_of_devices_is_lost_is_printed_as_it_was(tmp_path: Path) -> None:
    case = "a09-discards-and-deletes"
    image = DamagedImage.of(case)
    root = int(image.superblock()["data_mapping_root"])
    image.zero(root)
    path = image.write_to(tmp_path / "meta.bin")

    result = invoked("dump", "--salvage", path)

    assert result.stdout_bytes == sound_output(case, "meta", "xml-1.1")
    assert result.exit_code == 0
    assert result.stderr.count(f"metadata block {root}: the B-tree node is lost") == 4


def test_devices_that_are_not_decided_are_told_as_lost(tmp_path: Path) -> None:
    image = DamagedImage.of(SNAPSHOTS)
    image.zero(int(image.superblock()["data_mapping_root"]))
    path = image.write_to(tmp_path / "meta.bin")

    result = invoked("ls", "--salvage", path)

    assert result.exit_code == 6
    assert result.stderr.count("its mapping tree is lost") == 2
    assert "2 of 15 devices are not complete" in result.stderr


def test_a_device_whose_root_is_lost_is_printed_as_it_was(tmp_path: Path) -> None:
    image, anatomy = DamagedImage.of(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    path = image.write_to(tmp_path / "meta.bin")
    root = next(
        place.block for place in anatomy.mapping_places() if place.is_root and not place.is_leaf
    )
    with path.open("r+b") as file:
        file.seek(root * 4096)
        file.write(bytes(4096))

    result = invoked("dump", "--salvage", path)

    assert result.stdout_bytes == sound_output(SNAPSHOTS, "meta", "xml-1.1")
    assert result.exit_code == 0
    assert f"metadata block {root}: the B-tree node is lost" in result.stderr


@pytest.mark.parametrize("case", [SNAPSHOTS, DOCKER])
def test_what_is_not_proven_is_told_and_all_else_stays(case: str) -> None:
    pool, image = LosingPool.of(case), DamagedImage.of(case)
    sound = mappings_of(image.to_bytes())[0]
    for lost in pool.flat_sets(2, 12 if IS_THOROUGH else 3, seed=5):
        image.zero(*lost)
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        for device_id, mappings in sound.items():
            assert left[device_id] <= mappings
            loss = losses.of(device_id)
            assert loss is not None
            ranges = [(each.first_key, each.last_key) for each in loss.ranges]
            missing = mappings - left[device_id]
            assert loss.missing == len(missing)
            for key, _, _ in missing:
                assert any(first <= key <= last for first, last in ranges), (lost, device_id)


@pytest.mark.parametrize("counts_data", [False, True])
@pytest.mark.parametrize("loses_leaf", [False, True])
def test_a_leak_is_not_taken_for_what_is_lost(*, loses_leaf: bool, counts_data: bool) -> None:
    case = "a09-discards-and-deletes" if counts_data else SNAPSHOTS
    pool, image = LosingPool.of(case), DamagedImage.of(case)
    sound = mappings_of(image.sound.tobytes())[0]
    traps = list(_traps(pool, image))
    random.Random(6).shuffle(traps)
    # Among the smallest are old lists of one device, which look like leaves of one mapping.
    traps = [*sorted(traps, key=lambda each: len(_keys(image, each[2])))[:2], *traps]
    nr_tried = 0
    for node, leaf, leaked in traps:
        if counts_data and not _count_data(image, leaked):
            continue
        _count(image, leaked)
        image.zero(node, *[leaf] * loses_leaf)
        left, losses = mappings_of(image.to_bytes())
        image.revert()
        nr_tried += 1

        assert all(left[each] <= sound[each] for each in sound), (node, leaf, leaked)
        assert left != sound or loses_leaf
        assert left == sound or not losses.is_complete
        if nr_tried == (40 if IS_THOROUGH else 4):
            return
    assert nr_tried


def _traps(pool: LosingPool, image: DamagedImage) -> Iterator[tuple[int, int, int]]:
    """Return nodes, leaves of theirs, and old leaves with keys that those may have had."""
    counts, blocks = _counts(image), range(1, image.nr_blocks)
    old = [
        block
        for block in blocks
        if not counts[block] and image.sound[block].any() and _is_leaf(image, block)
    ]
    for node in pool.inner:
        children = pool.children[node]
        spans = [tuple(_keys(image, child)[[0, -1]].tolist()) for child in children]
        for place, child in enumerate(children):
            low = spans[place - 1][1] if place else -1
            high = spans[place + 1][0] if place + 1 < len(children) else 2**63
            for each in old:
                keys = _keys(image, each)
                if low < keys[0] and keys[-1] < high:
                    yield node, child, each


def _is_leaf(image: DamagedImage, block: int) -> bool:
    header = image.sound[block][: NODE_HEADER.itemsize].view(NODE_HEADER)[0]
    is_node = kind_of(image.sound[block]) is BlockKind.NODE and header["value_size"] == 8
    return bool(is_node and header["flags"] == LEAF_NODE and header["nr_entries"] > 0)


def _keys(image: DamagedImage, block: int) -> npt.NDArray[np.uint64]:
    header = image.sound[block][: NODE_HEADER.itemsize].view(NODE_HEADER)[0]
    begin = NODE_HEADER.itemsize
    keys: npt.NDArray[np.uint64] = image.sound[block][begin:].view(KEY)[: header["nr_entries"]]
    return keys


def _count_data(image: DamagedImage, leaf: int) -> bool:
    """Count what a leaf maps once more; not if a count were too high for a bitmap."""
    root = int(image.superblock()["data_space_map_root"]["bitmap_root"])
    bitmap = int(image.values(root, INDEX_ENTRY)[0]["blocknr"])
    counts = unpack_counts(image.sound[bitmap][np.newaxis, 16:])
    mapped = block_time.data_block(image.values(leaf, BLOCK_TIME)).astype(np.int64)
    if counts[0, mapped].max() > 1:
        return False
    counts[0, mapped] += 1
    image.block(bitmap)[16:] = pack_counts(counts)[0]
    image.restamp(bitmap)
    return True


def _bitmap(image: DamagedImage) -> int:
    """Return the metadata space map's only bitmap."""
    root = int(image.superblock()["metadata_space_map_root"]["bitmap_root"])
    return int(image.fields(root, BlockKind.INDEX)["index"]["blocknr"][0])


def _counts(image: DamagedImage) -> npt.NDArray[np.uint8]:
    counts: npt.NDArray[np.uint8] = unpack_counts(image.sound[_bitmap(image)][np.newaxis, 16:])[0]
    return counts


def _count(image: DamagedImage, block: int) -> None:
    """Count a block that nothing refers to."""
    counts = _counts(image).copy()
    counts[block] = 1
    bitmap = _bitmap(image)
    image.block(bitmap)[16:] = pack_counts(counts[np.newaxis])[0]
    image.superblock()["metadata_space_map_root"]["nr_allocated"] += 1
    image.restamp(0, bitmap)


def test_nothing_is_put_past_the_end(tmp_path: Path) -> None:
    case = "a09-discards-and-deletes"
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    top = anatomy.devices[0].block
    image.children(top)[-1] = image.nr_blocks
    image.restamp(top)

    result = invoked("dump", "--salvage", image.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == 6
    assert f"metadata block {image.nr_blocks}: the B-tree node is past the end" in result.stderr
