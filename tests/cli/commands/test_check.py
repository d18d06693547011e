"""`thinmeta check`: what it prints, how it ends, and that the document says so."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.builder.documents import Document, Run
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.single_damages import single_damages

CHECKOUT = Path(__file__).resolve().parents[3]
CASE = ("docker-loop-lvm-xfs-64k", "meta")
SOUND = unpacked(*CASE)
HELD = unpacked("a13-metadata-snapshot-held", "meta-live-after-changes")
PAGE = (CHECKOUT / "docs/check.md").read_text()

HEADER = "TRANSACTION_ID=48\nMETADATA_FREE_BLOCKS=4044\n"


def damaged(directory: Path, *names: str, case: tuple[str, str] = CASE) -> Path:
    image = DamagedImage.of(*case)
    for damage in single_damages(DamagedImage.of(*case)):
        if str(damage) in names:
            damage.apply(image)
    assert image.different()
    return image.write_to(directory / "image.bin")


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_healthy_pool(thinmeta: Thinmeta) -> None:
    result = thinmeta("check", SOUND)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(HEADER)
    assert result.stdout.splitlines()[2:] == [
        "nothing found; checked 14 devices, 15124 mappings, 46 nodes and both space maps"
    ]


def test_damage_is_told_as_the_document_shows(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = damaged(tmp_path, "shared leaf: csum ^= 1")

    result = thinmeta("check", image)

    assert result.exit_code == 5
    assert result.stderr == f"Error: {image}: the metadata is damaged\n"
    assert result.stdout.startswith(HEADER)
    shown = re.findall(r"^fatal: .*\n", PAGE, re.MULTILINE)
    assert shown == result.stdout.splitlines(keepends=True)[2 : 2 + len(shown)]
    assert result.stdout.splitlines()[-1].startswith("15 fatal, 0 not fatal; checked 14 devices")
    assert "leaks cannot be told" in result.stdout


def test_leaks_are_told_as_the_document_shows(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = damaged(tmp_path, "data bitmap: count 0 = 1")

    result = thinmeta("check", image)

    assert result.exit_code == 7
    assert result.stderr == f"Error: {image}: found only what is not fatal\n"
    shown = re.findall(r"^not fatal: .*\n", PAGE, re.MULTILINE)
    assert shown[0] in result.stdout.splitlines(keepends=True)
    assert thinmeta("check", "--ignore-non-fatal", image).exit_code == 0


def test_json_objects_are_those_of_the_document(thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("check", "-f", "json", damaged(tmp_path, "shared leaf: csum ^= 1"))

    lines = objects(result.stdout)
    assert [line["type"] for line in lines] == ["superblock", *["finding"] * 15, "summary"]
    for kind in ("superblock", "finding", "summary"):
        section = PAGE.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]
        shown = next(line for line in lines if line["type"] == kind)
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(shown)
    assert lines[1]["severity"] == "fatal"
    assert lines[1]["device_ids"][:3] == [1, 2, 4]
    assert lines[-1]["verdict"] == "fatal"


def test_json_of_a_healthy_pool(thinmeta: Thinmeta) -> None:
    first, last = objects(thinmeta("check", "-f", "json", HELD).stdout)

    assert (first["transaction_id"], first["held_root"]) == (6, 35)
    assert (last["verdict"], last["space_maps"], last["nr_devices"]) == ("healthy", True, 4)


@pytest.mark.parametrize(
    ("damages", "code"),
    [
        (("data bitmap: count 0 = 1",), 7),
        (("shared leaf: csum ^= 1",), 5),
        (("superblock: csum ^= 1",), 5),
        (("superblock: version = 3",), 3),
    ],
)
def test_quiet_says_nothing_at_all(
    damages: tuple[str, ...], code: int, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    result = thinmeta("check", "-q", damaged(tmp_path, *damages))

    assert (result.exit_code, result.output) == (code, "")


def test_what_cannot_be_checked_is_an_error(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = damaged(tmp_path, "superblock: csum ^= 1")

    assert thinmeta("check", tmp_path / "nothing").exit_code == 3
    assert thinmeta("check", "-m", SOUND).exit_code == 4
    result = thinmeta("check", image)
    assert (result.exit_code, result.stdout) == (5, "")
    assert "checksum is wrong" in result.stderr


def test_the_snapshot_is_checked_alone(thinmeta: Thinmeta) -> None:
    result = thinmeta("check", "-m", HELD)

    assert result.exit_code == 0
    assert result.stdout.startswith("TRANSACTION_ID=6\n")  # thin_check tells the live one's, too
    assert "space maps" not in result.stdout


def test_devices_of_the_snapshot_are_marked(thinmeta: Thinmeta, tmp_path: Path) -> None:
    case = ("a13-metadata-snapshot-held", "meta-live-after-changes")
    live, held = Anatomy.of(*case), Anatomy.of(*case, snapshot=True)
    own = {each.block for each in held.mapping_places()}
    own -= {each.block for each in live.mapping_places()}
    image = DamagedImage.of(*case)
    image.zero(*own)

    result = thinmeta("check", image.write_to(tmp_path / "image"))

    assert result.exit_code == 5
    assert re.search(
        r"^fatal: mappings: metadata block \d+, device\S* \d+@snap", result.stdout, re.M
    )


@pytest.mark.parametrize("option", ["--skip-mappings", "--super-block-only"])
def test_less_can_be_checked(option: str, thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("check", option, damaged(tmp_path, "shared leaf: csum ^= 1"))

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(HEADER)


def test_other_roots(thinmeta: Thinmeta, tmp_path: Path) -> None:
    superblock = DamagedImage.of(*CASE).superblock()
    image = damaged(
        tmp_path,
        "superblock: data_mapping_root = past the end",
        "superblock: device_details_root = past the end",
    )

    roots = (
        *("--mapping-root", superblock["data_mapping_root"]),
        *("--details-root", superblock["device_details_root"]),
    )
    assert thinmeta("check", image).exit_code == 5
    assert thinmeta("check", image, *roots).exit_code == 0
    assert thinmeta("check", image, "--mapping-root", -1).exit_code == 2


def test_the_report_goes_to_a_file(thinmeta: Thinmeta, tmp_path: Path) -> None:
    output = tmp_path / "report"

    result = thinmeta("check", "-o", output, damaged(tmp_path, "data bitmap: count 0 = 1"))

    assert (result.exit_code, result.stdout) == (7, "")
    assert output.read_text().startswith(HEADER)
    assert "0 fatal, 2 not fatal" in output.read_text()


def test_the_input_is_not_written_over(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = damaged(tmp_path, "data bitmap: count 0 = 1")
    before = image.read_bytes()

    assert thinmeta("check", "-o", image, image).exit_code == 1
    assert image.read_bytes() == before


def with_superblock(
    directory: Path, case: str = "a08-snapshots-of-snapshots", **fields: Any
) -> Path:
    image = DamagedImage.of(case)
    for name, value in fields.items():
        image.superblock()[name] = value
    image.restamp(0)
    return image.write_to(directory / "image.bin")


@pytest.mark.parametrize("sectors", [0, 64, 129, 2097152 + 128, 2**32 - 1])
def test_a_block_size_that_no_pool_can_have(
    sectors: int, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    image = with_superblock(tmp_path, data_block_size=sectors)
    what = f"a data block of {sectors} sectors cannot be: it is a multiple of 128 up to 2097152"

    result = thinmeta("check", image)

    assert result.exit_code == 5
    assert f"fatal: superblock: {what}" in result.stdout.splitlines()
    for command in (["dump"], ["ls"], ["rmap", "--region", "0..9"], ["info"], ["lookup", "1", "0"]):
        option = ["-p"] if command[0] == "lookup" else []
        result = thinmeta(*command, *option, image)
        assert result.exit_code == 0, result.output
        assert f"Warning: {image}: {what}" in result.stderr.splitlines()


@pytest.mark.parametrize("command", ["check", "info", "ls", "scan", "table", "dump"])
@pytest.mark.parametrize("sectors", [0, 129, 2097152 + 128, 2**32, 2**64 - 1, 2**64])
def test_a_block_size_that_no_pool_can_have_is_no_option(
    sectors: int, command: str, thinmeta: Thinmeta
) -> None:
    result = thinmeta(command, "--data-block-size", sectors, SOUND)

    if command == "dump" and sectors < 2**32:  # as thin_dump
        assert result.exit_code == 0
        assert f' data_block_size="{sectors}" ' in result.stdout
    else:
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--data-block-size" in result.stderr


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_time_that_no_mapping_can_hold_is_warned_of(
    command: str, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    fits = thinmeta(command, with_superblock(tmp_path, time=2**24 - 1))
    result = thinmeta(command, with_superblock(tmp_path, time=2**24))

    assert (fits.exit_code, fits.stderr) == (0, "")
    assert result.exit_code == 0
    assert "the pool's time, 16777216, does not fit into the 24 bits" in result.stderr


@pytest.mark.parametrize("which", ["data", "metadata"])
def test_more_blocks_in_use_than_there_are(which: str, thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = DamagedImage.of("a08-snapshots-of-snapshots")
    root = image.superblock()[f"{which}_space_map_root"]
    nr_blocks = int(root["nr_blocks"])
    root["nr_allocated"] = nr_blocks + 5
    image.restamp(0)
    path = image.write_to(tmp_path / "image.bin")

    for options in ([], ["--super-block-only"], ["--skip-mappings"]):
        result = thinmeta("check", *options, path)
        found = (
            f"not fatal: {which} space map: the superblock says that {nr_blocks + 5} of "
            f"{nr_blocks} blocks are in use"
        )
        assert result.exit_code == 7
        assert result.stdout.splitlines()[1:3] == [
            f"METADATA_FREE_BLOCKS={0 if which == 'metadata' else 1990}",
            found,
        ]
    first = objects(thinmeta("check", "-f", "json", path).stdout)[0]
    assert first[f"{which}_free_blocks"] == 0


def test_a_snap_time_that_is_still_to_come(thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("check", with_superblock(tmp_path, time=12))

    assert result.exit_code == 7
    assert (
        "not fatal: device details: devices 12, 13, 14: the snap time, 14, is later than the "
        "superblock's time, 12: until that has passed it, each write goes to a copy of its block"
    ) in result.stdout.splitlines()


MAPS_TWICE = (
    "fatal: mappings: device 1, data blocks 5..7: mapped more than once by the same device, so a "
    "write to one place changes the other"
)


@pytest.mark.parametrize("far", [0, 2**32, 2**40 + 5])
@pytest.mark.parametrize("others", [0, 1, 300])
@pytest.mark.parametrize("between", [0, 500])
def test_a_device_that_maps_a_block_twice(
    between: int, others: int, far: int, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    """In one leaf or in several, with and without others that map the same blocks once."""
    own = [(0, 0, 10, 0), (20, 50, between, 0), (1000 + far, 5, 3, 0)]
    devices: dict[int, Sequence[Run | str]] = {1: [run for run in own if run[2]]}
    devices |= {2 + each: [(0, 0, 10, 0)] for each in range(others)}
    (tmp_path / "pool.xml").write_text(Document(devices=devices).xml())
    image = tmp_path / "image.bin"
    assert thinmeta("restore", "-i", tmp_path / "pool.xml", "-o", image).exit_code == 0

    result = thinmeta("check", image)

    assert result.exit_code == 5
    assert result.stdout.splitlines()[2:-1] == [MAPS_TWICE]


def test_several_devices_that_map_a_block_at_several_places(
    thinmeta: Thinmeta, tmp_path: Path
) -> None:
    """Nobody maps it twice, so nothing that is written to one place changes another of its own."""
    devices: dict[int, Sequence[Run | str]] = {
        each: [*([(1, 8, 1, 0)] if each == 4 else []), (100 * each, 7, 3, 0)] for each in range(6)
    }
    (tmp_path / "pool.xml").write_text(Document(devices=devices).xml())
    image = tmp_path / "image.bin"
    thinmeta("restore", "-i", tmp_path / "pool.xml", "-o", image)

    result = thinmeta("check", "-f", "json", image)

    found = [each for each in objects(result.stdout) if each["type"] == "finding"]
    assert [(each["device_ids"], each["first_key"], each["last_key"]) for each in found] == [
        ([4], 8, 8)
    ]


@pytest.mark.parametrize("fewer", [3, 6, 126])
def test_a_room_that_no_kernel_makes_is_found(
    fewer: int, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    """The values begin after the room for keys, so all of them are those of other keys."""
    case = "a09-discards-and-deletes"
    image, anatomy = DamagedImage.of(case), Anatomy.of(case)
    leaf = min(
        (each for device in anatomy.device_ids for each in anatomy.leaves(device)),
        key=lambda each: int(image.header(each.block)["nr_entries"]),
    )
    image.header(leaf.block)["max_entries"] -= fewer
    image.restamp(leaf.block)

    result = thinmeta("check", image.write_to(tmp_path / "damaged.bin"))

    assert result.exit_code == 5
    room = f"room for {252 - fewer} entries where the kernel makes it for 252"
    assert f"metadata block {leaf.block}" in result.output
    assert room in result.output
