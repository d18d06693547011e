"""`thinmeta info`: its formats say the same, and its options and errors are as documented."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import BlockKind, DamagedImage
from tests.made_images import Image, mappings, written
from thinmeta.errors import ExitCode

CASE = "a23-long-runs-and-holes"
POOL = unpacked(CASE)
SNAPSHOT = unpacked("a13-metadata-snapshot-held", "meta-live-after-changes")


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("info", "-f", "json", *args)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def row_of(text: str, name: str) -> list[int]:
    (row,) = re.findall(rf"^{name} +(.*)$", text, re.M)
    return [int(word) for word in row.split()[:4]]


def test_json_says_what_the_pool_is(thinmeta: Thinmeta) -> None:
    assert objects(thinmeta, POOL) == [
        {
            "type": "info",
            "state": "live",
            "version": 2,
            "flags": 0,
            "needs_check": False,
            "compat_flags": 0,
            "compat_ro_flags": 0,
            "incompat_flags": 0,
            "transaction_id": 3,
            "time": 2,
            "held_root": None,
            "data_block_sectors": 128,
            "nr_devices": 3,
            "mapped_blocks": 8837,
            "data_blocks_above_1": 219,
            "data": {
                "block_bytes": 65536,
                "nr_blocks": 32768,
                "used": 3029,
                "reserved": 0,
                "free": 29739,
            },
            "metadata": {
                "block_bytes": 4096,
                "nr_blocks": 4096,
                "used": 30,
                "reserved": 409,
                "free": 3657,
            },
            "conditions": [],
        }
    ]


@pytest.mark.parametrize(
    "image", [POOL, SNAPSHOT, unpacked("a15-data-full")], ids=lambda path: path.name
)
@pytest.mark.parametrize("options", [(), ("-m",)], ids=["live", "snap"])
def test_text_and_json_say_the_same(
    image: Path, options: tuple[str, ...], thinmeta: Thinmeta
) -> None:
    if options and image != SNAPSHOT:
        assert thinmeta("info", image, *options).exit_code == 4
        return
    (found,) = objects(thinmeta, image, *options)
    text = thinmeta("info", image, *options).stdout

    for name, value in {
        "transaction id": found["transaction_id"],
        "time": found["time"],
        "devices": found["nr_devices"],
        "mappings": found["mapped_blocks"],
    }.items():
        assert re.search(rf"^{name} +{value}\b", text, re.MULTILINE)
    for name in ("data", "metadata"):
        space = found[name]
        assert row_of(text, rf"{name} ") == [
            space[key] for key in ("nr_blocks", "used", "reserved", "free")
        ]
    assert ("Data is full." in text) == ("data_full" in found["conditions"])
    assert ("snapshot is held" in text) == ("snapshot_held" in found["conditions"])
    assert ("no space maps" in text) == (found["state"] == "snap")
    assert (found["data_blocks_above_1"] is None) == (found["state"] == "snap")


def test_histograms_are_thin_stats_tables(thinmeta: Thinmeta) -> None:
    image = unpacked("a09-discards-and-deletes")

    text = thinmeta("info", "--histograms", image).stdout

    assert text.startswith(thinmeta("info", image).stdout)
    assert text.removeprefix(thinmeta("info", image).stdout) == (
        "\nLengths of runs, in blocks\nlength\tcounts\tpercentage\n"
        "2\t1\t20.0000\n96\t1\t20.0000\n192\t1\t20.0000\n479\t1\t20.0000\n640\t1\t20.0000\n"
        "5 runs in 8 leaves\navg run length = 281.80\n"
        "\nRef counts in the data space map\nref-count\ttimes\tpercentage\n"
        "1\t1409\t100.0000\n1409 blocks allocated\navg ref count = 1.00\n"
        "\nRef counts in the metadata space map\nref-count\ttimes\tpercentage\n"
        "1\t18\t94.7368\n2\t1\t5.2632\n19 blocks allocated\navg ref count = 1.05\n"
    )


def test_histograms_are_objects(thinmeta: Thinmeta) -> None:
    _, lengths, data, metadata = objects(thinmeta, "--histograms", POOL)

    assert [each["of"] for each in (lengths, data, metadata)] == [
        "run_lengths",
        "data_ref_counts",
        "metadata_ref_counts",
    ]
    for each in (lengths, data, metadata):
        assert each["type"] == "histogram"
        assert each["total"] == sum(count for _, count in each["bins"])
    assert lengths["nr_leaves"] == len(
        {place.block for place in Anatomy.of(CASE).mapping_places() if place.is_leaf}
    )


def test_a_snapshot_has_run_lengths_only(thinmeta: Thinmeta) -> None:
    assert [each["type"] for each in objects(thinmeta, "-m", "--histograms", SNAPSHOT)] == [
        "info",
        "histogram",
    ]


def test_flags_are_words(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of("a11-needs-check-flag")
    image.superblock()["flags"] = 5
    image.superblock()["compat_ro_flags"] = 2
    image.restamp(0)

    text = thinmeta("info", image.write_to(tmp_path / "image")).stdout

    assert re.search("^flags +needs_check, 0x4, which is not known here$", text, re.MULTILINE)
    assert re.search("^compat_ro_flags +0x2: not known here$", text, re.MULTILINE)
    assert "read-only until the metadata was checked" in text


def test_metadata_may_be_an_option(thinmeta: Thinmeta) -> None:
    assert thinmeta("info", "-p", POOL).stdout == thinmeta("info", POOL).stdout


def test_output_goes_to_a_file(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("info", POOL, "-o", tmp_path / "out")

    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out").read_text() == thinmeta("info", POOL).stdout


def test_damage_leaves_numbers_out_and_is_the_last_word(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    anatomy = Anatomy.of(CASE)
    details = anatomy.details[0].block
    bitmap = anatomy.space_map_blocks()[BlockKind.BITMAP][0]
    image.zero(details, bitmap)
    path = image.write_to(tmp_path / "image")

    text, found = thinmeta("info", path), thinmeta("info", path, "-f", "json", "-q")

    assert (text.exit_code, found.exit_code) == (5, 5)
    assert re.search("^devices +not known: the metadata is damaged$", text.stdout, re.MULTILINE)
    assert row_of(text.stdout, "data ") == [32768, 3029, 0, 29739]
    assert f"metadata block {bitmap}" in text.stderr
    assert f": metadata block {details}, device ids 0..end: " in text.stderr.splitlines()[-1]
    assert found.stderr.splitlines() == text.stderr.splitlines()[-1:]
    numbers = json.loads(found.stdout)
    assert (numbers["nr_devices"], numbers["mapped_blocks"]) == (None, None)
    assert numbers["data_blocks_above_1"] is None


def test_a_damaged_superblock_leaves_nothing(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    image.flip_bit(0, 8 * 100)

    result = thinmeta("info", image.write_to(tmp_path / "image"))

    assert (result.exit_code, result.stdout) == (5, "")


def test_a_claim_of_endless_blocks_ends(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    image.superblock()["data_space_map_root"]["nr_blocks"] = 2**60
    image.restamp(0)

    result = thinmeta("info", "--histograms", image.write_to(tmp_path / "image"))

    assert result.exit_code == 5
    assert "there can be bitmaps for" in result.stderr
    assert "1024 EiB" not in result.stderr


def test_a_device_in_one_tree_only_is_a_warning(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = Image()
    root = image.leaf(mappings(0, [9]))
    path = written(tmp_path / "image", image.pool({1: root, 2: root}, {1: 1}))

    result = thinmeta("info", path)

    assert "device 2: only the mapping tree has this device" in result.stderr


def test_documented_json_fields_are_all(thinmeta: Thinmeta) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/info.md").read_text()
    info, lengths, *_ = objects(thinmeta, "--histograms", POOL)

    for kind, shown in {"info": info, "space": info["data"], "histogram": lengths}.items():
        section = page.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(shown)


@pytest.mark.parametrize("option", ["--salvage", "--salvage-likely"])
def test_what_hung_below_lost_nodes_is_counted(
    option: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    is_likely = option == "--salvage-likely"
    sound = unpacked("a09-discards-and-deletes" if is_likely else "a08-snapshots-of-snapshots")
    image = bytearray(sound.read_bytes())
    for block in (38, 84) if is_likely else (37,):  # nodes above leaves
        image[block * 4096 : (block + 1) * 4096] = bytes(4096)
    (damaged := tmp_path / "damaged").write_bytes(image)

    result = thinmeta("info", "--histograms", option, damaged)

    assert result.exit_code == (ExitCode.SALVAGED if is_likely else ExitCode.DONE)
    assert result.stdout == thinmeta("info", "--histograms", sound).stdout
    assert "hung below" in result.stderr


def test_what_is_lost_of_mappings_is_said(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = bytearray(unpacked("a08-snapshots-of-snapshots").read_bytes())
    image[110 * 4096 : 111 * 4096] = bytes(4096)  # a leaf of devices 6 and 7
    (damaged := tmp_path / "damaged").write_bytes(image)

    result = thinmeta("info", "--salvage", "-f", "json", damaged)

    assert result.exit_code == ExitCode.SALVAGED
    assert "252 mappings are missing" in result.stderr
    assert json.loads(result.stdout)["mapped_blocks"] == 8177 - 252
