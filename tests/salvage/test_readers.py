"""`--salvage` of diff, ls, rmap, lookup and info, held against the slow model of what is left."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.conftest import Thinmeta
from tests.damage import DamagedImage, ImageFile
from tests.salvage.corpus import DELETES, DOCKER, LONG, SNAPSHOTS, mapping_nodes
from tests.salvage.remains import DeviceRemains, Remains, bad_blocks, told_in

Damaged = tuple[Path, Remains, list[int]]


def damaged(
    case: str, directory: Path, count: int, nr_data_blocks: int | None = None
) -> Iterator[Damaged]:
    """Damage an image again and again: some nodes are zeroed, perhaps data is past the end."""
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    file = ImageFile(directory / "meta.bin", image)
    rng = np.random.default_rng(len(case))
    for seed in range(count):
        bad = rng.choice(mapping_nodes(anatomy), 1 + seed % 3, replace=False).tolist()
        image.zero(*bad)
        if nr_data_blocks is not None:
            image.superblock()["data_space_map_root"]["nr_blocks"] = nr_data_blocks
            image.restamp(0)
        with file.damaged() as path:
            yield path, Remains(case, bad_blocks(bad), nr_data_blocks=nr_data_blocks), bad


def json_lines(thinmeta: Thinmeta, *args: object, is_complete: bool) -> list[dict[str, Any]]:
    """Run a command with --salvage; return its JSON objects without those on losses."""
    result = thinmeta(*args, "--salvage", "-f", "json")
    assert result.exit_code == (0 if is_complete else 6), result.output
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    return [each for each in objects if not each["type"].startswith("los")]


# diff


def fate(left: DeviceRemains, right: DeviceRemains, block: int) -> str | None:
    """Return what must be said of a block; None if nothing is left of it on either side."""
    sides = left, right
    is_mapped = [block in side.mapped for side in sides]
    is_beyond = [block in side.kept and not mapped for side, mapped in zip(sides, is_mapped)]  # noqa: B905
    is_lost = [any(lost.covers(block) for lost in side.lost) for side in sides]
    if any(is_beyond) or (any(is_mapped) and any(is_lost)):
        return "unknown"
    if not any(is_mapped):
        return None
    if all(is_mapped):
        return "same" if left.mapped[block][0] == right.mapped[block][0] else "changed"
    return "removed" if is_mapped[0] else "added"


@pytest.mark.parametrize(
    ("case", "nr_data_blocks"),
    [(SNAPSHOTS, None), (SNAPSHOTS, 300), (DELETES, 700), (DOCKER, 60), (LONG, None)],
)
def test_a_diff_says_unknown_where_a_side_is_lost(
    case: str, nr_data_blocks: int | None, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    rng = np.random.default_rng(3)
    seen: Counter[str] = Counter()
    for path, remains, bad in damaged(case, tmp_path, 6, nr_data_blocks):
        spoiled = [each for each in remains.devices if each.lost]
        left = spoiled[int(rng.integers(len(spoiled)))]
        right = remains.devices[int(rng.integers(len(remains.devices)))]
        if rng.integers(2):
            left, right = right, left
        blocks = sorted(left.whole.keys() | right.whole.keys())
        expected = {block: what for block in blocks if (what := fate(left, right, block))}

        summary, *ranges = json_lines(
            thinmeta,
            *("diff", left.device_id, right.device_id, "-p", path),
            *("--only", "added,changed,removed,same,unknown"),
            is_complete=False,
        )

        found = {
            each["origin_begin"] + place: each["change"]
            for each in ranges
            for place in range(each["length"])
        }
        assert found == expected, bad
        counts = Counter(expected.values())
        assert {kind: summary.get(f"{kind}_blocks", 0) for kind in WORDS} == {
            kind: counts[kind] for kind in WORDS
        }
        assert (summary["complete"], summary["relation"]) == (False, None)
        seen += counts + Counter(beyond=left.beyond + right.beyond)
    assert seen["unknown"]
    assert bool(seen["beyond"]) == (nr_data_blocks is not None)


WORDS = ("added", "changed", "removed", "same", "unknown")


def test_no_block_is_added_where_the_left_side_was_lost(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image, anatomy = DamagedImage.with_open_books(DOCKER), Anatomy.of(DOCKER)
    truth = {each.device_id: each.whole for each in Remains(DOCKER).devices}
    image.zero(anatomy.mapping_tree(11)[0].block)
    path = image.write_to(tmp_path / "meta.bin")
    kinds = "added", "removed"

    for left, right, kind in ((11, 14, "added"), (14, 11, "removed")):
        result = thinmeta("diff", left, right, "-p", path, "--salvage", "-f", "csv")
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert {row["change"] for row in rows}.isdisjoint(kinds), kind
        assert sum(int(row["length"]) for row in rows) == len(truth[14])
        assert {row["left_data_begin"] + row["right_data_begin"] for row in rows} == {""}
        text = thinmeta("diff", left, right, "-p", path, "--salvage")
        assert text.exit_code == 6
        assert f"A part of device {left} or of device {right} is lost" in text.stdout


def test_a_diff_of_devices_that_damage_spares_is_complete(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(DOCKER), Anatomy.of(DOCKER)
    sound = thinmeta("diff", 11, 14, "-p", image.write_to(tmp_path / "sound.bin"))
    image.zero(anatomy.mapping_tree(2)[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("diff", 11, 14, "-p", path, "--salvage")

    assert (result.stdout, result.stderr, result.exit_code) == (sound.stdout, "", 0)


# ls


def truth_of(remains: Remains) -> dict[int, dict[str, int | None]]:
    """Return what `ls` would say if nothing was damaged."""
    uses = Counter(data for each in remains.devices for data, _ in each.whole.values())
    return {
        each.device_id: {
            "mapped_blocks": len(each.whole),
            "exclusive_blocks": sum(uses[data] == 1 for data, _ in each.whole.values()),
            "shared_blocks": sum(uses[data] > 1 for data, _ in each.whole.values()),
            "highest_block": max(each.whole, default=None),
            "new_blocks": sum(time >= each.snap_time for _, time in each.whole.values()),
        }
        for each in remains.devices
    }


FIELDS = "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS,HIGHEST_BLOCK,NEW"


def assert_bounds_hold(
    row: dict[str, Any], truth: dict[str, int | None], *, is_complete: bool
) -> None:
    assert row["complete"] == is_complete
    for key, true in truth.items():
        value, bound = row[key], row["bounds"].get(key)
        if bound is None:
            assert value == true, key
        elif value is not None:
            assert true is not None
            assert value <= true if bound == "≥" else value >= true, (key, bound, value, true)
        else:
            assert bound == "≥"


@pytest.mark.parametrize(
    ("case", "nr_data_blocks"),
    [(SNAPSHOTS, None), (SNAPSHOTS, 3000), (DELETES, None), (DOCKER, None), (LONG, None)],
)
def test_the_bounds_of_ls_hold(
    case: str, nr_data_blocks: int | None, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    for path, remains, _ in damaged(case, tmp_path, 8, nr_data_blocks):
        truth = truth_of(remains)

        rows = json_lines(thinmeta, "ls", path, "-o", FIELDS, is_complete=False)

        assert [row["device_id"] for row in rows] == [each.device_id for each in remains.devices]
        for row, each in zip(rows, remains.devices, strict=True):
            assert row["mapped_blocks"] == len(each.mapped)
            # Where data is past the device's end, nobody can have it exclusively.
            known = dict(truth[each.device_id])
            if nr_data_blocks is not None:
                del known["exclusive_blocks"]
            assert_bounds_hold(row, known, is_complete=each.is_complete)


def test_ls_shows_bounds_to_people(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    image.zero(anatomy.leaves(1)[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    table = thinmeta("ls", path, "--salvage", "-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,RUNS")
    tree = thinmeta("ls", path, "--salvage", "--tree")

    left = {
        each.device_id: len(each.mapped)
        for each in Remains(DELETES, bad_blocks([anatomy.leaves(1)[0].block])).devices
    }
    rows = {row.split()[0]: row.split()[1:] for row in table.stdout.splitlines()[1:]}
    assert rows["1"][0] == f"≥{left[1]}"
    assert rows["5"][0] == "640"
    assert all(row[1].startswith("≤") for row in rows.values())
    assert rows["1"][2].startswith("~")
    assert tree.exit_code == table.exit_code == 6
    assert "≥" in tree.stdout


# rmap


@pytest.mark.parametrize(
    ("case", "nr_data_blocks"), [(SNAPSHOTS, None), (DELETES, 1000), (DOCKER, None), (LONG, None)]
)
def test_rmap_shows_all_that_is_left(
    case: str, nr_data_blocks: int | None, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    for path, remains, _ in damaged(case, tmp_path, 6, nr_data_blocks):
        runs = json_lines(
            thinmeta, "rmap", path, "--region", "0..700", "--region", "900..2000", is_complete=False
        )

        found = Counter(
            (run["data_begin"] + place, run["device_id"], run["origin_begin"] + place)
            for run in runs
            for place in range(run["length"])
        )
        assert found == Counter(
            (data, each.device_id, origin)
            for each in remains.devices
            for origin, (data, _) in each.mapped.items()
            if data < 700 or 900 <= data < 2000
        )
        told = thinmeta("rmap", path, "--region", "0..9", "--salvage").stderr
        assert told_in(told) == remains.told()


# lookup


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, DOCKER])
def test_lookup_answers_what_is_left(case: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    rng = np.random.default_rng(5)
    for path, remains, _ in damaged(case, tmp_path, 6):
        each = next(some for some in remains.devices if some.lost)
        known = sorted(each.whole)
        blocks = [known[int(place)] for place in rng.integers(len(known), size=10)]
        is_lost = [any(lost.covers(block) for lost in each.lost) for block in blocks]

        result = thinmeta("lookup", each.device_id, *blocks, "-p", path, "--salvage", "-f", "json")

        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert [answer["mapped"] for answer in answers] == [
            None if lost else True for lost in is_lost
        ]
        assert [answer["data_block"] for answer in answers] == [
            None if lost else each.whole[block][0]
            for block, lost in zip(blocks, is_lost, strict=True)
        ]
        for block, answer in zip(blocks, answers, strict=True):
            expected = (
                []
                if answer["mapped"] is None
                else [
                    other.device_id
                    for other in remains.devices
                    if other is not each
                    and other.mapped.get(block, ("",))[0] == answer["data_block"]
                ]
            )
            assert [sharer["device_id"] for sharer in answer["sharers"]] == expected
        others_are_lost = any(
            lost.covers(block)
            for other in remains.devices
            for lost in other.lost
            for block in blocks
        )
        assert result.exit_code == (6 if others_are_lost else 0)


# info


@pytest.mark.parametrize("tree", ["details", "devices"])
def test_info_shows_the_rest(tree: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.with_open_books(DELETES)
    sound = json.loads(thinmeta("info", image.write_to(tmp_path / "a.bin"), "-f", "json").stdout)
    image.zero(getattr(Anatomy.of(DELETES), tree)[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    strict = thinmeta("info", path, "-f", "json")
    result = thinmeta("info", path, "-f", "json", "--salvage")

    assert result.stdout == strict.stdout
    assert (strict.exit_code, result.exit_code) == (5, 6)
    shown = json.loads(result.stdout)
    hidden = {key for key in sound if shown[key] != sound[key]}
    assert hidden <= {"nr_devices", "mapped_blocks"}
    assert all(shown[key] is None for key in hidden)


def test_info_leaves_out_a_histogram_that_damage_hides(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    image.zero(anatomy.leaves(1)[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("info", path, "-f", "json", "--salvage", "--histograms")

    assert result.exit_code == 6
    assert {json.loads(line).get("of") for line in result.stdout.splitlines()} == {
        None,
        "data_ref_counts",
        "metadata_ref_counts",
    }
