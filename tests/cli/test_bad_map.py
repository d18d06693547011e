"""`--bad-map`: what of a copied disk was never read is lost, and no zeros."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cases import unpacked
from tests.cli.invocations import GOOD, READERS, arguments, has_option
from tests.conftest import Thinmeta
from tests.lvm.lvm_disks import REAL, changed_disk
from thinmeta.errors import ExitCode

TEXT = (REAL / "vgcfgbackup.txt").read_text()
LV = ("--lv", "vgthin/pool0")

HOME = 23920640
"""Where on the disk the first block of the volume `home` is."""

LEAF = 110
"""A leaf of two devices of GOOD."""

# As GNU ddrescue 1.27 writes it where 11 sectors cannot be read, and it is told to end early.
MAP = """\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue -q -S -s 0x30000000 -H test.map pv.img copy.img copy.map
# Start time:   2026-11-26 10:57:02
# Current time: 2026-11-26 10:57:03
# Finished
# current_pos  current_status  current_pass
0x016D1200     +               1
#      pos        size  status
0x00000000  0x016D0000  +
0x016D0000  0x00001600  -
0x016D1600  0x2E92EA00  +
0x30000000  0x10000000  ?
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the copy of a disk, with zeros where that was not read, and beside it its map."""
    path = changed_disk(tmp_path_factory.mktemp("copy") / "pv.img", TEXT)
    with path.open("r+b") as file:
        file.seek(HOME)
        file.write(bytes(0x1600))
    Path(f"{path}.map").write_text(MAP)
    return path


def test_a_volume_has_holes_where_the_disk_failed(
    copy: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    words = ("extract", "home", "--lvm", copy, *LV, "-o", tmp_path / "home.img")
    strict = thinmeta(*words, "--bad-map", copy)
    assert strict.exit_code == ExitCode.INPUT
    assert f"was never read from the disk that failed, as {copy}.map says" in strict.stderr
    assert not (tmp_path / "home.img").exists()
    salvaged = thinmeta(*words, "--salvage", "--bad-map", f"{copy}={copy}.map")
    assert salvaged.exit_code == ExitCode.SALVAGED
    assert "5632 bytes could not be read and are zeros" in salvaged.stderr
    parts = re.findall(r"^(0x\S+)  (0x\S+)  -$", (tmp_path / "home.img.map").read_text(), re.M)
    assert [(int(begin, 16), int(size, 16)) for begin, size in parts] == [(0, 0x1600)]


@pytest.mark.skipif(not shutil.which("ddrescue"), reason="GNU ddrescue is not installed")
def test_the_map_of_a_real_run(copy: Path, tmp_path: Path, thinmeta: Thinmeta) -> None:
    bad, image, path = (tmp_path / name for name in ("bad", "copy.img", "copy.map"))
    bad.write_text("0 + 1\n0 0x16D0000 +\n0x16D0000 0x1600 -\n0x16D1600 0x3E92EA00 +\n")
    ran: list[str | Path] = [
        "ddrescue",
        "-q",
        "-S",
        "-s",
        "0x30000000",
        "-H",
        bad,
        copy,
        image,
        path,
    ]
    subprocess.run(ran, check=True)
    words = ("--lvm", image, *LV, "--bad-map", f"{image}={path}", "--salvage")
    result = thinmeta("extract", "home", *words, "-o", tmp_path / "home.img")
    assert result.exit_code == ExitCode.SALVAGED
    assert f"byte {HOME - (5 << 20)}: was never read from the disk that failed" in result.stderr


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return metadata of which one leaf was never read, as its map says."""
    path = tmp_path_factory.mktemp("metadata") / "meta.img"
    image = bytearray(unpacked(GOOD).read_bytes())
    image[LEAF * 4096 : (LEAF + 1) * 4096] = bytes(4096)
    path.write_bytes(image)
    end, begin = (LEAF + 1) * 4096, LEAF * 4096 + 512
    rows = f"0 + 1\n0 {begin} +\n{begin} 512 /\n{begin + 512} {len(image) - begin - 512} +\n"
    Path(f"{path}.map").write_text(rows)
    assert end < len(image)
    return path


@pytest.mark.parametrize("command", READERS)
def test_every_command_takes_it(command: str, metadata: Path, thinmeta: Thinmeta) -> None:
    words = arguments(command, metadata)
    zeros, lost = thinmeta(*words), thinmeta(*words, "--bad-map", metadata)
    if command in ("files", "cat", "tar", "export", "extract", "lookup", "table", "diff", "fate"):
        assert lost.exit_code == zeros.exit_code  # device 1 has nothing in that leaf
    else:
        assert lost.exit_code != ExitCode.USAGE
        assert "cannot be read" in lost.stderr + lost.stdout or lost.stdout == zeros.stdout
    assert has_option(command, "--bad-map")


def test_metadata_that_was_never_read_is_told(metadata: Path, thinmeta: Thinmeta) -> None:
    found = thinmeta("check", metadata, "--bad-map", metadata)
    assert found.exit_code == ExitCode.DAMAGE
    assert f"metadata block {LEAF}" in found.stdout
    assert "cannot be read" in found.stdout
    part = thinmeta("check", f"{metadata}@0", "--bad-map", f"{metadata}={metadata}.map")
    assert part.stdout == found.stdout


def test_the_next_command_knows_it_too(tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = tmp_path / "meta.img"
    path.write_bytes(unpacked(GOOD).read_bytes())
    Path(f"{path}.map").write_text(f"0 + 1\n0 4096 ?\n4096 {path.stat().st_size - 4096} +\n")
    result = thinmeta("check", path, "--bad-map", path)
    assert result.exit_code == ExitCode.DAMAGE
    assert f"`thinmeta scan -p {path} --bad-map {path}`" in result.stderr + result.stdout


def test_repair_takes_it_by_each_of_its_options(
    metadata: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    for option in ("-p", "-i"):
        new = tmp_path / f"new{option}"
        found = thinmeta("repair", option, metadata, "--bad-map", metadata, "-o", new)
        assert found.exit_code == ExitCode.SALVAGED
        assert f"metadata block {LEAF}" in found.stderr


def test_what_is_wrong_with_it_is_said(metadata: Path, tmp_path: Path, thinmeta: Thinmeta) -> None:
    other = unpacked(GOOD, "data")
    unread = thinmeta("info", metadata, "--bad-map", f"{other}={metadata}.map")
    assert (unread.exit_code, "would be of no effect" in unread.stderr) == (ExitCode.USAGE, True)
    missing = thinmeta("info", metadata, "--bad-map", f"{metadata}={tmp_path}/none")
    assert (missing.exit_code, "no such file" in missing.stderr) == (ExitCode.INPUT, True)
    path = Path(f"{metadata}.map")
    before = path.read_bytes()
    over = thinmeta("info", metadata, "--bad-map", metadata, "--output", path)
    assert (over.exit_code, path.read_bytes()) == (ExitCode.OTHER, before)
    (tmp_path / "whole.map").write_text(f"0 + 1\n0 {metadata.stat().st_size} +\n")
    twice = [f"{metadata}={each}" for each in (f"{metadata}.map", tmp_path / "whole.map")]
    two = thinmeta("info", metadata, "--bad-map", twice[0], "--bad-map", twice[1])
    assert (two.exit_code, "has two maps" in two.stderr) == (ExitCode.INPUT, True)
