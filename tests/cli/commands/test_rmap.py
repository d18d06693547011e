"""`thinmeta rmap`: its regions and formats, and those who parse thin_rmap."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes, unpacked
from tests.conftest import Thinmeta
from tests.fuzz.hostile_pools import one_tree_for_all
from tests.made_images import Image, mappings, written
from tests.peak_memory import measured

POOL = str(unpacked("a09-discards-and-deletes"))

LINES = """\
data 100..160 -> thin(1) 100..160
data 100..160 -> thin(7) 100..160
data 161..200 -> thin(1) 161..200
data 161..200 -> thin(7) 161..200
"""


@pytest.mark.parametrize(
    "regions",
    [
        ["100..200"],
        ["100..150", "150..200"],
        ["150..200", "100..170", "100..101"],
        ["100..12800K"],
        ["6553600b..200"],
        ["6553601b..13107199b"],
    ],
)
def test_regions(regions: list[str], thinmeta: Thinmeta) -> None:
    result = thinmeta("rmap", *(f"--region={region}" for region in regions), POOL)

    assert (result.exit_code, result.stdout) == (0, LINES)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("23,7890", "is no region"),
        ("23..six", "'six' is not a number"),
        ("89..88", "its end must be greater"),
        ("89..89", "its end must be greater"),
        ("100..1M", "its end must be greater"),
        ("89..", "'' is not a number"),
        ("", "is no region"),
        ("89...99", "'.99' is not a number"),
        ("-1..5", "'-1' is not a number"),
    ],
)
def test_bad_regions(region: str, said: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("rmap", "--region", region, "-p", POOL)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_region_is_needed(thinmeta: Thinmeta) -> None:
    result = thinmeta("rmap", POOL)

    assert result.exit_code == 2
    assert "--region" in result.stderr


def test_regions_beyond_all_data_blocks_are_empty(thinmeta: Thinmeta) -> None:
    for region in ("8192..99999", f"{1 << 40}..{1 << 80}"):
        result = thinmeta("rmap", "--region", region, POOL)
        assert (result.exit_code, result.stdout) == (0, "")


def test_formats_say_the_same(thinmeta: Thinmeta) -> None:
    region = ["--region", "100..200"]
    objects = list(
        map(json.loads, thinmeta("rmap", *region, "-f", "json", POOL).stdout.splitlines())
    )
    rows = list(csv.DictReader(io.StringIO(thinmeta("rmap", *region, "-f", "csv", POOL).stdout)))

    assert [
        {key: str(number) for key, number in each.items() if key != "type"} for each in objects
    ] == rows
    assert all(each["type"] == "run" for each in objects)
    assert (
        "".join(
            "data {data_begin}..{0} -> thin({device_id}) {origin_begin}..{1}\n".format(
                each["data_begin"] + each["length"], each["origin_begin"] + each["length"], **each
            )
            for each in objects
        )
        == LINES
    )


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_lines(tmp_path: Path) -> None:
    """Of devices that share, two million lines; of devices that do not, half a million."""
    shared = written(tmp_path / "shared", one_tree_for_all(nr_devices=400, nr_leaves=20))
    apart = Image()
    keys = np.arange(252)
    roots = {}
    for device_id in range(1, 9):
        leaves = [
            (252 * at, apart.leaf(mappings(252 * at, ((252 * at + keys) * 8 + device_id).tolist())))
            for at in range(250)
        ]
        roots[device_id] = apart.internal(leaves)
    scattered = written(tmp_path / "scattered", apart.pool(roots, dict.fromkeys(roots, 63000)))
    for image, nr_lines in ((shared, 400 * 20 * 252), (scattered, 8 * 63000)):
        out = tmp_path / "out"
        ran = measured("rmap", "--region", "0..90000000", image, "-o", out)
        assert (ran.exit_code, ran.stderr) == (0, "")
        with out.open("rb") as lines:
            assert sum(1 for _ in lines) == nr_lines
        assert ran.peak < 120


def test_thinpool_shrink_reads_the_lines(thinmeta: Thinmeta) -> None:
    """Its parser: the second word, split at its dots."""
    ranges = []
    for line in thinmeta("rmap", "--region", "1900..1950", POOL).stdout.splitlines():
        begin, _, end = line.split()[1].split(".")
        ranges.append((int(begin), int(end)))

    assert ranges == [(1936, 1938), (1936, 1938), (1938, 1950)]


def test_damage_prints_nothing(thinmeta: Thinmeta, tmp_path: Path) -> None:
    image = bytearray(image_bytes("a09-discards-and-deletes"))
    image[85 * 4096 + 100] ^= 1
    (tmp_path / "damaged").write_bytes(image)

    result = thinmeta("rmap", "--region", "0..9", tmp_path / "damaged")

    assert (result.exit_code, result.stdout) == (5, "")
    assert "metadata block 85, device 1" in result.stderr
