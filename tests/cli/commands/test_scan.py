"""`thinmeta scan`: both formats say the same, damage is told, and the exit code fits."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.damage import BLOCK, DamagedImage
from tests.lvm.lvm_disks import real_disk
from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.errors import ExitCode
from thinmeta.formats.printable import command_text

DELETED = "a09-discards-and-deletes"
HELD = "a13-metadata-snapshot-held"
GOOD = "a08-snapshots-of-snapshots"
DOCKER = "docker-loop-lvm-xfs-64k"


def objects(thinmeta: Thinmeta, *args: object) -> list[dict[str, Any]]:
    result = thinmeta("scan", "-f", "json", *args)
    assert result.exit_code == ExitCode.DONE, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(text: str, title: str) -> list[list[str]]:
    """Return the words of the rows of a table, without its heading."""
    table = text.partition(f"\n{title}")[2].partition("\n\n")[0]
    return [line.split() for line in table.splitlines()[2:]]


@pytest.mark.parametrize("case", [DELETED, HELD])
def test_text_and_json_say_the_same(case: str, thinmeta: Thinmeta) -> None:
    blocks, *others, end = objects(thinmeta, unpacked(case))
    states = [each for each in others if each["type"] == "state"]
    orphans = [each for each in others if each["type"] == "orphan"]

    text = thinmeta("scan", unpacked(case)).stdout

    assert end == {"type": "end"}
    assert f"blocks {blocks['nr_blocks']:>41}\n" in text
    shown = rows(text, "States")
    assert [row[0] for row in shown] == [
        each["state"] or f"-:{each['details_root']}" for each in states
    ]
    for row, state in zip(shown, states, strict=True):
        names = ("nr_devices", "nr_mappings", "mapped_blocks", "nr_nodes_lost", "time")
        assert row[1:6] == [str(state[name]) for name in names]
    assert [(row[0], row[2]) for row in rows(text, "Orphans")] == [
        (f"root:{each['root']}", str(each["nr_mappings"])) for each in orphans
    ]


def test_the_live_state_and_the_snapshot_are_marked(thinmeta: Thinmeta) -> None:
    text = thinmeta("scan", unpacked(HELD)).stdout
    released = thinmeta("scan", unpacked(HELD, "meta-released")).stdout

    assert re.findall(r"^(\d+:\d+) .*  live$", text, re.M) == ["76:78"]
    assert re.findall(r"^(\d+:\d+) .*  held snapshot$", text, re.M) == ["31:32"]
    assert re.findall(r"^(\d+:\d+) .*  released snapshot$", released, re.M) == ["31:32"]


def test_json_lists_the_devices_of_each_state(thinmeta: Thinmeta) -> None:
    found = objects(thinmeta, unpacked(DELETED))
    anatomy = Anatomy.of(DELETED)

    live = next(each for each in found if each["type"] == "state" and each["live"])

    assert {each["device_id"]: each["mapping_root"] for each in live["devices"]} == (
        anatomy.device_roots
    )
    for each in live["devices"]:
        assert each["nr_mappings"] == anatomy.mapped_blocks(each["device_id"])


def test_text_says_which_devices_each_state_has(thinmeta: Thinmeta) -> None:
    states = [each for each in objects(thinmeta, unpacked(DELETED)) if each["type"] == "state"]
    text = thinmeta("scan", unpacked(DELETED)).stdout

    for row, state in zip(rows(text, "States"), states, strict=True):
        ranges = [each.partition("..") for each in row[8].split(",")] if row[8] != "-" else []
        shown = {
            number
            for first, _, last in ranges
            for number in range(int(first), int(last or first) + 1)
        }
        assert shown == {device["device_id"] for device in state["devices"]}


def test_a_deleted_device_is_in_an_older_state(thinmeta: Thinmeta) -> None:
    found = [each for each in objects(thinmeta, unpacked(DELETED)) if each["type"] == "state"]
    ids = [{device["device_id"] for device in state["devices"]} for state in found]

    assert any(older - ids[0] for older in ids[1:])


def test_few_are_shown_unless_all_are_asked_for(thinmeta: Thinmeta) -> None:
    few = thinmeta("scan", unpacked(DOCKER)).stdout
    everything = thinmeta("scan", "--all", unpacked(DOCKER)).stdout

    (number,) = re.findall(r"^States, best first: (\d+)$", few, re.M)
    assert len(rows(few, "States")) == 21
    assert f"... and {int(number) - 20} more, which --all shows\n" in few
    assert len(rows(everything, "States")) == int(number)
    assert "more, which" not in everything


def test_commands_that_are_shown_name_what_was_found(thinmeta: Thinmeta) -> None:
    text = thinmeta("scan", unpacked(DELETED)).stdout

    (state,) = re.findall(r"thinmeta ls --state (\d+:\d+) ", text)
    assert state in [row[0] for row in rows(text, "States")[1:]]
    words = ("dump", "--state", state, "-p", str(unpacked(DELETED)))
    assert f"{command_text(*words)}\n" in text


def test_without_a_superblock_it_goes_on_and_says_so(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(DELETED)
    image.zero(0)
    path = image.write_to(tmp_path / "meta.bin")

    loud, quiet = (thinmeta("scan", path, *more) for more in ((), ("-q",)))

    assert loud.exit_code == ExitCode.DONE
    assert loud.stderr == (
        f"Warning: {path}: the superblock is damaged, so nothing says which state is the live one\n"
    )
    assert (quiet.stderr, quiet.stdout) == ("", loud.stdout)
    assert rows(loud.stdout, "States")[0][0] == "122:124"


def test_a_truncated_copy_is_told(tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage.of(DELETED)
    image.truncate(150 * BLOCK)

    result = thinmeta("scan", image.write_to(tmp_path / "meta.bin"))

    assert result.exit_code == ExitCode.DONE
    assert "ends after 150 of 2048 blocks" in result.stderr
    assert rows(result.stdout, "States")[0][0] == "122:124"


def test_blocks_that_cannot_be_read_are_told(
    monkeypatch: pytest.MonkeyPatch, thinmeta: Thinmeta
) -> None:
    anatomy = Anatomy.of(DELETED)
    bad = anatomy.leaves(1)[0].block
    read = BlockDevice.read

    def read_with_fault(device: BlockDevice, blocks: Any) -> Any:
        batch = read(device, blocks)
        batch.rows[blocks == bad] = 0
        batch.faults[blocks == bad] = Fault.READ_ERROR
        return batch

    monkeypatch.setattr(BlockDevice, "read", read_with_fault)
    result = thinmeta("scan", unpacked(DELETED))

    assert result.exit_code == ExitCode.SALVAGED
    assert "blocks that cannot be read: 1; what they held is missing" in result.stderr
    assert re.search(r"^  cannot be read +1$", result.stdout, re.M)
    assert rows(result.stdout, "States")[0][4] == str(anatomy.occurrences[bad])


def test_metadata_comes_from_the_environment_too(thinmeta: Thinmeta) -> None:
    result = thinmeta("scan")

    assert result.exit_code == ExitCode.INPUT
    assert "no METADATA was given and THINMETA_POOL is not set" in result.stderr


def test_the_output_may_be_a_file(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("scan", unpacked(HELD), "-o", tmp_path / "found")

    assert result.exit_code == ExitCode.DONE
    assert (tmp_path / "found").read_text() == thinmeta("scan", unpacked(HELD)).stdout
    assert [each.name for each in tmp_path.iterdir()] == ["found"]


@pytest.fixture(scope="module")
def whole_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a disk with two metadata devices, the second without its superblock."""
    path = tmp_path_factory.mktemp("disk") / "a disk.img"
    other = unpacked("a13-metadata-snapshot-held", "meta-released").read_bytes()
    noise = np.random.default_rng(1).bytes(4096)
    path.write_bytes(
        bytes(512) + unpacked(GOOD).read_bytes() + noise + bytes(1024 + 4096) + other[4096:] + noise
    )
    return path


def test_a_whole_disk_is_searched(whole_disk: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("scan", whole_disk)
    assert result.exit_code == ExitCode.DONE
    assert "Metadata on a larger disk, by the byte where it begins: 2\n" in result.stdout
    lines = [line for line in result.stdout.splitlines() if line.startswith("thinmeta ")]
    live, past = (shlex.split(line)[1:] for line in lines)
    assert (live[0], past[0]) == ("ls", "scan")
    assert thinmeta(*live).stdout == thinmeta("ls", unpacked(GOOD)).stdout
    assert "\n76:78 " in thinmeta(*past).stdout
    found = [
        json.loads(line) for line in thinmeta("scan", "-f", "json", whole_disk).stdout.splitlines()
    ]
    size = unpacked(GOOD).stat().st_size
    assert [each.get("begin") for each in found] == [512, 512 + size + 4096 + 1024, None]
    assert [each["type"] for each in found] == ["place", "place", "end"]
    further = thinmeta("scan", "-f", "json", f"{whole_disk}@4096")
    assert json.loads(further.stdout.splitlines()[0])["begin"] == 512


def test_a_disk_that_cannot_be_read_everywhere(
    whole_disk: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    size = whole_disk.stat().st_size
    path = tmp_path / "map"
    path.write_text(f"0 + 1\n0 100000 +\n100000 512 -\n100512 {size - 100512} +\n")
    result = thinmeta("scan", whole_disk, "--bad-map", f"{whole_disk}={path}")
    assert result.exit_code == ExitCode.SALVAGED
    assert "blocks that cannot be read: 1; metadata that is there is missing" in result.stderr
    assert f"--bad-map '{whole_disk}={path}'" in result.stdout


def test_of_a_disk_of_lvms_the_better_way_is_told(thinmeta: Thinmeta) -> None:
    result = thinmeta("scan", real_disk())
    assert result.exit_code == ExitCode.DONE
    assert "is an LVM physical volume" in result.stderr
    assert f"thinmeta ls -p {real_disk()}@273678336\n" in result.stdout
