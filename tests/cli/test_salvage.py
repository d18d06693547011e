"""`--salvage` of every command: where nothing is lost nothing changes, and no loss is hidden."""

import json
import re
from pathlib import Path

import pytest

from tests.anatomy import FORMATS, Anatomy
from tests.cases import FIXTURES, unpacked
from tests.cli.invocations import MINIMAL, has_option
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.golden import dumped_images, thin_dump

CASE = "a08-snapshots-of-snapshots"
LARGE = "d02-shared-subtrees"
SNAPSHOT = "a13-metadata-snapshot-held"

SALVAGING = [command for command in MINIMAL if has_option(command, "--salvage")]

# Runs of the commands besides `dump`, on any pool: {0} and {1} are two devices of it.
RUNS: list[tuple[str, ...]] = [
    ("ls",),
    ("ls", "--tree"),
    ("ls", "-f", "json", "-o", "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,NEW,RUNS"),
    ("rmap", "--region", "0..2000", "-f", "json"),
    ("info", "--histograms"),
    ("diff", "{0}", "{1}", "-f", "json"),
    ("diff", "{0}", "{1}"),
    ("lookup", "{0}", "0", "77", "-f", "json"),
]

SMALL = [each for each in dumped_images() if each[0] != LARGE]
FEW = [each for each in SMALL if each[0] in (CASE, SNAPSHOT, "a09-discards-and-deletes")]


def test_all_commands_that_read_mappings_salvage() -> None:
    assert {"dump", "diff", "ls", "rmap", "info", "lookup"} <= {*SALVAGING}


@pytest.mark.parametrize(("case", "image"), SMALL)
def test_a_sound_pool_is_dumped_as_without(case: str, image: str, thinmeta: Thinmeta) -> None:
    for version in ("1.1.0", "0.9.0"):
        result = thinmeta("dump", "--salvage", "--compat", version[:3], unpacked(case, image))
        assert result.stdout_bytes == thin_dump(case, image, "thin_dump", version)
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(("case", "image"), FEW)
def test_a_sound_pool_is_shown_as_without(case: str, image: str, thinmeta: Thinmeta) -> None:
    path = unpacked(case, image)
    ids = (Anatomy.of(case, image).device_ids * 2)[:2]
    runs = [[word.format(*ids) for word in run] for run in RUNS]
    runs += [["dump", *FORMATS["json"]], ["dump", *FORMATS["human-1.1"], "--dev-id", str(ids[0])]]
    for command, *args in runs:
        without = thinmeta(command, *args, "-p", path)
        result = thinmeta(command, *args, "-p", path, "--salvage")
        assert without.exit_code == 0, without.output
        assert result.stdout_bytes == without.stdout_bytes
        assert (result.exit_code, result.stderr) == (0, "")


def test_a_sound_metadata_snapshot_is_dumped_as_without(thinmeta: Thinmeta) -> None:
    result = thinmeta("dump", "-m", "--salvage", unpacked(SNAPSHOT))

    assert result.stdout_bytes == thin_dump(SNAPSHOT, "meta", "thin_dump-m", "1.1.0")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    image = DamagedImage.of(CASE)
    image.zero(Anatomy.of(CASE).leaves(1)[0].block)
    return image.write_to(tmp_path / "meta.bin")


@pytest.mark.parametrize("command", ["dump", "diff", "ls", "rmap", "lookup"])
def test_with_quiet_only_the_last_word_is_said(
    command: str, damaged: Path, thinmeta: Thinmeta
) -> None:
    args = (command, *MINIMAL[command], "--salvage", "-p", damaged)

    loud, quiet = thinmeta(*args), thinmeta(*args, "--quiet")

    assert (loud.exit_code, quiet.exit_code) == (6, 6)
    assert loud.stdout == quiet.stdout
    assert quiet.stderr.splitlines() == loud.stderr.splitlines()[-1:]
    assert quiet.stderr.startswith(f"Error: {damaged}: ")


def test_the_last_word_counts_what_is_lost(damaged: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("dump", "--salvage", "-f", "json", damaged)

    losses = [
        each for each in map(json.loads, result.stdout.splitlines()) if each["type"] == "loss"
    ]
    missing = sum(each["mapped_blocks_missing"] for each in losses)
    assert result.stderr.splitlines()[-1] == (
        f"Error: {damaged}: the metadata is damaged: {len(losses)} of 15 devices are not complete,"
        f" {missing} mappings are missing; all that is sound was read"
    )


def test_only_chosen_devices_are_reported(damaged: Path, thinmeta: Thinmeta) -> None:
    spared = next(
        device_id
        for device_id in Anatomy.of(CASE).device_ids
        if Anatomy.of(CASE).leaves(1)[0].block
        not in {place.block for place in Anatomy.of(CASE).leaves(device_id)}
    )

    whole = thinmeta("dump", "--salvage", "--dev-id", spared, damaged)
    lost = thinmeta("dump", "--salvage", "--dev-id", 1, damaged)
    missing = thinmeta("dump", "--salvage", "--dev-id", 999, damaged)

    assert (whole.exit_code, whole.stderr) == (0, "")
    assert lost.exit_code == 6
    assert {line.split(":")[1] for line in lost.stderr.splitlines()[:-1]} == {" device 1"}
    assert missing.exit_code == 4
    assert "there is no device 999" in missing.stderr


def test_a_file_is_written_whole_although_something_is_lost(
    damaged: Path, thinmeta: Thinmeta
) -> None:
    out = damaged.with_suffix(".xml")

    result = thinmeta("dump", "--salvage", "-o", out, damaged)

    assert (result.exit_code, result.stdout) == (6, "")
    assert out.read_bytes() == thinmeta("dump", "--salvage", damaged).stdout_bytes
    assert out.read_text().endswith("</superblock>")


def test_without_a_superblock_nothing_is_salvaged(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(CASE)
    image.flip_bit(0, 999)
    path = image.write_to(tmp_path / "meta.bin")

    result = thinmeta("dump", "--salvage", path)

    assert (result.exit_code, result.stdout) == (5, "")
    assert "nothing can be read without it" in result.stderr


def test_a_lookup_in_a_device_that_is_lost_is_salvage_of_nothing(
    tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage.of(CASE)
    anatomy = Anatomy.of(CASE)
    image.zero(anatomy.devices[0].block, anatomy.details[0].block)  # so that nothing is proven
    path = image.write_to(tmp_path / "meta.bin")

    strict = thinmeta("lookup", 1, 0, "-p", path)
    result = thinmeta("lookup", 1, 0, "-p", path, "--salvage")

    assert (strict.exit_code, result.exit_code) == (5, 6)
    assert result.stdout == ""
    assert result.stderr == strict.stderr


@pytest.mark.parametrize("kind", ["loss", "lost_range", "lost_devices"])
def test_json_fields_of_losses_are_documented(
    kind: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image, anatomy = DamagedImage.of(CASE), Anatomy.of(CASE)
    image.zero(anatomy.leaves(1)[0].block, anatomy.details[0].block)
    path = image.write_to(tmp_path / "meta.bin")
    lines = map(json.loads, thinmeta("dump", "-f", "json", "--salvage", path).stdout.splitlines())
    shown = next(line for line in lines if line["type"] == kind)
    page = (FIXTURES.parent / "docs/dump.md").read_text()

    section = page.partition(f"\n#### The {kind} object\n")[2].partition("\n#")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(shown)


def test_the_same_objects_end_the_json_of_other_commands(damaged: Path, thinmeta: Thinmeta) -> None:
    def losses(*args: object) -> list[str]:
        lines = thinmeta(*args, "-f", "json", "--salvage", "-p", damaged).stdout.splitlines()
        return [line for line in lines if json.loads(line)["type"].startswith("los")]

    of_dump = losses("dump")
    assert of_dump
    assert losses("ls") == losses("rmap", "--region", "0..9") == of_dump
    of_two = {line for line in of_dump if json.loads(line)["device_id"] in (1, 2)}
    assert {*losses("diff", 1, 2)} == of_two


def test_layers_goes_on(tmp_path: Path, thinmeta: Thinmeta) -> None:
    case = "docker-loop-lvm-xfs-64k"
    anatomy = Anatomy.of(case)
    image = DamagedImage.of(case)
    leaf = next(place for place in anatomy.mapping_places() if place.is_leaf)
    image.block(leaf.block)[100] ^= 1
    damaged = image.write_to(tmp_path / "damaged")
    args = ("layers", "-p", damaged, "--docker-root", FIXTURES / case / "docker-state")

    assert thinmeta(*args).exit_code == 5
    result = thinmeta(*args, "--salvage", "-f", "json")

    assert result.exit_code == 6
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    bad = {place.device_id for place in anatomy.mapping_places() if place.block == leaf.block}
    incomplete = {each["device_id"] for each in objects if each.get("complete") is False}
    assert incomplete == bad
    assert {each["device_id"] for each in objects if each["type"] == "lost_range"} == bad


def test_what_is_lost_cannot_be_read_through_a_table(tmp_path: Path, thinmeta: Thinmeta) -> None:
    case = "a08-snapshots-of-snapshots"
    image = DamagedImage.of(case)
    leaf = Anatomy.of(case).leaves(6)[1]
    image.block(leaf.block)[100] ^= 1
    damaged = image.write_to(tmp_path / "damaged")
    args = ("table", "6", "--size", "64M", "--linear", "/dev/sdx", "-p", damaged)

    assert thinmeta(*args).exit_code == 5
    result = thinmeta(*args, "--salvage")

    assert result.exit_code == 6
    lines = [line.split() for line in result.stdout.splitlines() if line[:1].isdigit()]
    assert sum(int(length) for _, length, *_ in lines) == (64 << 20) // 512
    failing = [(int(begin), int(length)) for begin, length, *what in lines if what == ["error"]]
    assert failing == [(leaf.low * 128, (leaf.last + 1 - leaf.low) * 128)]
