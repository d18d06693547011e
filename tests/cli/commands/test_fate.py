"""`thinmeta fate`: its formats, and what it says of devices that were deleted."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.conftest import Thinmeta
from tests.made_images import BLOCK, written

POOL = ("-p", unpacked("a26-deleted-volumes"))


def counts_of(text: str) -> dict[str, int]:
    return {
        words[0]: int(words[1])
        for words in map(str.split, text.splitlines())
        if words[2:3] == ["blocks"] and words[1].isdigit()
    }


@pytest.mark.parametrize("device", ["3@63:66", "4@63:66", "5@63:66", "1@63"])
def test_all_formats_say_the_same(device: str, thinmeta: Thinmeta) -> None:
    text = thinmeta("fate", device, *POOL)
    lines = thinmeta("fate", device, "-f", "json", *POOL).stdout.splitlines()
    summary, *ranges = map(json.loads, lines)
    rows = list(csv.DictReader(io.StringIO(thinmeta("fate", device, "-f", "csv", *POOL).stdout)))

    assert (text.exit_code, text.stderr) == (0, "")
    counts = counts_of(text.stdout)
    assert sum(counts.values()) > 0
    for word, blocks in counts.items():
        assert summary[f"{word}_blocks"] == blocks
        assert sum(each["length"] for each in ranges if each["fate"] == word) == blocks
        assert sum(int(row["length"]) for row in rows if row["fate"] == word) == blocks


def test_what_the_live_devices_have_is_kept(thinmeta: Thinmeta) -> None:
    counts = counts_of(thinmeta("fate", "2", *POOL).stdout)

    assert counts["kept"] == 68
    assert sum(counts.values()) == 68


def test_a_device_must_be_there(thinmeta: Thinmeta) -> None:
    result = thinmeta("fate", "77@63:66", *POOL)

    assert result.exit_code == 4
    assert "there is no device 77@63:66" in result.stderr


def test_an_id_is_known_without_its_details(thinmeta: Thinmeta) -> None:
    ids = [
        json.loads(thinmeta("fate", name, "-f", "json", *POOL).stdout.splitlines()[0])["device_id"]
        for name in ("1@63:66", "1@63", "root:20")
    ]

    assert ids == [1, 1, None]


def test_verbose_shows_the_ranges(thinmeta: Thinmeta) -> None:
    text = thinmeta("fate", "5@63:66", "--verbose", *POOL).stdout
    rows = list(csv.DictReader(io.StringIO(thinmeta("fate", "5@63:66", "-f", "csv", *POOL).stdout)))

    ranges = re.findall(r"^(\w+) +(\d+)\.\.(\d+)  data (\d+)  length (\d+)$", text, re.MULTILINE)

    assert text.startswith(thinmeta("fate", "5@63:66", *POOL).stdout)
    assert ranges
    assert [[fate, begin, data, length] for fate, begin, _, data, length in ranges] == [
        list(row.values()) for row in rows
    ]
    assert all(int(end) - int(begin) == int(length) for _, begin, end, _, length in ranges)


def test_the_fields_are_documented(thinmeta: Thinmeta) -> None:
    lines = thinmeta("fate", "5@63:66", "-f", "json", *POOL).stdout.splitlines()[:2]
    page = (Path(__file__).parents[3] / "docs/fate.md").read_text()

    for kind, fields in zip(("fate", "range"), map(json.loads, lines), strict=True):
        section = page.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]
        first_cells = "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
        assert re.findall(r"`(\w+)`", first_cells) == list(fields)


# Damage: the past device 2 of a13 shares 24 blocks with device 4, whose leaf is block 50.


def damaged(tmp_path: Path, block: int) -> Path:
    image = bytearray(image_bytes("a13-metadata-snapshot-held"))
    image[block * BLOCK + 100] ^= 1
    return written(tmp_path / "meta.bin", bytes(image))


def test_damage_prints_nothing(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("fate", "2@24:27", "-p", damaged(tmp_path, 50), "-o", tmp_path / "out")

    assert (result.exit_code, result.stdout) == (5, "")
    assert "metadata block 50, device 4" in result.stderr
    assert not (tmp_path / "out").exists()


def test_salvage_says_what_is_not_known(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = damaged(tmp_path, 50)

    result = thinmeta("fate", "2@24:27", "--salvage", "-p", path)
    in_json = thinmeta("fate", "2@24:27", "--salvage", "-f", "json", "-p", path)

    assert result.exit_code == in_json.exit_code == 6
    assert counts_of(result.stdout)["unknown"] == 49
    assert "device 4: origin blocks 0 to the end are lost" in result.stderr
    objects = list(map(json.loads, in_json.stdout.splitlines()))
    assert (objects[0]["complete"], objects[0]["unknown_blocks"]) == (False, 49)
    lost = [each for each in objects if each["type"] == "lost_range"]
    assert [(each["device_id"], each["metadata_block"]) for each in lost] == [(4, 50)]


def test_damage_of_a_device_that_the_pool_has_too_is_told_once(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta("fate", "4", "--salvage", "-f", "json", "-p", damaged(tmp_path, 50))

    assert result.exit_code == 6
    lines = result.stderr.splitlines()
    assert len(lines) == len(set(lines)) == 3
    assert "1 of 4 devices are not complete, 24 mappings are missing" in lines[-1]
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["type"] for each in objects if each["type"].startswith("los")] == [
        "loss",
        "lost_range",
    ]


def test_salvage_of_a_sound_pool_is_no_different(thinmeta: Thinmeta) -> None:
    plain, salvaged = (
        thinmeta("fate", "5@63:66", "-f", "json", *more, *POOL) for more in ((), ("--salvage",))
    )

    assert (salvaged.exit_code, salvaged.stdout) == (0, plain.stdout)


@pytest.mark.parametrize("more", [(), ("--salvage",)])
def test_without_the_live_superblock_nobody_can_tell(
    more: tuple[str, ...], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    result = thinmeta("fate", "2@24:27", *more, "-p", damaged(tmp_path, 0))

    assert (result.exit_code, result.stdout) == (5, "")
    assert "nobody can tell what is mapped now" in result.stderr
    assert result.stderr.count("\n") == 1
