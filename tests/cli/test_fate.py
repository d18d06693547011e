"""`thinmeta fate`: its formats, and what it says of devices that were deleted."""

import csv
import io
import json

import pytest

from tests.cases import packed_image
from tests.conftest import Thinmeta

POOL = ("-p", packed_image("a26-deleted-volumes"))


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
