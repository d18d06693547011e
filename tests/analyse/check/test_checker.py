"""What a check finds in damaged pools: all of it, where it is, and what is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.damage import BLOCK, LAST_KEY, BlockKind, DamagedImage, kind_of
from tests.made_images import device_over
from tests.model.references import Walked
from thinmeta.analyse.check.checker import check_pool
from thinmeta.analyse.check.findings import (
    CheckExtent,
    CheckOptions,
    CheckReport,
    Finding,
    Part,
    Severity,
)
from thinmeta.errors import ThinmetaError
from thinmeta.model.pool import Pool, open_pool
from thinmeta.model.state import State
from thinmeta.schemas.columns import BLOCK_TIME, DEVICE_DETAILS
from thinmeta.units import MetadataBlock

SHARED = ("a08-snapshots-of-snapshots", "meta")
HELD = ("a13-metadata-snapshot-held", "meta-live-after-changes")


@contextmanager
def pool_of(image: DamagedImage) -> Iterator[Pool]:
    with device_over(image.to_bytes()) as device:
        yield open_pool(device)


def checked(image: DamagedImage, options: CheckOptions = CheckOptions()) -> CheckReport:  # noqa: B008
    with pool_of(image) as pool:
        return check_pool(pool, options)


def fatal(report: CheckReport) -> list[Finding]:
    return [each for each in report.findings if each.severity is Severity.FATAL]


def test_numbers_are_those_of_a_slow_walk() -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    walked = Walked(image.to_bytes()).walk()

    report = checked(image)

    assert (report.findings, report.worst) == ((), None)
    assert report.nr_devices == len(anatomy.device_ids)
    assert report.nr_mappings == sum(map(anatomy.mapped_blocks, anatomy.device_ids))
    is_node = [kind_of(image.sound[block]) is BlockKind.NODE for block in walked.metadata_blocks]
    assert report.nr_nodes == sum(is_node)


def test_a_shared_leaf_is_one_finding_that_names_all_devices() -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    leaf = next(
        place
        for place in anatomy.mapping_places()
        if place.is_leaf and anatomy.occurrences[place.block] > 1
    )
    devices = {
        place.device_id
        for place in anatomy.mapping_places()
        if place.block == leaf.block and place.device_id is not None
    }
    mapped = len(anatomy.mappings(leaf.block))
    image.flip_bit(leaf.block, 999)

    bad, *totals = fatal(checked(image))

    assert (bad.block, bad.part, bad.in_snapshot) == (leaf.block, Part.MAPPINGS, False)
    assert bad.device_ids == tuple(sorted(devices))
    assert (bad.first_key, bad.last_key, bad.key_name) == (leaf.low, leaf.last, "origin block")
    assert "wrong checksum" in bad.what
    assert [(each.device_ids, each.lost) for each in totals] == [
        ((device_id,), f"{mapped} mappings") for device_id in sorted(devices)
    ]


def test_all_damage_is_found_in_one_go() -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    first, last = anatomy.leaves(0)[0].block, anatomy.leaves(14)[-1].block
    bitmap = anatomy.space_map_blocks()[BlockKind.BITMAP][0]
    image.flip_bit(first, 999)
    image.zero(last)
    image.flip_bit(bitmap, 999)
    details = image.values(anatomy.details[-1].block, DEVICE_DETAILS)
    details["mapped_blocks"][3] += 7
    image.restamp(anatomy.details[-1].block)

    report = checked(image)

    assert {first, last, bitmap} <= {each.block for each in fatal(report)}
    assert any("but its details say" in each.what for each in fatal(report))
    assert report.lost_references


def test_lost_leaves_are_not_leaks() -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    image.zero(anatomy.leaves(0)[0].block)

    report = checked(image)

    # The blocks that the leaf referred to are counted too high now, which means nothing.
    assert {each.part for each in report.findings} == {Part.MAPPINGS}
    assert report.space_maps


def test_a_mapping_past_the_end_names_its_block() -> None:
    image, anatomy = DamagedImage.of(*HELD), Anatomy.of(*HELD)
    leaf = anatomy.leaves(5)[-1]
    values = image.values(leaf.block, BLOCK_TIME)
    values[2] = anatomy.nr_data_blocks << 24
    image.restamp(leaf.block)

    (bad,) = fatal(checked(image))

    origin_block, _, _ = anatomy.mappings(leaf.block)[2]
    assert (bad.block, bad.device_ids) == (leaf.block, (5,))
    assert (bad.first_key, bad.last_key) == (origin_block, origin_block)
    assert bad.lost == "their data"


def test_ids_that_one_tree_has_and_the_other_has_not() -> None:
    image, anatomy = DamagedImage.of(*HELD), Anatomy.of(*HELD)
    details, devices = anatomy.details[-1].block, anatomy.devices[-1].block
    image.remove_entry(details, 0)
    image.remove_entry(devices, 1)
    image.restamp(details, devices)
    first, second = anatomy.device_ids[:2]

    found = [each for each in fatal(checked(image)) if each.device_ids and "only" in each.what]

    assert [(each.device_ids, each.part, each.lost) for each in found] == [
        ((second,), Part.DETAILS, "its mappings"),
        ((first,), Part.DEVICES, "its details"),
    ]


def test_damage_in_the_snapshot_alone_is_marked() -> None:
    image = DamagedImage.of(*HELD)
    live, held = Anatomy.of(*HELD), Anatomy.of(*HELD, snapshot=True)
    own = {place.block for place in held.mapping_places()}
    own -= {place.block for place in live.mapping_places()}
    image.flip_bit(min(own), 999)

    report = checked(image)

    assert all(each.in_snapshot for each in fatal(report))
    assert min(own) in {each.block for each in report.findings}
    assert report.nr_mappings == sum(map(live.mapped_blocks, live.device_ids))


def test_a_bad_held_superblock_leaves_the_live_state_checked() -> None:
    image, anatomy = DamagedImage.of(*HELD), Anatomy.of(*HELD)
    image.flip_bit(anatomy.held_root, 999)

    report = checked(image)

    (bad,) = fatal(report)
    assert (bad.block, bad.in_snapshot, bad.lost) == (
        anatomy.held_root,
        True,
        "the metadata snapshot",
    )
    assert report.nr_devices == len(anatomy.device_ids)


def test_the_snapshot_alone_can_be_checked() -> None:
    held = Anatomy.of(*HELD, snapshot=True)
    with open_pool(unpacked(*HELD)) as pool:
        report = check_pool(pool.in_state(State.SNAP))

    assert report.worst is None
    assert not report.space_maps
    assert report.nr_mappings == sum(map(held.mapped_blocks, held.device_ids))


@pytest.mark.parametrize("extent", [CheckExtent.SUPERBLOCK, CheckExtent.DEVICES])
def test_what_is_not_asked_for_is_not_checked(extent: CheckExtent) -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    image.zero(anatomy.leaves(0)[0].block)

    assert checked(image, CheckOptions(extent)).worst is None
    image.zero(anatomy.details[0].block)
    expected = None if extent is CheckExtent.SUPERBLOCK else Severity.FATAL
    assert checked(image, CheckOptions(extent)).worst is expected


def test_other_roots_are_taken_instead() -> None:
    image = DamagedImage.of(*HELD)
    anatomy = Anatomy.of(*HELD)
    superblock = image.superblock()
    mapping_root = MetadataBlock(int(superblock["data_mapping_root"]))
    details_root = MetadataBlock(int(superblock["device_details_root"]))
    superblock["data_mapping_root"] = superblock["device_details_root"] = anatomy.held_root
    image.restamp(0)

    assert checked(image).worst is Severity.FATAL
    options = CheckOptions(mapping_root=mapping_root, details_root=details_root)
    assert checked(image, options).worst is None


def test_a_short_file_whose_end_is_free_is_not_fatal() -> None:
    image = DamagedImage.of(*SHARED)
    image.truncate((image.nr_blocks - 8) * BLOCK)

    report = checked(image)

    assert report.worst is Severity.NOT_FATAL
    assert [each.what for each in report.findings] == [
        f"counts {image.nr_blocks} blocks, but the file ends after {image.nr_blocks - 8}"
    ]


def test_progress_counts_all_leaves() -> None:
    told: list[tuple[int, int]] = []
    with open_pool(unpacked(*SHARED)) as pool:
        check_pool(pool, on_progress=lambda more, total: told.append((more, total)))

    assert all(more <= total for more, total in told)
    assert max(total for _, total in told) == len(
        {place.block for place in Anatomy.of(*SHARED).mapping_places() if place.is_leaf}
    )


def test_a_full_range_of_keys_is_told_for_a_root() -> None:
    image, anatomy = DamagedImage.of(*SHARED), Anatomy.of(*SHARED)
    image.zero(anatomy.device_roots[0])

    bad = next(each for each in fatal(checked(image)) if each.block is not None)

    assert (bad.first_key, bad.last_key, bad.lost) == (0, LAST_KEY, "what it held")


@pytest.mark.parametrize("seed", range(150))
def test_whatever_is_done_to_it_a_check_ends(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    case = (SHARED, HELD)[seed % 2]
    image, anatomy = DamagedImage.of(*case), Anatomy.of(*case)
    space_maps = [block for some in anatomy.space_map_blocks().values() for block in some]
    in_use = [0, *anatomy.nodes(), *space_maps]
    for _ in range(int(rng.integers(1, 5))):
        block, other = (int(rng.choice(in_use)) for _ in range(2))
        offset = 4 * int(rng.integers(1, 140))
        number = [other, 2**32 - 1, int(rng.integers(2**32))][int(rng.integers(3))]
        image.overwrite(block, offset, number.to_bytes(4, "little"))
        image.restamp(block)

    try:
        with open_pool(image.write_to(tmp_path / "image"), ignore_unsupported=True) as pool:
            report = check_pool(pool)
    except ThinmetaError:
        return
    assert report.nr_nodes <= image.nr_blocks * 2
