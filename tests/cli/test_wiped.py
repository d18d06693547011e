"""A wiped superblock: every command says what is left, and the commands that go on run."""

import lzma
import re
import shlex
from pathlib import Path

import pytest

from tests.cases import image_bytes, unpacked
from tests.cli.invocations import READERS, WITHOUT_SUPERBLOCK, arguments
from tests.conftest import Thinmeta
from tests.device.test_signatures import FOREIGN
from tests.made_images import BLOCK, written
from thinmeta.errors import ExitCode

GOOD = image_bytes("a08-snapshots-of-snapshots")
WIPED = bytes(BLOCK) + GOOD[BLOCK:]
COPIES = {"pack", "unpack", *WITHOUT_SUPERBLOCK}

needs_superblock = pytest.mark.parametrize(
    "command", [command for command in READERS if command not in COPIES]
)


def commands_in(text: str) -> list[list[str]]:
    """Return the commands that a message says to type, without `thinmeta`."""
    return [shlex.split(command) for command in re.findall("`thinmeta (.*?)`", text)]


@needs_superblock
@pytest.mark.parametrize("name", ["wiped.img", "wiped.xz", "a wiped $one.img"])
def test_the_commands_that_go_on_are_named(
    command: str, name: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    image = lzma.compress(WIPED) if name.endswith("xz") else WIPED
    path = written(tmp_path / name, image)

    result = thinmeta(*arguments(command, path))

    assert result.exit_code == (ExitCode.DAMAGE if command == "check" else ExitCode.INPUT)
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {path}: has no thin-pool superblock in its first")
    assert "but sound metadata is left, as in block 1: " in result.stderr
    assert commands_in(result.stderr) == [
        ["scan", "-p", str(path)],
        ["repair", "-p", str(path), "-o", "NEW", "--data-block-size", "SECTORS"],
    ]


def test_what_is_named_brings_everything_back(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = written(tmp_path / "wiped.img", WIPED)
    new = tmp_path / "new"
    scan, repair = commands_in(thinmeta("dump", path).stderr)
    words = [{"NEW": str(new), "SECTORS": "128"}.get(word, word) for word in repair]

    assert thinmeta(*scan).exit_code == ExitCode.DONE
    assert thinmeta(*words).exit_code == ExitCode.DONE

    good = written(tmp_path / "good.img", GOOD)
    before, after = (
        thinmeta("dump", "--compat", "0.9", image).stdout.splitlines() for image in (good, new)
    )
    assert after[1:] == before[1:]


def test_on_lvms_disks_the_same_disks_are_named(tmp_path: Path, thinmeta: Thinmeta) -> None:
    disk = tmp_path / "pv.img"
    image = bytearray(unpacked("c01-lvm-thin-one-pv", "pv").read_bytes())
    # The first extent of pool0_tmeta holds its superblock.
    place = image.index(image_bytes("c01-lvm-thin-one-pv")[:BLOCK])
    image[place : place + BLOCK] = bytes(BLOCK)
    written(disk, bytes(image))
    named = ["--lvm", str(disk), "--lv", "vgthin/pool0"]

    result = thinmeta("ls", *named)

    assert result.exit_code == ExitCode.INPUT
    scan, repair = commands_in(result.stderr)
    assert scan == ["scan", *named]
    assert repair == ["repair", *named, "-o", "NEW"]
    assert thinmeta(*scan).exit_code == ExitCode.DONE


@pytest.mark.parametrize("is_wiped", [True, False])
def test_a_data_block_size_that_a_copy_knows_is_in_the_command(
    tmp_path: Path, thinmeta: Thinmeta, *, is_wiped: bool
) -> None:
    """The superblock of a held metadata snapshot is a copy."""
    image = image_bytes("a13-metadata-snapshot-held")
    broken = bytes(BLOCK) if is_wiped else bytes(image[:100]) + b"?" * (BLOCK - 100)
    path, new = written(tmp_path / "held.img", broken + image[BLOCK:]), tmp_path / "new.img"

    _, repair = commands_in(thinmeta("ls", path).stderr)

    assert repair[-2:] == ["--data-block-size", "128"]
    assert thinmeta(*[str(new) if word == "NEW" else word for word in repair]).exit_code == 0
    assert thinmeta("check", new).exit_code == ExitCode.DONE


def test_check_is_quiet_about_it_if_asked(tmp_path: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta("check", "-q", written(tmp_path / "wiped.img", WIPED))

    assert (result.exit_code, result.output) == (ExitCode.DAMAGE, "")


@pytest.mark.parametrize("command", ["check", "ls", "dump"])
def test_for_a_damaged_superblock_they_are_named_too(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = written(tmp_path / "bad.img", GOOD[:100] + bytes([GOOD[100] ^ 1]) + GOOD[101:])

    result = thinmeta(command, path)

    assert result.exit_code == ExitCode.DAMAGE
    assert commands_in(result.stderr)[0] == ["scan", "-p", str(path)]


@needs_superblock
def test_metadata_that_begins_further_on_is_placed(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = written(tmp_path / "disk.img", bytes(1 << 20) + GOOD)

    result = thinmeta(*arguments(command, path))

    assert result.exit_code == ExitCode.INPUT
    assert f"metadata begins at its byte 1048576: `-p {path}@1048576` reads it" in result.stderr


@needs_superblock
@pytest.mark.parametrize("kind", ["gpt", "mbr", "luks", "md 1.1", "qcow2", "e01"])
def test_what_is_known_as_something_else_is_not_searched(
    command: str, kind: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    beginning, what = FOREIGN[kind]
    path = written(tmp_path / "other.img", beginning + GOOD[BLOCK:])

    result = thinmeta(*arguments(command, path))

    assert result.exit_code == ExitCode.INPUT
    assert what in result.stderr
    assert "is left" not in result.stderr


@pytest.mark.parametrize("kind", ["gpt", "mbr", "luks", "md 1.1"])
def test_scan_and_repair_go_on_past_what_was_written_over_it(
    kind: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = written(tmp_path / "other.img", FOREIGN[kind][0] + GOOD[BLOCK:])

    assert thinmeta("scan", path).exit_code == ExitCode.DONE
    repair = thinmeta("repair", "-p", path, "-o", tmp_path / "new", "--data-block-size", "128")
    assert repair.exit_code == ExitCode.DONE
    assert FOREIGN[kind][1] in repair.stderr


@pytest.mark.parametrize("command", ["scan", "pack", "unpack"])
@pytest.mark.parametrize("kind", ["gpt", "mbr", "luks", "md 1.1"])
def test_scan_names_it_where_nothing_is_left(
    command: str, kind: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    beginning, what = FOREIGN[kind]

    result = thinmeta(command, written(tmp_path / "other.img", beginning + bytes(BLOCK)))

    assert (result.exit_code, what in result.stderr) == (ExitCode.INPUT, True)


@pytest.mark.parametrize("command", ["ls", "scan"])
def test_the_member_of_an_md_array_is_named_by_its_second_block(
    command: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    beginning, what = FOREIGN["md 1.1"]

    result = thinmeta(command, written(tmp_path / "md.img", bytes(BLOCK) + beginning))

    assert (result.exit_code, what in result.stderr) == (ExitCode.INPUT, True)


def test_zeros_are_searched_as_far_as_is_said(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = tmp_path / "zeros.img"
    with path.open("wb") as file:
        file.truncate(1 << 30)

    result = thinmeta("ls", path)

    assert result.exit_code == ExitCode.INPUT
    assert re.search(r"is all zeros in its first [\d.]+ MiB; `thinmeta scan", result.stderr)
