"""`thinmeta diff`: its formats say the same, and its options do what they say."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.made_images import Image, mappings, written

POOL = str(unpacked("docker-loop-lvm-xfs-64k"))
SNAPSHOT = str(unpacked("a13-metadata-snapshot-held"))


def test_text_json_csv_and_xml_say_the_same(thinmeta: Thinmeta) -> None:
    def ran(*args: str) -> str:
        result = thinmeta("diff", "11", "14", "-p", POOL, *args)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    summary, *objects = map(json.loads, ran("-f", "json").splitlines())
    rows = list(csv.DictReader(io.StringIO(ran("-f", "csv"))))
    text = ran("--verbose")

    assert [
        {key: "" if value is None else str(value) for key, value in each.items() if key != "type"}
        for each in objects
    ] == rows
    for kind in ("added", "changed", "removed"):
        total = sum(each["length"] for each in objects if each["change"] == kind)
        assert summary[f"{kind}_blocks"] == total
        assert summary[f"{kind}_bytes"] == total * 65536
        assert re.search(rf"^{kind} +{total} blocks ", text, re.MULTILINE)
    assert summary["relation"] == "descendant"
    ranges = re.findall(r"^(\w+) +(\d+)\.\.(\d+)  data .*  length (\d+)$", text, re.MULTILINE)
    assert [(kind, int(begin), int(length)) for kind, begin, _, length in ranges] == [
        (each["change"], each["origin_begin"], each["length"]) for each in objects
    ]
    assert all(int(end) - int(begin) == int(length) for _, begin, end, length in ranges)
    xml = ran("-f", "xml", "--only", "added,changed,removed", "--verbose")
    assert re.findall(r'<range begin="(\d+)"', xml) == [row["origin_begin"] for row in rows]


def test_only_chooses_kinds(thinmeta: Thinmeta) -> None:
    whole = thinmeta("diff", "11", "14", "-p", POOL, "--only", "same,added", "-f", "csv").stdout

    kinds = {line.split(",")[0] for line in whole.splitlines()[1:]}

    assert kinds == {"same", "added"}


def test_summary_has_no_ranges(thinmeta: Thinmeta) -> None:
    text = thinmeta("diff", "11", "14", "-p", POOL, "--summary").stdout

    assert ".." not in text
    assert "allocated on demand" in text
    assert "device 14 comes from device 11, which has stood still since." in text


@pytest.mark.parametrize("form", ["xml", "csv"])
def test_summary_goes_with_text_and_json_only(form: str, thinmeta: Thinmeta) -> None:
    assert thinmeta("diff", "11", "14", "-p", POOL, "--summary", "-f", form).exit_code == 2


def test_the_state_of_the_snapshot_is_the_default_with_m(thinmeta: Thinmeta) -> None:
    by_option = thinmeta("diff", "1", "2", "-m", "-f", "csv", "-p", SNAPSHOT)
    by_name = thinmeta("diff", "1@snap", "2@snap", "-f", "csv", "-p", SNAPSHOT)

    assert by_option.exit_code == by_name.exit_code == 0
    assert by_option.stdout == by_name.stdout
    assert by_name.stdout != thinmeta("diff", "1", "1", "-f", "csv", "-p", SNAPSHOT).stdout


@pytest.mark.parametrize("name", ["x", "1@now", "root:", "root:x", "-1", "1@", ""])
def test_a_name_that_is_none_is_a_usage_error(name: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "-p", POOL, "--", "1", name)

    assert result.exit_code == 2
    assert "names no device" in result.stderr or "is no state" in result.stderr


@pytest.mark.parametrize("name", ["999", "root:99999999", "1@snap"])
def test_a_device_or_state_that_is_not_there(name: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "1", name, "-p", POOL)

    assert result.exit_code == 4
    assert not result.stdout
    assert result.stderr.startswith("Error: ")


def test_unknown_kinds_are_a_usage_error(thinmeta: Thinmeta) -> None:
    result = thinmeta("diff", "1", "2", "-p", POOL, "--only", "added,new")

    assert result.exit_code == 2
    assert "'new' is no kind of change" in result.stderr


def test_a_range_that_ends_with_the_last_origin_block(tmp_path: Path, thinmeta: Thinmeta) -> None:
    """Its end is 2^64, which wraps in 64 bits."""
    image = Image()
    root, none = image.leaf(mappings(2**64 - 3, range(100, 103))), image.leaf([])
    path = written(tmp_path / "pool.bin", image.pool({1: root, 2: none}, {1: 3, 2: 0}))

    ended = thinmeta("diff", "2", "1", "-p", path)
    removed = thinmeta("diff", "1", "2", "-p", path, "--verbose")

    assert f"added    {2**64 - 3}..{2**64}  length 3\n" in ended.stdout
    assert f"removed  {2**64 - 3}..{2**64}  data 100  length 3\n" in removed.stdout
