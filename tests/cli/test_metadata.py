"""Which metadata is read: what was given, else the environment, else the only active pool."""

import lzma
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from tests.cases import unpacked
from tests.cli.invocations import DATA, GOOD, READERS, arguments
from tests.conftest import Thinmeta
from tests.device.test_kernel import fake_dmsetup
from tests.golden import thin_dump
from tests.in_process import invoked
from thinmeta.errors import ExitCode

HELD = ("a13-metadata-snapshot-held", "meta-live-after-changes")
EMPTY = "a01-empty-pool"
OTHER = "a02-empty-pool-min-metadata"

each_command = pytest.mark.parametrize("command", READERS)


def run(*args: object, pool: str = "") -> Result:
    return invoked(*args, THINMETA_POOL=pool)


def without_metadata(command: str) -> Sequence[object]:
    *words, option, _ = arguments(command, "")
    assert option == "--pool"
    return words


class Dmsetup(Protocol):
    def __call__(self, text: str, exit_code: int = ...) -> None: ...


@pytest.fixture
def dmsetup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dmsetup:
    """Return a function that makes dmsetup print what it is given, and then end with a code."""

    def prints(text: str, exit_code: int = 0) -> None:
        (tmp_path / "printed").write_text(text)
        script = f"cat {tmp_path}/printed{' >&2' if exit_code else ''}; exit {exit_code}"
        monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, script))

    return prints


@each_command
def test_metadata_that_begins_further_on(command: str, tmp_path: Path) -> None:
    """At a sector that is no block, with something behind it; a file of that very name wins."""
    begin, image = (1 << 20) + 512, unpacked(GOOD).read_bytes()
    disk, alone = tmp_path / "disk.img", tmp_path / "alone.img"
    alone.write_bytes(image)
    disk.write_bytes(bytes(begin) + image + bytes(8192))
    words = without_metadata(command)
    expected = run(*words, "-p", alone)

    for name in (f"{disk}@{begin}", f"{disk}@{begin // 512}s"):
        result = run(*words, "-p", name)
        assert result.exit_code == expected.exit_code, result.stderr
        said = result.stdout_bytes.replace(name.encode(), str(alone).encode())
        assert said == expected.stdout_bytes
    if command == "ls":
        past, odd, block = (run(*words, "-p", f"{disk}@{each}") for each in ("1G", "x", "1M"))
        assert (past.exit_code, odd.exit_code, block.exit_code) == (ExitCode.INPUT,) * 3
        assert f"{disk}@1G: has {disk.stat().st_size} bytes, so nothing at" in past.stderr
        assert "'x' is no offset: give bytes, or a unit" in odd.stderr
        assert "has no thin-pool superblock in its first block" in block.stderr
        packed = tmp_path / "disk.img.xz"
        packed.write_bytes(lzma.compress(disk.read_bytes(), preset=0))
        assert run(*words, "-p", f"{packed}@{begin}").stdout_bytes == expected.stdout_bytes
        (tmp_path / f"disk.img@{begin}").write_bytes(unpacked(OTHER).read_bytes())
        assert run(*words, "-p", f"{disk}@{begin}").stdout == run("ls", unpacked(OTHER)).stdout


def test_an_input_that_begins_further_on_is_never_written_to(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4096) + unpacked(GOOD).read_bytes())
    before = disk.read_bytes()
    for words in (["dump", "-o"], ["pack", "-f", "-o"], ["extract", "1", "--force", "-o"]):
        data = ["--data", f"{DATA.name}@0", "--size", "49152000"] if words[0] == "extract" else []
        result = run(*words, disk, "-p", f"{disk}@4096", *data)
        assert result.exit_code == ExitCode.OTHER, result.stderr
        assert disk.read_bytes() == before


def test_data_that_begins_further_on(tmp_path: Path) -> None:
    data = tmp_path / "data.img"
    content = unpacked(GOOD, "data").read_bytes()
    data.write_bytes(bytes(1536) + content)
    outputs: list[bytes] = []
    for name in (unpacked(GOOD, "data"), f"{data}@1536"):
        output = tmp_path / f"out{len(outputs)}"
        words = ("extract", "1", "--size", "48M", "-p", unpacked(GOOD), "-o", output)
        assert run(*words, "--data", name).exit_code == ExitCode.DONE
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert any(outputs[0])
    table = run("table", "1", "-p", unpacked(GOOD), "--linear", f"{data}@1536", "--size", "48M")
    plain = run("table", "1", "-p", unpacked(GOOD), "--linear", data, "--size", "48M")
    shifted = re.sub(rf"{data} (\d+)", lambda found: f"{data} {int(found[1]) + 3}", plain.stdout)
    assert (table.exit_code, table.stdout) == (ExitCode.DONE, shifted)


def table(name: str, metadata: Path) -> str:
    return f"{name}: 0 204800 thin-pool {metadata} 253:1 128 0 0 \n"


def printed(case: str, image: str = "meta", name: str = "thin_dump") -> bytes:
    return thin_dump(case, image, name, "1.1.0")


@pytest.mark.parametrize("option", ["-p", "--pool"])
def test_the_pool_is_given_by_option(option: str) -> None:
    assert run("dump", option, unpacked(EMPTY)).stdout_bytes == printed(EMPTY)


def test_the_pool_is_given_as_an_argument() -> None:
    assert run("dump", unpacked(EMPTY)).stdout_bytes == printed(EMPTY)


def test_the_environment_names_the_pool() -> None:
    result = run("dump", pool=str(unpacked(EMPTY)))

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert result.stdout_bytes == printed(EMPTY)


def test_of_the_environments_pool_the_live_state_is_read() -> None:
    result = run("dump", pool=str(unpacked(*HELD)))

    assert result.stdout_bytes == printed(*HELD)


@pytest.mark.parametrize("given", [["-p"], []], ids=["option", "argument"])
def test_what_is_given_is_stronger_than_the_environment(given: list[str]) -> None:
    result = run("dump", *given, unpacked(EMPTY), pool=str(unpacked(OTHER)))

    assert result.stdout_bytes == printed(EMPTY)


def test_the_environment_is_stronger_than_an_active_pool(dmsetup: Dmsetup) -> None:
    dmsetup(table("pool", unpacked(*HELD)))

    result = run("dump", pool=str(unpacked(EMPTY)))

    assert result.stdout_bytes == printed(EMPTY)


def linked(image: Path, folder: Path) -> Path:
    """Return a name of `image` that has no blank, as a device's has none, wherever it lies."""
    link = folder / "tmeta"
    link.symlink_to(image)
    return link


def test_the_only_active_pool_is_read_by_its_metadata_snapshot(
    dmsetup: Dmsetup, tmp_path: Path
) -> None:
    dmsetup(table("vg-pool-tpool", linked(unpacked(*HELD), tmp_path)))

    result = run("dump")

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert result.stdout_bytes == printed(*HELD, "thin_dump-m")


def test_for_an_active_pool_without_a_snapshot_the_commands_are_told(
    dmsetup: Dmsetup, tmp_path: Path
) -> None:
    dmsetup(table("vg-pool-tpool", linked(unpacked(EMPTY), tmp_path)))

    result = run("dump")

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
    assert "no metadata snapshot is held" in result.stderr
    assert "dmsetup message vg-pool-tpool 0 reserve_metadata_snap" in result.stderr
    assert "dmsetup message vg-pool-tpool 0 release_metadata_snap" in result.stderr


def assert_not_found(result: Result, *words: str) -> None:
    assert (result.exit_code, result.stdout) == (ExitCode.INPUT, "")
    assert "no METADATA was given and THINMETA_POOL is not set" in result.stderr
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


@each_command
def test_no_active_pool(command: str, dmsetup: Dmsetup) -> None:
    dmsetup("No devices found\n")

    assert_not_found(run(*without_metadata(command)), "no thin-pool is active")


@each_command
def test_several_active_pools_are_listed(command: str, dmsetup: Dmsetup) -> None:
    dmsetup(table("second", Path("/dev/b")) + table("first", Path("/dev/a")))

    assert_not_found(
        run(*without_metadata(command)), "several thin-pools", "first (/dev/a), second (/dev/b)"
    )


@each_command
def test_dmsetup_fails(command: str, dmsetup: Dmsetup) -> None:
    dmsetup("/dev/mapper/control: open failed\nCommand failed.\n", exit_code=1)

    assert_not_found(run(*without_metadata(command)), "dmsetup", "Command failed.")


@each_command
def test_dmsetup_is_not_installed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THINMETA_DMSETUP", raising=False)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    assert_not_found(run(*without_metadata(command)), "dmsetup is not installed")


@each_command
def test_another_dmsetup_that_is_missing_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINMETA_DMSETUP", str(tmp_path / "missing"))

    assert_not_found(run(*without_metadata(command)), f"{tmp_path / 'missing'}: cannot be run")


def test_an_empty_environment_names_nothing(dmsetup: Dmsetup) -> None:
    dmsetup("")

    assert_not_found(run("dump", pool=""), "no thin-pool is active")


def test_the_environments_pool_is_named_when_it_is_missing(tmp_path: Path) -> None:
    result = run("dump", pool=str(tmp_path / "missing"))

    assert result.exit_code == ExitCode.INPUT
    assert result.stderr == f"Error: {tmp_path / 'missing'}: no such file or directory\n"


def test_dmsetup_is_not_asked_where_metadata_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thinmeta: Thinmeta
) -> None:
    monkeypatch.setenv("THINMETA_DMSETUP", fake_dmsetup(tmp_path, f"touch {tmp_path}/asked"))

    thinmeta("dump", unpacked(EMPTY))
    thinmeta("dump", "--help")

    assert "asked" not in os.listdir(tmp_path)  # noqa: PTH208
