"""`lookup --file` and `rmap --files`: each leads to what the other says, and to the bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cases import unpacked
from tests.conftest import Thinmeta
from tests.docker_cases import docker_words
from thinmeta.analyse import region_files, rmap
from thinmeta.errors import ExitCode

CASES = ["docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k"]
BELOW = [8, 11]


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rmap_words(name: str) -> list[object]:
    return ["--data", unpacked(name, "data"), unpacked(name)]


@pytest.mark.parametrize("name", CASES)
def test_from_a_file_to_its_blocks_and_back(name: str, thinmeta: Thinmeta) -> None:
    words = docker_words(name)
    looked_up = thinmeta("lookup", 8, "--file", "/tmp/3.txt", "-f", "json", *words)
    assert (looked_up.exit_code, looked_up.stderr) == (ExitCode.DONE, "")
    content, inode = objects(looked_up.stdout)
    at = content["data_byte"]
    assert (content["part"], inode["part"], content["length"]) == ("content", "inode", 4)
    with unpacked(name, "data").open("rb") as file:
        file.seek(at)
        assert file.read(4) == b"333\n"

    result = thinmeta(
        "rmap", "--files", "--region", f"{at}b..{at + 4}b", "-f", "json", *rmap_words(name)
    )

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    parts = [each for each in objects(result.stdout) if each["type"] == "region_part"]
    own = [each for each in parts if each["device_id"] in BELOW]
    assert [each["device_id"] for each in own] == BELOW
    for each in own:
        assert (each["holds"], each["file_begin"], each["file_end"]) == ("content", 0, 4)
        assert each["paths"] == [{"path": "/tmp/3.txt", "beside_rootfs": False}]
        assert each["data_byte"] == at
    around = f"{inode['data_byte']}b..{inode['data_byte'] + 1}b"
    result = thinmeta("rmap", "--files", "--region", around, *rmap_words(name))
    assert "/tmp/3.txt: its inode\n" in result.stdout


def test_text(thinmeta: Thinmeta) -> None:
    words = docker_words(CASES[0])

    looked_up = thinmeta("lookup", 8, "--file", "/tmp/3.txt", *words)
    result = thinmeta("rmap", "--files", "--region", "84..85", *rmap_words(CASES[0]))

    assert looked_up.stdout == (
        "device 8, /tmp/3.txt: inode 51, 4 bytes\n"
        "  bytes 0..4: data block 84, byte 44040192; block 276 of the device\n"
        "  inode: data block 83 + 311808 bytes, byte 43827712; "
        "block 0 + 311808 bytes of the device\n"
    )
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith("data 84..85 -> thin(")
    assert second == "  44040192..44044288  /tmp/3.txt: bytes 0..4"


def test_what_has_no_file_system_here_is_said(thinmeta: Thinmeta) -> None:
    name = "c04-lvm-virtual-machines"

    whole = thinmeta("rmap", "--files", "--region", "0..100000", *rmap_words(name))
    part = thinmeta("rmap", "--files", "--region", "0..100000", "--partition", 2, *rmap_words(name))

    assert (whole.exit_code, part.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert "  no files: " in whole.stdout
    assert "say which with --partition N" in whole.stdout
    assert "/etc/hostname: bytes 0..5\n" in part.stdout
    assert "outside of the file system\n" in part.stdout


def test_runs_in_parts_are_as_all_of_them(
    thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.write_bytes(unpacked(CASES[0], "data").read_bytes()[:62_767_104])
    words = ["rmap", "--files", "--region", "84..85", "--data", data]
    whole = thinmeta(*words, unpacked(CASES[0]))
    monkeypatch.setattr(rmap, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(region_files, "_RUNS_AT_ONCE", 2)

    in_parts = thinmeta(*words, unpacked(CASES[0]))

    assert (in_parts.stdout, in_parts.exit_code) == (whole.stdout, whole.exit_code)
    assert in_parts.stderr == whole.stderr
    assert "/tmp/3.txt: bytes 0..4" in whole.stdout
    assert len(whole.stderr.splitlines()) == len(set(whole.stderr.splitlines()))


@pytest.mark.parametrize(
    "args",
    [
        ["lookup", "8"],
        ["lookup", "8", "0", "--file", "/tmp/3.txt"],
        ["lookup", "8", "0", "--no-replay"],
        ["lookup", "8", "--file", "/tmp/3.txt", "--path"],
        ["lookup", "8", "--file", "/tmp/3.txt", "-f", "csv"],
        ["rmap", "--region", "0..1", "--no-replay"],
        ["rmap", "--region", "0..1", "--files", "-f", "csv"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together(args: list[str], thinmeta: Thinmeta) -> None:
    words = ["-p", unpacked(CASES[0])]

    assert thinmeta(*args, *words).exit_code == ExitCode.USAGE


def test_a_short_data_image_is_no_silence(thinmeta: Thinmeta, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with unpacked(CASES[0], "data").open("rb") as file:
        data.write_bytes(file.read(62_767_104))

    result = thinmeta("lookup", 14, "--file", "/srv/app", "-p", unpacked(CASES[0]), "--data", data)

    assert result.exit_code == ExitCode.SALVAGED
    assert "past the end of the data" in result.stdout
    assert "/srv/app: " in result.stderr
