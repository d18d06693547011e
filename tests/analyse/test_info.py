"""What is said of a pool as a whole is what the kernel, the reference tools and a slow walk say."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.cases import Recorded, image_bytes, image_names, recorded, unpacked
from tests.damage import BlockKind, DamagedImage
from tests.golden import dumped_images, parsed_xml, thin_dump
from tests.made_images import Image, mappings, written
from tests.model.references import Walked
from thinmeta.analyse.histograms import Histogram, count_ref_counts, histograms_of
from thinmeta.analyse.info import Condition, PoolInfo, Space, describe
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.pool import open_pool
from thinmeta.model.state import State
from thinmeta.model.superblock import SpaceMapRoot
from thinmeta.schemas.columns import REF_COUNT
from thinmeta.units import MetadataBlock
from thinmeta.walk.space_map import nr_shared

DUMPED = dumped_images()
DUMPED_IDS = ["/".join(image) for image in DUMPED]
IMAGES = image_names()
IMAGE_IDS = ["/".join(image) for image in IMAGES]

# What `dmsetup status` said when the images were made, as `transaction id, used/total metadata
# blocks, used/total data blocks, held root, metadata low water mark`. Used metadata blocks include
# the kernel's reserve.
STATUS = {
    "a01-empty-pool": "0 213/2048 0/1024 - 512",
    "a02-empty-pool-min-metadata": "7 61/512 0/1024 - 128",
    "a03-one-thin-sequential-64k": "1 221/2048 1536/2048 - 512",
    "a08-snapshots-of-snapshots": "15 262/2048 880/8192 - 512",
    "a11-needs-check-flag": "3 217/2048 314/4096 - 512",
    "a15-data-full": "2 219/2048 512/512 - 512",
    "a16-metadata-and-data-resized": "2 633/6144 1486/4096 - 1024",
    "a20-transaction-ids": "18446744073709551615 113/1024 0/1024 - 256",
    "a23-long-runs-and-holes": "3 439/4096 3029/32768 - 1024",
    "d02-shared-subtrees": "16 14853/32768 242625/167772160 - 1024",
}


def described(case: str, image: str = "meta", *, snapshot: bool = False) -> PoolInfo:
    with open_pool(unpacked(case, image), state=State.SNAP if snapshot else State.LIVE) as pool:
        return describe(pool)


@pytest.mark.parametrize("case", STATUS)
def test_space_is_what_the_kernel_said(case: str) -> None:
    info = described(case)

    held = info.superblock.held_root or "-"
    said = (
        f"{info.superblock.transaction_id}"
        f" {info.metadata.used + info.metadata.reserved}/{info.metadata.nr_blocks}"
        f" {info.data.used}/{info.data.nr_blocks} {held}"
        f" {min(1024, info.metadata.nr_blocks // 4)}"
    )

    assert said == STATUS[case]
    assert info.metadata.free == (
        info.metadata.nr_blocks - info.metadata.used - info.metadata.reserved
    )


@pytest.mark.parametrize(
    "run",
    [run for run in recorded("thin_check") if run.version == "1.1.0" and run.name == "thin_check"],
    ids=str,
)
def test_free_metadata_is_what_thin_check_says(run: Recorded) -> None:
    found = re.search(rb"METADATA_FREE_BLOCKS=(\d+)", run.stdout())
    assert found
    metadata = described(run.case, run.image).metadata

    assert metadata.free + metadata.reserved == int(found[1])


@pytest.mark.parametrize(("case", "image"), DUMPED, ids=DUMPED_IDS)
def test_contents_are_what_thin_dump_says(case: str, image: str) -> None:
    dumped = parsed_xml(thin_dump(case, image, "thin_dump", "0.9.0"))
    info = described(case, image)

    assert info.state is State.LIVE
    assert info.nr_devices == len(dumped.devices)
    assert info.mapped_blocks == sum(device.mapped_blocks for device in dumped.devices)
    assert info.superblock.transaction_id == dumped.superblock["transaction"]
    assert info.data.nr_blocks == dumped.superblock["nr_data_blocks"]
    assert info.data.block_bytes == 512 * dumped.superblock["data_block_size"]
    assert (info.lost, info.disagreements) == ((), ())


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_ref_counts_are_those_of_a_slow_walk(case: str, image: str) -> None:
    walked = Walked(image_bytes(case, image)).walk()
    data = Counter(walked.data_ref_counts(0).tolist())
    metadata = Counter(walked.metadata_blocks.values())
    del data[0]

    with open_pool(unpacked(case, image)) as pool:
        info = describe(pool)
        found = histograms_of(pool)

    assert found.data_ref_counts == Histogram(tuple(sorted(data.items())))
    assert found.metadata_ref_counts == Histogram(tuple(sorted(metadata.items())))
    assert info.data_blocks_above_1 == sum(count for value, count in data.items() if value > 1)
    assert found.data_ref_counts.total == info.data.used
    assert found.metadata_ref_counts.total == info.metadata.used


def slow_run_lengths(anatomy: Anatomy) -> tuple[Counter[int], int]:
    """Join the mappings of each device's leaves that no device before it has."""
    lengths: Counter[int] = Counter()
    seen: set[int] = set()
    for device_id in anatomy.device_ids:
        previous, length = None, 0
        for place in anatomy.leaves(device_id):
            if place.block in seen:
                continue
            seen.add(place.block)
            for block, data_block, time in anatomy.mappings(place.block):
                if previous == (block - 1, data_block - 1, time):
                    length += 1
                else:
                    lengths[length] += 1
                    length = 1
                previous = (block, data_block, time)
        lengths[length] += 1
    del lengths[0]
    return lengths, len(seen)


@pytest.mark.parametrize(("case", "image"), IMAGES, ids=IMAGE_IDS)
def test_run_lengths_are_those_of_a_slow_walk(case: str, image: str) -> None:
    lengths, nr_leaves = slow_run_lengths(Anatomy.of(case, image))

    with open_pool(unpacked(case, image)) as pool:
        found = histograms_of(pool).run_lengths

    assert found is not None
    assert found.histogram.bins == tuple(sorted(lengths.items()))
    assert found.nr_leaves == nr_leaves


def test_averages_and_totals() -> None:
    histogram = Histogram(((1, 3), (5, 1)))

    assert (histogram.total, histogram.average) == (4, 2.0)
    assert (Histogram(()).total, Histogram(()).average) == (0, 0)


def test_progress_tells_of_every_leaf() -> None:
    told: list[tuple[int, int]] = []
    with open_pool(unpacked("a23-long-runs-and-holes")) as pool:
        found = histograms_of(pool, lambda done, total: told.append((done, total)))

    assert found.run_lengths is not None
    assert sum(done for done, _ in told) == found.run_lengths.nr_leaves
    assert {total for _, total in told} == {found.run_lengths.nr_leaves}


# States.


def test_a_metadata_snapshot_has_its_own_contents_and_no_ref_counts() -> None:
    case, image = "a13-metadata-snapshot-held", "meta-live-after-changes"
    dumped = parsed_xml(thin_dump(case, image, "thin_dump-m", "0.9.0"))
    live, held = described(case, image), described(case, image, snapshot=True)

    assert held.state is State.SNAP
    assert held.superblock.transaction_id == dumped.superblock["transaction"]
    assert held.nr_devices == len(dumped.devices)
    assert held.mapped_blocks == sum(device.mapped_blocks for device in dumped.devices)
    assert (held.data, held.metadata) == (live.data, live.metadata)
    assert held.data_blocks_above_1 is None
    assert held.conditions == live.conditions == (Condition.SNAPSHOT_HELD,)
    with open_pool(unpacked(case, image), state=State.SNAP) as pool:
        found = histograms_of(pool)
    assert found.run_lengths is not None
    assert (found.data_ref_counts, found.metadata_ref_counts) == (None, None)


def conditions_of(
    directory: Path, *, data: tuple[int, int] = (0, 1000), metadata: tuple[int, int] = (0, 10000)
) -> tuple[Condition, ...]:
    """Return the conditions of a pool in which so many blocks of so many are used."""
    image = Image()
    path = written(directory / "image", image.pool({}, {}))
    with open_pool(path) as pool:
        none = MetadataBlock(0)
        superblock = pool.superblock._replace(
            data_space_map=SpaceMapRoot(data[1], data[0], none, none),
            metadata_space_map=SpaceMapRoot(metadata[1], metadata[0], none, none),
        )
        used = replace(pool, live_superblock=superblock, superblock=superblock)
        return describe(used).conditions


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, ()),
        (799, ()),
        (800, (Condition.DATA_NEARLY_FULL,)),
        (999, (Condition.DATA_NEARLY_FULL,)),
        (1000, (Condition.DATA_FULL,)),
        (1001, (Condition.DATA_FULL,)),
    ],
)
def test_data_is_nearly_full_from_four_fifths_on(
    tmp_path: Path, used: int, expected: tuple[Condition, ...]
) -> None:
    assert conditions_of(tmp_path, data=(used, 1000)) == expected


@pytest.mark.parametrize(
    ("used", "nr_blocks", "expected"),
    [
        # The low water mark is 1024 blocks, the reserve 4096: full comes before nearly full.
        (95_903, 100_000, ()),
        (95_904, 100_000, (Condition.METADATA_FULL,)),
        # Of small devices, a quarter and a tenth.
        (749, 1000, ()),
        (750, 1000, (Condition.METADATA_NEARLY_FULL,)),
        (899, 1000, (Condition.METADATA_NEARLY_FULL,)),
        (900, 1000, (Condition.METADATA_FULL,)),
        (2000, 1000, (Condition.METADATA_FULL,)),
    ],
)
def test_metadata_is_full_when_the_reserve_is_left(
    tmp_path: Path, used: int, nr_blocks: int, expected: tuple[Condition, ...]
) -> None:
    assert conditions_of(tmp_path, metadata=(used, nr_blocks)) == expected


def test_real_pools_have_the_conditions_that_they_were_made_for() -> None:
    assert described("a15-data-full").conditions == (Condition.DATA_FULL,)
    assert described("a11-needs-check-flag").conditions == (Condition.NEEDS_CHECK,)
    assert described("a09-discards-and-deletes").conditions == ()


# Ref counts.


@pytest.mark.parametrize(("nr_blocks", "above_1"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_counts_past_the_end_are_not_counted(nr_blocks: int, above_1: int) -> None:
    stored = np.zeros((1, 4080), dtype=np.uint8)
    stored[:, :2] = 0b00_11_10_01, 0b01_01_01_01  # ref counts 2, 1, 3 and more, 0; then all 2

    assert nr_shared(stored, nr_blocks) == above_1


# Damage.


def damaged(directory: Path, image: DamagedImage) -> Path:
    return image.write_to(directory / "image")


CASE = "a23-long-runs-and-holes"


def test_numbers_that_damage_hides_are_unknown_and_the_others_known(tmp_path: Path) -> None:
    image = DamagedImage.of(CASE)
    anatomy = Anatomy.of(CASE)
    sound = described(CASE)
    image.zero(anatomy.details[0].block)

    with open_pool(damaged(tmp_path, image)) as pool:
        info = describe(pool)

    assert [damage.block for damage in info.lost] == [anatomy.details[0].block]
    assert (info.nr_devices, info.mapped_blocks) == (None, None)
    assert info.data_blocks_above_1 == sound.data_blocks_above_1
    assert (info.data, info.metadata) == (sound.data, sound.metadata)


def test_a_bad_bitmap_hides_ref_counts_only(tmp_path: Path) -> None:
    image = DamagedImage.of(CASE)
    bitmap = Anatomy.of(CASE).space_map_blocks()[BlockKind.BITMAP][0]
    image.zero(bitmap)

    with open_pool(damaged(tmp_path, image)) as pool:
        info, found = describe(pool), histograms_of(pool)

    assert [damage.block for damage in info.lost] == [bitmap]
    assert info.data_blocks_above_1 is None
    assert info.nr_devices == 3
    assert [damage.block for damage in found.lost] == [bitmap]
    assert found.data_ref_counts is None
    assert found.run_lengths is not None
    assert found.metadata_ref_counts is not None


def test_a_bad_leaf_hides_run_lengths_only(tmp_path: Path) -> None:
    image = DamagedImage.of(CASE)
    leaf = Anatomy.of(CASE).leaves(1)[0].block
    image.zero(leaf)

    with open_pool(damaged(tmp_path, image)) as pool:
        info, found = describe(pool), histograms_of(pool)

    assert info.lost == ()
    assert [(damage.block, damage.device_id) for damage in found.lost] == [(leaf, 1)]
    assert found.run_lengths is None
    assert found.data_ref_counts is not None


@pytest.mark.parametrize("nr_blocks", [2**40, 2**60, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["data_space_map_root", "metadata_space_map_root"])
def test_more_blocks_than_there_can_be_bitmaps_for_are_not_counted(
    tmp_path: Path, name: str, nr_blocks: int
) -> None:
    image = DamagedImage.of(CASE)
    image.superblock()[name]["nr_blocks"] = nr_blocks
    image.restamp(0)

    with open_pool(damaged(tmp_path, image)) as pool:
        info, found = describe(pool), histograms_of(pool)
        collected: list[object] = []
        counts = pool.data_ref_counts if name.startswith("data") else pool.metadata_ref_counts
        with pytest.raises(DamagedMetadataError, match="there can be bitmaps for"):
            count_ref_counts(counts)
        first = next(replace(counts, on_damage=collected.append).chunks())

    assert len(first[1])
    assert "there can be bitmaps for" in str(collected[0])
    if name.startswith("data"):
        assert (info.data_blocks_above_1, info.data.nr_blocks) == (None, nr_blocks)
        assert found.data_ref_counts is None
    else:
        assert info.metadata.nr_blocks == nr_blocks
        assert found.metadata_ref_counts is None


def test_the_largest_ref_count_takes_no_memory(tmp_path: Path) -> None:
    case = "docker-loop-lvm-xfs-64k"
    image = DamagedImage.of(case)
    nodes = Anatomy.of(case).space_map_blocks()[BlockKind.NODE]
    leaves = [each for each in nodes if image.header(each)["value_size"] == REF_COUNT.itemsize]
    assert any(len(image.values(leaf, REF_COUNT)) for leaf in leaves)
    for leaf in leaves:
        image.values(leaf, REF_COUNT)[:] = 2**32 - 1
    image.restamp(*leaves)

    with open_pool(damaged(tmp_path, image)) as pool:
        found = histograms_of(pool).data_ref_counts

    assert found is not None
    assert found.bins[-1][0] == 2**32 - 1


def test_a_device_in_one_tree_only_is_a_disagreement(tmp_path: Path) -> None:
    image = Image()
    root = image.leaf(mappings(0, [9]))
    path = written(tmp_path / "image", image.pool({1: root, 2: root}, {1: 1, 3: 4}))

    with open_pool(path) as pool:
        info = describe(pool)

    assert (info.nr_devices, info.mapped_blocks) == (2, 5)
    assert [damage.device_id for damage in info.disagreements] == [3, 2]


def test_space_is_never_less_than_none() -> None:
    assert Space(4096, 10, 7, 5).free == 0
