"""`thinmeta lookup`: its formats say the same, and its options and errors are as documented."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import mappings_of, parsed_xml, thin_dump
from tests.made_images import Image, mappings, written

CASE = "a09-discards-and-deletes"
POOL = str(unpacked(CASE))
SNAPSHOT_CASE = ("a13-metadata-snapshot-held", "meta-live-after-changes")
SNAPSHOT = str(unpacked(*SNAPSHOT_CASE))


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("lookup", "-f", "json", *args)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_what_the_dump_says(thinmeta: Thinmeta) -> None:
    dumped = parsed_xml(thin_dump(CASE, "meta", "thin_dump", "0.9.0")).devices
    device = next(each for each in dumped if each.device_id == 7)
    wanted = list(mappings_of(device.runs))[::10]

    found = objects(thinmeta, 7, *(block for block, _, _ in wanted), "-p", POOL)

    for (block, data_block, time), each in zip(wanted, found, strict=True):
        assert each == {
            "type": "lookup",
            "device": "7",
            "device_id": 7,
            "origin_block": block,
            "offset": 0,
            "mapped": True,
            "data_block": data_block,
            "time": time,
            "data_sector": data_block * 128,
            "data_byte": data_block * 65536,
            "byte": data_block * 65536,
            "breaks_sharing": time < device.snap_time,
            "sharers": [{"device_id": 1, "origin_block": block, "time": time}],
            "hole": None,
            "lost": None,
        }


def test_text_json_and_csv_say_the_same(thinmeta: Thinmeta) -> None:
    args = ("1", "70", "129s", "2", "5000", "-p", POOL)
    found = objects(thinmeta, *args)
    rows = list(csv.DictReader(io.StringIO(thinmeta("lookup", *args, "-f", "csv").stdout)))
    paragraphs = re.split(r"^(?=device)", thinmeta("lookup", *args).stdout, flags=re.MULTILINE)[1:]

    assert len(found) == len(rows) == len(paragraphs) == 4
    for each, row, text in zip(found, rows, paragraphs, strict=True):
        sharers = " ".join(str(sharer["device_id"]) for sharer in each["sharers"])
        for name in row:
            value = sharers if name == "sharers" else each[name]
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            assert row[name] == ("" if value is None else shown)
        name = f"device 1, block {each['origin_block']}"
        assert text.startswith(f"{name} + 512 bytes: " if each["offset"] else f"{name}: ")
        assert ("not mapped" in text) == (not each["mapped"])
        if each["mapped"]:
            assert f": data block {each['data_block']}\n" in text
            assert f"sector {each['data_sector']}, byte {each['data_byte']}\n" in text
            assert "also mapped by: 7\n" in text
            assert "snap time 4: a write goes to a copy\n" in text
    assert "blocks 2 to 63 are not mapped" in paragraphs[2]
    assert "blocks 640 to the last are not mapped" in paragraphs[3]


def test_an_offset_in_bytes_is_found_to_the_byte(thinmeta: Thinmeta) -> None:
    by_bytes, by_block = objects(thinmeta, 1, f"{70 * 65536 + 4097}b", 70, "-p", POOL)

    assert by_bytes["offset"] == 4097
    assert by_bytes["byte"] == by_bytes["data_byte"] + 4097
    assert {**by_bytes, "offset": 0, "byte": by_bytes["data_byte"]} == by_block
    text = thinmeta("lookup", 1, f"{70 * 65536 + 4097}b", "-p", POOL).stdout
    assert f"the byte asked for: {by_bytes['byte']}\n" in text


def test_the_path_is_shown_if_asked_for(thinmeta: Thinmeta) -> None:
    anatomy = Anatomy.of(CASE)
    way = [place for place in anatomy.mapping_tree(1) if place.low <= 70 <= place.last]

    (found,) = objects(thinmeta, 1, 70, "--path", "-p", POOL)
    text = thinmeta("lookup", 1, 70, "--path", "-p", POOL).stdout

    assert [node["metadata_block"] for node in found["path"]] == [place.block for place in way]
    for place in way:
        assert re.search(rf"at metadata block {place.block}: blocks {place.low} to ", text)
    assert "metadata block" not in thinmeta("lookup", 1, 70, "-p", POOL).stdout
    assert thinmeta("lookup", 1, 70, "--path", "-f", "csv", "-p", POOL).exit_code == 2


def test_all_sharers_come_with_their_blocks(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = Image()
    one = image.leaf(mappings(0, [9, 8]))
    two = image.leaf(mappings(0, [9]) + mappings(7, [9]))
    path = written(tmp_path / "image", image.pool({1: one, 2: two}, {1: 2, 2: 2}))

    assert "also mapped by: 2\n" in thinmeta("lookup", 1, 0, "-p", path).stdout
    assert "also mapped by: none\n" in thinmeta("lookup", 1, 1, "-p", path).stdout
    result = thinmeta("lookup", 1, 0, "--all-sharers", "-p", path)
    assert "also mapped by: 2, 2:7\n" in result.stdout


def test_the_state_is_part_of_the_name(thinmeta: Thinmeta) -> None:
    models = {
        name: {
            block: data
            for device in parsed_xml(thin_dump(*SNAPSHOT_CASE, name, "0.9.0")).devices
            if device.device_id == 1
            for block, data, _ in mappings_of(device.runs)
        }
        for name in ("thin_dump", "thin_dump-m")
    }
    blocks = sorted(models["thin_dump"].keys() | models["thin_dump-m"].keys())

    def found(device: str, *options: str) -> dict[int, int]:
        each_of = objects(thinmeta, device, *blocks, "-p", SNAPSHOT, *options)
        return {each["origin_block"]: each["data_block"] for each in each_of if each["mapped"]}

    assert models["thin_dump"] != models["thin_dump-m"]
    assert found("1") == found("1@live") == found("1@live", "-m") == models["thin_dump"]
    assert found("1@snap") == found("1", "-m") == models["thin_dump-m"]


def test_a_bare_root_is_a_device_without_a_name(thinmeta: Thinmeta) -> None:
    root = Anatomy.of(CASE).device_roots[1]

    (found,) = objects(thinmeta, f"root:{root}", 70, "-p", POOL)

    assert (found["device_id"], found["breaks_sharing"], found["data_block"]) == (None, None, 70)
    assert [sharer["device_id"] for sharer in found["sharers"]] == [1, 7]
    text = thinmeta("lookup", f"root:{root}", 70, "-p", POOL).stdout
    assert text.startswith(f"root:{root}, block 70: data block 70\n")
    assert "  mapped at time 0\n" in text


def test_a_device_without_mappings_is_an_answer(thinmeta: Thinmeta) -> None:
    result = thinmeta("lookup", 3, 0, "-p", POOL)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == ("device 3, block 0: not mapped\n  no block of the device is mapped\n")


def test_output_goes_to_a_file(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("lookup", 1, 70, "-p", POOL, "-o", tmp_path / "out")

    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out").read_text() == thinmeta("lookup", 1, 70, "-p", POOL).stdout


@pytest.mark.parametrize(
    "args",
    [("1",), ("1", "x"), ("1", "5Q"), ("1", "--", "-5"), ("1", str(2**64)), ("1@now", "5"), ()],
)
def test_what_is_no_block_is_a_usage_error(args: tuple[str, ...], thinmeta: Thinmeta) -> None:
    assert thinmeta("lookup", "-p", POOL, *args).exit_code == 2


@pytest.mark.parametrize("device", ["99", "1@snap", "root:999999"])
def test_what_is_not_there_is_so(device: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("lookup", device, 5, "-p", POOL)

    assert (result.exit_code, result.stdout) == (4, "")


def test_damage_on_the_way_is_the_last_word(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    bad = Anatomy.of(CASE).leaves(1)[0]
    image.zero(bad.block)
    path = image.write_to(tmp_path / "image")

    result = thinmeta("lookup", 1, bad.low, bad.last + 1, "-p", path)
    elsewhere = thinmeta("lookup", 5, 5, "-p", path)
    (answer,) = [
        json.loads(line)
        for line in thinmeta("lookup", 1, bad.low, "-f", "json", "-p", path).stdout.splitlines()
    ]

    assert result.exit_code == 5
    assert f"metadata block {bad.block}, device 1" in result.stderr.splitlines()[-1]
    first, second = re.split(r"^(?=device)", result.stdout, flags=re.MULTILINE)[1:]
    assert "not known" in first
    assert "data block" in second
    assert (answer["mapped"], answer["data_block"]) == (None, None)
    assert str(bad.block) in answer["lost"]
    # Device 1 and device 7 share the leaf; device 5's block is not looked for in it.
    assert "data block 645\n" in elsewhere.stdout


def test_damage_in_another_device_hides_sharers_only(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = Image()
    one, two = (image.leaf(mappings(0, [9])) for _ in range(2))
    made = bytearray(image.pool({1: one, 2: two}, {1: 1, 2: 1}))
    made[4096 * two : 4096 * (two + 1)] = bytes(4096)
    path = written(tmp_path / "image", bytes(made))

    result = thinmeta("lookup", 1, 0, "-p", path)

    assert result.exit_code == 5
    assert "data block 9\n" in result.stdout
    assert "further devices may map it" in result.stdout
    assert f"metadata block {two}, device 2" in result.stderr


def test_a_device_in_one_tree_only_is_a_warning(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = Image()
    root = image.leaf(mappings(0, [9]))
    path = written(tmp_path / "image", image.pool({1: root, 2: root}, {1: 1}))

    result = thinmeta("lookup", 1, 0, "-p", path)
    quiet = thinmeta("lookup", 1, 0, "-p", path, "-q")

    assert (result.exit_code, quiet.exit_code) == (0, 0)
    assert "device 2" in result.stderr
    assert "also mapped by: 2\n" in result.stdout
    assert quiet.stderr == ""


def test_documented_json_fields_are_all(thinmeta: Thinmeta) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/lookup.md").read_text()
    mapped, hole = objects(thinmeta, 1, 70, 2, "--path", "-p", POOL)

    for kind, shown in {
        "lookup": mapped,
        "sharer": mapped["sharers"][0],
        "hole": hole["hole"],
        "node": mapped["path"][0],
    }.items():
        section = page.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(shown)
