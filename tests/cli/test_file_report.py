"""`-f json` of the commands that take files out: what they say on standard error is objects."""

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.conftest import Thinmeta
from tests.docker_cases import ODD, docker_words
from tests.files.small_ext2 import BLOCK, small_ext2
from tests.files.small_volume import SmallVolume
from thinmeta.errors import ExitCode

NONE = {"left_out": 0, "zeros": 0, "incomplete": 0, "not_there": 0, "not_written": 0}
LINES = {
    "copy": ("copy", 1, "/.", "out"),
    "tar": ("tar", 1, "-o", "out"),
    "export": ("export", 1, "-o", "out"),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallVolume:
    monkeypatch.chdir(tmp_path)
    return SmallVolume(tmp_path)


def objects(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize("command", LINES)
def test_a_file_that_is_left_out_has_its_reason_and_its_parts(
    command: str, small: SmallVolume, thinmeta: Thinmeta
) -> None:
    words = small.words(small_ext2(), 8 * BLOCK + 5)

    result = thinmeta(*LINES[command], "-f", "json", *words)
    problem, part, summary, error = objects(result.stderr)

    assert result.exit_code == error["exit_code"] == ExitCode.SALVAGED
    assert (problem["type"], problem["path"], problem["outcome"]) == (
        "problem",
        "/hello",
        "left_out",
    )
    assert "--salvage" in problem["why"]
    assert (part["type"], part["path"]) == ("lost_part", "/hello")
    assert (part["begin"], part["length"]) == (5, 8)
    assert summary == {
        "type": "summary",
        "files": 0 if command == "export" else 1,  # what /hello is in
        **NONE,
        "left_out": 1,
        **({"special": 0} if command == "copy" else {"sockets": 0}),
    }
    assert error["what"].startswith("/hello: is left out: ")


@pytest.mark.parametrize("command", LINES)
def test_a_file_with_zeros_is_counted_once(
    command: str, small: SmallVolume, thinmeta: Thinmeta
) -> None:
    words = small.words(small_ext2(), 8 * BLOCK + 5)

    result = thinmeta(*LINES[command], "--salvage", "-q", "-f", "json", *words)
    told = objects(result.stderr)

    assert result.exit_code == ExitCode.SALVAGED
    assert [each["outcome"] for each in told if each["type"] == "problem"] == ["zeros"]
    parts = [(each["begin"], each["length"]) for each in told if each["type"] == "lost_part"]
    assert parts == [(5, 8)]
    assert (told[-2]["zeros"], told[-2]["left_out"]) == (1, 0)


def test_what_is_not_there_and_what_is_not_written(small: SmallVolume, thinmeta: Thinmeta) -> None:
    words = small.words(small_ext2())
    out = small.folder / os.fsdecode(b"out-\xff")
    out.mkdir()
    (out / "hello").touch()

    result = thinmeta("copy", 1, "/none", "/hello", out.name, "-f", "json", *words)
    absent, unwritten, summary, error = objects(result.stderr)

    assert result.exit_code == error["exit_code"] == ExitCode.NOT_THERE
    assert (absent["path"], absent["outcome"]) == ("/none", "not_there")
    assert (unwritten["path"], unwritten["outcome"]) == ("out-\ufffd/hello", "not_written")
    assert unwritten["path_raw"] == "b3V0Lf8vaGVsbG8="
    assert (summary["not_there"], summary["not_written"], summary["files"]) == (1, 1, 0)


@pytest.mark.parametrize("device_id", [1, 2])
def test_a_replayed_journal_is_an_object(
    device_id: int, thinmeta: Thinmeta, tmp_path: Path
) -> None:
    case = "power-cut-ext4-xfs-64k"
    words = ["-p", unpacked(case), "--data", unpacked(case, "data"), "-o", tmp_path / "out.tar"]

    result = thinmeta("tar", device_id, "-f", "json", *words)
    journal, summary = objects(result.stderr)

    assert result.exit_code == ExitCode.DONE
    assert (journal["type"], journal["fault"]) == ("journal", None)
    assert journal["volume"].endswith(f"device {device_id}")
    assert journal["transactions"] > 0
    assert {key: summary[key] for key in NONE} == NONE


def test_saved_images_are_counted(thinmeta: Thinmeta, tmp_path: Path) -> None:
    words = docker_words(ODD, FIXTURES / ODD / "docker-state")

    result = thinmeta("save", "odd:built", *words, "-f", "json", "-o", tmp_path / "out.tar")

    assert result.exit_code == ExitCode.DONE
    assert objects(result.stderr) == [{"type": "summary", "images": 1, "layers": 3}]


def test_what_a_container_changed_is_counted(thinmeta: Thinmeta, tmp_path: Path) -> None:
    words = docker_words(ODD, FIXTURES / ODD / "docker-state")

    result = thinmeta("commit", "odd", "a", *words, "-f", "json", "-o", tmp_path / "out.tar")

    assert result.exit_code == ExitCode.DONE
    bound, data, summary = objects(result.stderr)
    assert [each["type"] for each in (bound, data)] == ["warning", "warning"]
    assert bound["what"] == "what is in /bound is not in the image: /tmp/ctx of the host"
    assert summary == {"type": "summary", "files": 52, "sockets": 1, **NONE}


def test_files_that_differ_in_a_layer_are_named(thinmeta: Thinmeta, tmp_path: Path) -> None:
    root = tmp_path / "docker"
    shutil.copytree(FIXTURES / ODD / "docker-state", root)
    for split in root.glob("image/devicemapper/layerdb/sha256/*/tar-split.json.gz"):
        text = gzip.decompress(split.read_bytes()).replace(b'"added/acl"', b'"added/none"')
        split.write_bytes(gzip.compress(text))

    result = thinmeta(
        "save", "odd:built", *docker_words(ODD, root), "-f", "json", "-o", "/dev/null"
    )
    problem, error = objects(result.stderr)

    assert result.exit_code == error["exit_code"] == ExitCode.INPUT
    assert (problem["path"], problem["outcome"]) == ("/added/none", "differs")
    assert problem["why"] == "is not there"


def test_a_wrong_device_is_an_object(small: SmallVolume, thinmeta: Thinmeta) -> None:
    result = thinmeta("tar", 77, "-f", "json", "-o", "out", *small.words(small_ext2()))

    (error,) = objects(result.stderr)
    assert error["exit_code"] == result.exit_code == ExitCode.NOT_THERE
    assert "77" in error["what"]
