"""`--salvage` where the trees that list devices are damaged: details or mapping trees are lost."""

import json
from pathlib import Path

import pytest

from tests.anatomy import FORMATS, Anatomy
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.salvage.corpus import DELETES, HELD, SNAPSHOTS
from tests.salvage.remains import Remains, expanded, mappings_by_device
from thinmeta.schemas.columns import DEVICE_DETAILS

FORMS = ("xml-0.9", "xml-1.1", "json")


def without_details(remains: Remains, image: DamagedImage, ids: set[int]) -> None:
    """Take a device's details from the model, and put there what stands for them."""
    last_transaction = int(image.superblock()["trans_id"])
    later = 1 + max(time for each in remains.devices for _, time in each.kept.values())
    remains.time = max(later, int(image.superblock()["time"]))
    for each in remains.devices:
        if each.device_id in ids:
            each.stored = None
            each.transaction_id = max(0, last_transaction - 1)
            each.creation_time = each.snap_time = later


def without_mappings(remains: Remains, image: DamagedImage, ids: set[int]) -> None:
    for each in remains.devices:
        if each.device_id in ids:
            each.root, each.mapped = None, {}


def check(path: Path, remains: Remains, thinmeta: Thinmeta, *, ids_are_lost: int) -> None:
    """Hold all formats against the model, and what they say is lost."""
    for form in FORMS:
        result = thinmeta("dump", "--salvage", *FORMATS[form], path)
        assert result.exit_code == 6
        for each in remains.devices:
            lost_details = f"Warning: device {each.device_id}: its details are lost"
            lost_tree = f"Warning: device {each.device_id}: its mapping tree is lost"
            assert (lost_details in result.stderr) == (each.stored is None)
            assert (lost_tree in result.stderr) == (each.root is None and each.stored != 0)
        assert result.stderr.count("`thinmeta scan` looks for") == ids_are_lost
        assert result.stderr.splitlines()[-1].startswith(
            f"Error: {path}: the metadata is damaged: "
        )
        if form == "json":
            objects = [json.loads(line) for line in result.stdout.splitlines()]
            assert [each for each in objects if not each["type"].startswith("los")] == (
                remains.json_objects()
            )
            assert [each for each in objects if each["type"] == "loss"] == remains.losses()
            assert sum(each["type"] == "lost_devices" for each in objects) == ids_are_lost
        elif form == "xml-0.9":
            assert result.stdout_bytes == remains.xml()
        else:
            shown = mappings_by_device(expanded(result.stdout_bytes))
            assert shown == remains.by_device()


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, HELD])
def test_devices_whose_details_are_lost_get_others(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    image.zero(anatomy.details[0].block)
    remains = Remains(case)
    without_details(remains, image, set(anatomy.device_ids))

    check(image.write_to(tmp_path / "meta.bin"), remains, thinmeta, ids_are_lost=1)


@pytest.mark.parametrize("case", [SNAPSHOTS, DELETES, HELD])
def test_devices_whose_mapping_trees_are_lost_are_empty(
    case: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(case), Anatomy.of(case)
    image.zero(anatomy.devices[0].block)
    remains = Remains(case)
    without_mappings(remains, image, set(anatomy.device_ids))

    check(image.write_to(tmp_path / "meta.bin"), remains, thinmeta, ids_are_lost=1)


@pytest.mark.parametrize("tree", ["details", "devices"])
@pytest.mark.parametrize("part", [0, 1, 3])
def test_a_leaf_of_the_trees_of_devices_costs_its_devices_only(
    part: int, tree: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    children = image.push_down(getattr(anatomy, tree)[0].block, 4)
    pushed = Anatomy(DamagedImage(image.to_bytes()))
    (place,) = (each for each in getattr(pushed, tree) if each.block == children[part])
    image.zero(children[part])
    ids = {each for each in anatomy.device_ids if place.low <= each <= place.last}
    remains = Remains(SNAPSHOTS)
    (without_details if tree == "details" else without_mappings)(remains, image, ids)

    assert 0 < len(ids) < len(anatomy.device_ids)
    check(image.write_to(tmp_path / "meta.bin"), remains, thinmeta, ids_are_lost=1)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_device_that_one_tree_lacks_is_told_by_name(
    place: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    anatomy = Anatomy.of(DELETES)
    ids = {anatomy.device_ids[place]}
    for tree in ("details", "devices"):
        image, remains = DamagedImage.with_open_books(DELETES), Remains(DELETES)
        block = getattr(anatomy, tree)[0].block
        image.remove_entry(block, place)
        image.restamp(block)
        (without_details if tree == "details" else without_mappings)(remains, image, ids)

        check(image.write_to(tmp_path / "meta.bin"), remains, thinmeta, ids_are_lost=0)


def test_a_range_of_ids_that_is_lost_is_an_object(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image, anatomy = DamagedImage.with_open_books(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    root = anatomy.details[0].block
    children = image.push_down(root, 4)
    lows = [int(key) for key in image.keys(root)]
    image.zero(children[0], children[3])
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("dump", "--salvage", "-f", "json", path)

    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [
        (each["first_id"], each["last_id"], each["metadata_block"])
        for each in objects
        if each["type"] == "lost_devices"
    ] == [(lows[0], lows[1] - 1, children[0]), (lows[3], None, children[3])]


def test_a_device_without_details_is_read_by_all_commands(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    sound = image.write_to(tmp_path / "sound.bin")
    image.zero(anatomy.details[0].block)
    path = image.write_to(tmp_path / "meta.bin")
    ls = thinmeta("ls", "--salvage", "-o", "DEV,MAPPED_BLOCKS", "-f", "csv", path)
    diff = thinmeta("diff", 1, 7, "-p", path, "--salvage", "-f", "csv")
    lookup = thinmeta("lookup", 1, 70, "-p", path, "--salvage", "-f", "json")
    rmap = thinmeta("rmap", path, "--region", "0..9999", "--salvage")

    assert [each.exit_code for each in (ls, diff, lookup, rmap)] == [6, 6, 6, 6]
    assert ls.stdout == "DEV,MAPPED_BLOCKS\n1,577\n3,0\n5,640\n7,577\n8,192\n"
    assert diff.stdout == thinmeta("diff", 1, 7, "-p", sound, "-f", "csv").stdout
    answer, before = (
        json.loads(thinmeta("lookup", 1, 70, "-p", each, *more, "-f", "json").stdout)
        for each, more in ((path, ["--salvage"]), (sound, []))
    )
    changed = {key for key in answer if answer[key] != before[key]}
    # Without its details nobody knows the device's snap time.
    assert changed == {"breaks_sharing", "device_id", "sharers"}
    assert rmap.stdout == thinmeta("rmap", sound, "--region", "0..9999").stdout


@pytest.mark.parametrize(("left", "right"), [(1, 5), (5, 1)])
def test_a_diff_with_a_device_whose_mapping_tree_is_lost_is_unknown(
    left: int, right: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    image.remove_entry(anatomy.devices[0].block, 0)
    image.restamp(anatomy.devices[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("diff", left, right, "-p", path, "--salvage", "-f", "json")

    summary, *ranges = [
        each
        for each in map(json.loads, result.stdout.splitlines())
        if not each["type"].startswith("los")
    ]
    assert result.exit_code == 6
    assert (summary["complete"], summary["unknown_blocks"]) == (False, 640)
    assert [(each["change"], each["length"]) for each in ranges] == [("unknown", 640)]


def test_exclusive_is_bounded_where_nobody_knows_how_much_is_missing(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(SNAPSHOTS), Anatomy.of(SNAPSHOTS)
    leaves = [place for each in anatomy.device_ids for place in anatomy.leaves(each)]
    image.zero(anatomy.details[0].block, leaves[1].block, leaves[-1].block)
    path = image.write_to(tmp_path / "meta.bin")
    uses: dict[int, int] = {}
    remains = Remains(SNAPSHOTS)
    for each in remains.devices:
        for data, _ in each.whole.values():
            uses[data] = uses.get(data, 0) + 1

    result = thinmeta("ls", "--salvage", "-o", "DEV,EXCLUSIVE_BLOCKS", "-f", "csv", path)
    for_people = thinmeta("ls", "--salvage", "-o", "DEV,EXCLUSIVE", path)

    rows = [line.split(",") for line in result.stdout.splitlines()[1:]]
    for (device_id, bound), each in zip(rows, remains.devices, strict=True):
        assert int(device_id) == each.device_id
        exclusive = sum(uses[data] == 1 for data, _ in each.whole.values())
        assert exclusive <= int(bound) <= anatomy.nr_data_blocks
    assert for_people.exit_code == 6


def test_numbers_that_no_pool_can_have_are_printed(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    image.values(anatomy.details[0].block, DEVICE_DETAILS)["mapped_blocks"] = 2**64 - 1
    image.superblock()["data_block_size"] = 2**32 - 1
    image.restamp(0, anatomy.details[0].block)
    path = image.write_to(tmp_path / "meta.bin")

    for options in ((), ("--salvage",), ("--compat", "0.9"), ("--salvage", "--tree")):
        result = thinmeta("ls", *options, path)
        assert result.exit_code == (6 if "--salvage" in options else 0), result.output
        assert result.stdout.count("\n") == 6


def test_a_block_that_is_bad_in_a_tree_of_devices_may_be_a_sound_leaf(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.with_open_books(DELETES), Anatomy.of(DELETES)
    image.superblock()["device_details_root"] = anatomy.device_roots[1]
    image.restamp(0)
    remains = Remains(DELETES)
    without_details(remains, image, set(anatomy.device_ids))

    path = image.write_to(tmp_path / "meta.bin")
    check(path, remains, thinmeta, ids_are_lost=len(anatomy.leaves(1)))
