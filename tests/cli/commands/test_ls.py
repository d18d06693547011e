"""`thinmeta ls`: its formats, its fields, its tree, and those who parse thin_ls."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.conftest import Thinmeta
from thinmeta.formats.ls_fields import FIELDS
from thinmeta.formats.thin_ls import size_text
from thinmeta.model.pool import open_pool

POOL = str(unpacked("a09-discards-and-deletes"))
HELD = str(unpacked("a13-metadata-snapshot-held"))
NUMBERS = {name: field for name, field in FIELDS.items() if name != "NAME"}
ALL = ",".join(NUMBERS)

THIN_LS = (
    "DEV MAPPED_BLOCKS EXCLUSIVE_BLOCKS SHARED_BLOCKS HIGHEST_BLOCK MAPPED_SECTORS"
    " EXCLUSIVE_SECTORS SHARED_SECTORS HIGHEST_SECTOR MAPPED_BYTES EXCLUSIVE_BYTES SHARED_BYTES"
    " HIGHEST_BYTE MAPPED EXCLUSIVE SHARED HIGHEST_MAPPED TRANSACTION CREATE_TIME SNAP_TIME"
)


def damaged(tmp_path: Path, block: int) -> str:
    path = tmp_path / "damaged"
    image = bytearray(image_bytes("a09-discards-and-deletes"))
    image[block * 4096 + 100] ^= 1
    path.write_bytes(image)
    return str(path)


def test_all_fields_of_thin_ls_are_there() -> None:
    assert set(FIELDS) == {*THIN_LS.split(), "NEW", "RUNS", "NAME"}


def test_formats_say_the_same(thinmeta: Thinmeta) -> None:
    text = thinmeta("ls", "-o", ALL, POOL).stdout.splitlines()
    objects = [
        json.loads(line)
        for line in thinmeta("ls", "-o", ALL, "-f", "json", POOL).stdout.split("\n")
        if line
    ]
    rows = list(csv.DictReader(io.StringIO(thinmeta("ls", "-o", ALL, "-f", "csv", POOL).stdout)))

    assert [each["device_id"] for each in objects] == [1, 3, 5, 7, 8]
    for line, each, row in zip(text[1:], objects, rows, strict=True):
        cells = dict(zip(text[0].split(), line.split(), strict=True))
        assert each["type"] == "device"
        for name, field in NUMBERS.items():
            number = each[field.key]
            assert row[name] == ("" if number is None else str(number))
            if number is not None:
                assert cells[name] == (size_text(number) if field.is_size else str(number))


def test_a_device_that_maps_nothing_has_no_highest_block(thinmeta: Thinmeta) -> None:
    fields = "DEV,HIGHEST_BLOCK,HIGHEST_SECTOR,HIGHEST_BYTE,HIGHEST_MAPPED"

    text = thinmeta("ls", "--no-headers", "-o", fields, POOL).stdout.splitlines()
    objects = thinmeta("ls", "-f", "json", "-o", fields, POOL).stdout.splitlines()

    assert text[1].split() == ["3", "0", "127", "65535", "64KiB"]
    assert json.loads(objects[1]) == {
        "type": "device",
        "device_id": 3,
        "highest_block": None,
        "highest_sector": None,
        "highest_byte": None,
    }


@pytest.mark.parametrize("fields", ["FOO", "DEV,foo", "dev", "", "DEV, MAPPED"])
def test_unknown_fields_are_named(fields: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("ls", "-o", fields, POOL)

    assert result.exit_code == 2
    assert f"unknown field {fields.rsplit(',', maxsplit=1)[-1]!r}" in result.stderr
    assert "HIGHEST_MAPPED" in result.stderr
    assert result.stdout == ""


def test_damage_prints_no_table(thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("ls", damaged(tmp_path, 85))

    assert result.exit_code == 5
    assert "metadata block 85, device 1, origin blocks 0..250" in result.stderr
    assert result.stdout == ""


def test_details_are_read_past_damage(thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("ls", "-o", "DEV,TRANSACTION", damaged(tmp_path, 85))
    old = thinmeta("ls", "--compat", "0.9", "-o", "DEV,MAPPED", damaged(tmp_path, 85))

    assert result.exit_code == old.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == list("13578")
    assert [line.split() for line in old.stdout.splitlines()[1:3]] == [["1", "36MiB"], ["3", "0"]]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (512, "512b"),
        (65536, "64KiB"),
        (65535, "64KiB"),
        (2097151, "2047KiB"),
        (8192 << 10, "8192KiB"),
        (8193 << 10, "8MiB"),
        (8703 << 20, "8GiB"),
        (8704 << 20, "9GiB"),
        (9728 << 20, "10GiB"),
        (4 << 50, "4096Tib"),
    ],
)
def test_sizes_are_those_of_thin_ls(size: int, text: str) -> None:
    """Seen in thin_ls 1.1.0: cut to a unit, and rounded where that is more than 8192."""
    assert size_text(size) == text


def test_compat_differs_in_sizes_only(thinmeta: Thinmeta) -> None:
    assert size_text(0) == "0b"
    assert size_text(0, "0.9") == "0"
    assert (size_text(9 << 40), size_text(9 << 40, "0.9")) == ("9Tib", "9TiB")
    new = thinmeta("ls", "-o", ALL, POOL).stdout.split()
    old = thinmeta("ls", "--compat", "0.9", "-o", ALL, POOL).stdout.split()
    assert [{"0b": "0"}.get(cell, cell) for cell in new] == old


def test_cadvisor_reads_exclusive_bytes(thinmeta: Thinmeta) -> None:
    """Its parser: two fields a line, both unsigned numbers."""
    lines = thinmeta("ls", "--no-headers", "-m", "-o", "DEV,EXCLUSIVE_BYTES", HELD).stdout

    cache = {}
    for line in lines.splitlines():
        fields = line.split()
        assert len(fields) == 2
        cache[fields[0]] = int(fields[1])

    assert cache == {"1": 0, "2": 3211264, "3": 0}


def test_scripts_drop_the_first_line(thinmeta: Thinmeta) -> None:
    """`thin_ls -m DEV | awk 'NR!=1'`."""
    lines = thinmeta("ls", "-m", HELD).stdout.splitlines()[1:]

    assert [line.split()[0] for line in lines] == ["1", "2", "3"]


def test_the_tree_as_json(thinmeta: Thinmeta) -> None:
    objects = [
        json.loads(line)
        for line in thinmeta("ls", "--tree", "-f", "json", POOL).stdout.splitlines()
    ]

    assert {each["device_id"]: each["parent_id"] for each in objects} == {
        1: None,
        3: None,
        5: None,
        7: 1,
        8: None,
    }
    assert {each["device_id"] for each in objects if each["is_snapshot"]} == {5, 7}
    assert objects[3]["basis"] == "clock"
    assert objects[2]["exclusive_bytes"] == 640 << 16


def test_the_tree_of_many_generations(thinmeta: Thinmeta) -> None:
    pool = str(unpacked("a08-snapshots-of-snapshots"))

    lines = thinmeta("ls", "--tree", "--no-headers", pool).stdout.splitlines()

    assert [line.partition("  3")[0].rstrip() for line in lines[3:7]] == [
        "      └─ 3",
        "         ├─ 4",
        "         │  └─ 5",
        "         │     └─ 6",
    ]


def test_the_tree_has_its_own_columns(thinmeta: Thinmeta) -> None:
    assert thinmeta("ls", "--tree", "-o", "DEV", POOL).exit_code == 2
    assert thinmeta("ls", "--tree", "-f", "csv", POOL).exit_code == 2


def test_output_goes_to_a_file(thinmeta: Thinmeta, tmp_path: Path) -> None:
    result = thinmeta("ls", POOL, "--output", tmp_path / "table")

    assert result.stdout == ""
    assert (tmp_path / "table").read_text() == thinmeta("ls", POOL).stdout


@pytest.mark.parametrize("option", ["--tree", "--no-headers"])
def test_a_pool_without_devices(option: str, thinmeta: Thinmeta) -> None:
    result = thinmeta("ls", option, str(unpacked("a01-empty-pool")))

    assert result.exit_code == 0
    assert result.stdout.count("\n") == (1 if option == "--tree" else 0)


@pytest.mark.parametrize("fields", ["DEV,MAPPED", "DEV,CREATE_TIME"])
def test_devices_of_a_state_without_details_are_told_one_by_one(
    fields: str, thinmeta: Thinmeta
) -> None:
    """Whether mappings are read or not, and not as a fault of block 0."""
    with open_pool(POOL) as pool:
        root, ids = pool.superblock.data_mapping_root, list(pool.devices)

    result = thinmeta("ls", "--state", str(root), "-o", fields, POOL)

    assert result.exit_code == 5
    told = [line for line in result.stderr.splitlines() if "only the mapping tree" in line]
    assert sorted(int(line.split("device ")[1].split(":")[0]) for line in told) == ids


SNAPSHOTS = str(unpacked("a08-snapshots-of-snapshots"))


def test_what_devices_free_together(thinmeta: Thinmeta) -> None:
    alone = [f"--together={each}" for each in (1, 2)]
    result = thinmeta("ls", *alone, "--together", "1,2", SNAPSHOTS)
    assert result.stdout.splitlines() == [
        " FREES  BLOCKS  DEVS  TOGETHER",
        "192KiB       3     1  1",
        "    0b       0     1  2",
        "384KiB       6     2  1,2",
    ]
    (line,) = thinmeta("ls", "--together", "2,1,2", "-f", "json", SNAPSHOTS).stdout.splitlines()
    assert json.loads(line) == {
        "type": "together",
        "name": "2,1,2",
        "device_ids": [2, 1, 2],
        "frees_blocks": 6,
        "frees_bytes": 6 * 65536,
        "kept_blocks": 0,
        "kept_bytes": 0,
    }


def test_what_the_tree_frees_is_what_its_branches_free_together(thinmeta: Thinmeta) -> None:
    lines = thinmeta("ls", "--tree", "-f", "json", SNAPSHOTS).stdout.splitlines()
    devices = {each["device_id"]: each for each in map(json.loads, lines)}
    for device_id, device in devices.items():
        branch = [device_id]
        for above in branch:
            branch += [key for key, each in devices.items() if each["parent_id"] == above]
        group = ",".join(map(str, branch))
        (line,) = thinmeta("ls", "--together", group, "-f", "json", SNAPSHOTS).stdout.splitlines()
        assert json.loads(line)["frees_bytes"] == device["frees_bytes"]


def test_what_the_metadata_snapshot_keeps_is_said(thinmeta: Thinmeta) -> None:
    result = thinmeta("ls", "--together", "1,3,4,5", HELD)
    assert result.exit_code == 0
    assert "1,3,4,5: 216 of these blocks stay taken until the metadata snapshot" in result.stderr


def test_what_is_lost_makes_bounds_of_what_is_freed(thinmeta: Thinmeta, tmp_path: Path) -> None:
    with open_pool(Path(POOL)) as pool:
        root = pool.devices[8].mapping_root
    assert root is not None
    pool_path = damaged(tmp_path, root)
    assert thinmeta("ls", "--together", "8", pool_path).exit_code == 5
    result = thinmeta("ls", "--together", "8", "--together", "5", "--salvage", pool_path)
    assert result.exit_code == 6
    whole = thinmeta("ls", "--together", "8", "--together", "5", POOL).stdout.splitlines()
    for line, truth in zip(result.stdout.splitlines()[1:], whole[1:], strict=True):
        most, there_are = line.split()[1], truth.split()[1]
        assert most.startswith("≤")
        assert int(most[1:]) >= int(there_are)
    tree = thinmeta("ls", "--tree", "--salvage", pool_path).stdout.splitlines()
    assert all(line.count("≤") == 2 for line in tree[1:])


@pytest.mark.parametrize(
    "args",
    [
        ["--together", "1@snap"],
        ["--together", "root:5"],
        ["--together", ""],
        ["--together", "1,"],
        ["--together", "1", "--tree"],
        ["--together", "1", "-o", "DEV"],
        ["--together", "1", "-f", "csv"],
        ["--together", "1", "--sort", "DEV"],
        ["--tree", "--sort", "DEV"],
        ["--sort", "NONE"],
        ["--sort", "DEV,MAPPED"],
        ["--sort", ""],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(thinmeta: Thinmeta, args: list[str]) -> None:
    result = thinmeta("ls", *args, HELD)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_device_that_is_not_there_frees_nothing(thinmeta: Thinmeta) -> None:
    assert thinmeta("ls", "--together", "1,99", SNAPSHOTS).exit_code == 4


@pytest.mark.parametrize("name", ["DEV", "MAPPED", "EXCLUSIVE", "HIGHEST_BLOCK", "RUNS", "NAME"])
def test_sorted_by_a_field(thinmeta: Thinmeta, name: str) -> None:
    key = FIELDS[name].key

    def values(sort: str) -> list[int | None]:
        listed = thinmeta("ls", "-o", f"DEV,{name}", "-f", "json", "--sort", sort, POOL).stdout
        return [json.loads(line)[key] for line in listed.splitlines()]

    ascending = values(name)
    known = [each for each in ascending if each is not None]
    assert known == sorted(known)
    assert ascending == known + [None] * (len(ascending) - len(known))
    descending = values(f"-{name}")
    assert descending == sorted(known, reverse=True) + [None] * (len(ascending) - len(known))
