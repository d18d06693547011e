"""How a command ends where a stream is closed or full, and what a terminal is not shown."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cases import FIXTURES, unpacked
from tests.cli.invocations import READERS, arguments
from tests.conftest import Thinmeta
from tests.made_images import Image, mappings, one_device, written
from tests.names.docker_roots import copied
from thinmeta.errors import ExitCode
from thinmeta.formats.printable import printable

GOOD = unpacked("a08-snapshots-of-snapshots")

each_reader = pytest.mark.parametrize("command", READERS)


def redirected(how: str, *args: object, unbuffered: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run the command with what a shell makes of `how`; output is buffered, as it mostly is."""
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-m", "thinmeta", *map(str, args)],
        capture_output=True,
        check=False,
        env=environment,
    )


@each_reader
def test_closed_standard_output_is_told(command: str) -> None:
    ran = redirected(">&-", *arguments(command, GOOD))

    assert (ran.returncode, ran.stdout) == (ExitCode.OTHER, b"")
    assert ran.stderr == b"Error: standard output: cannot be written: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("how", "why"), [(">&-", b"Bad file descriptor"), (">/dev/full", b"No space left on device")]
)
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["ls", "--help"], ["ls", GOOD]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_is_small_is_told_too(
    how: str, why: bytes, args: list[object], unbuffered: str
) -> None:
    ran = redirected(how, *args, unbuffered=unbuffered)

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr == b"Error: standard output: cannot be written: " + why + b"\n"


def test_nothing_is_said_where_both_are_closed() -> None:
    ran = redirected("<&- >&- 2>&-", "ls", GOOD)

    assert (ran.returncode, ran.stdout, ran.stderr) == (ExitCode.OTHER, b"", b"")


@each_reader
def test_who_has_nothing_to_say_needs_no_standard_error(command: str) -> None:
    ran = redirected("2>&-", *arguments(command, GOOD))

    assert ran.returncode == ExitCode.DONE
    assert ran.stdout


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_a_warning_that_cannot_be_said_is_no_success(how: str, tmp_path: Path) -> None:
    image = Image()
    root = image.leaf(mappings(0, range(100, 103)))  # three, where the details say four
    path = written(tmp_path / "meta.bin", image.pool({1: root}, {1: 4}))

    assert redirected("", "dump", path).stderr.startswith(b"Warning: ")
    assert redirected(how, "dump", path).returncode == ExitCode.OTHER


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_said_keeps_its_code(how: str, tmp_path: Path) -> None:
    assert redirected(how, "ls", tmp_path).returncode == ExitCode.INPUT
    assert redirected(how, "ls", "--no-such-option").returncode == ExitCode.USAGE


@pytest.mark.parametrize("how", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_number_of_a_closed_stream(how: str, tmp_path: Path) -> None:
    out = tmp_path / "dump.xml"

    ran = redirected(how, "dump", GOOD, "-o", out)

    assert ran.returncode == ExitCode.DONE
    assert out.read_bytes() == redirected("", "dump", GOOD).stdout


def test_closed_standard_input_is_told(tmp_path: Path) -> None:
    ran = redirected("<&-", "restore", "-i", "-", "-o", tmp_path / "meta.bin")

    assert ran.returncode == ExitCode.INPUT
    assert ran.stderr == b"Error: standard input: bad file descriptor\n"


# What a terminal is not shown

BINARY = {"extract", "pack", "unpack"}
SHOWN = {"\n", *map(chr, range(0x20, 0x7F)), *"├─└│…≥≤"}
HOSTILE = "\x1b]0;owned\x07\n\u202e\x9b31m"


@each_reader
@pytest.mark.parametrize("name", [os.fsencode(HOSTILE), b"\xff\xfe\x1b[2J"])
def test_a_name_is_shown_and_not_obeyed(
    command: str, name: bytes, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    args = [word.decode() if isinstance(word, bytes) else word for word in arguments(command, path)]

    for image in (one_device(), one_device()[:9000]):
        path.write_bytes(image)
        result = thinmeta(*args)
        shown = result.stderr_bytes + (b"" if command in BINARY else result.stdout_bytes)

        assert result.exit_code in set(ExitCode)
        assert not isinstance(result.exception, Exception)
        assert not set(shown.decode()) - SHOWN
        told = [line for line in result.stderr.splitlines() if printable(path.name) in line]
        assert all(line.startswith(("Warning: ", "Error: ")) for line in told)
        assert "\n".join(told).count("\\x1b") == result.stderr.count("\\x1b")
        if result.exit_code != ExitCode.DONE:
            assert printable(path.name) in result.stderr


@pytest.mark.parametrize("word", [HOSTILE, "--\x1b[31m", "\x1b"])
def test_a_usage_error_quotes_nothing_that_is_obeyed(word: str, thinmeta: Thinmeta) -> None:
    for args in ([word], ["ls", word, word], ["ls", "--state", word], ["dump", "-f", word]):
        result = thinmeta(*args)

        assert result.exit_code in (ExitCode.USAGE, ExitCode.INPUT)
        assert "\x1b" not in result.stderr
        assert "\\x1b" in result.stderr


def test_a_usage_error_shows_a_byte_that_is_no_text_as_messages_do(thinmeta: Thinmeta) -> None:
    word = os.fsdecode(b"/tmp/a\xff")
    for args in ([word], ["ls", word, word], ["ls", "--state", word], ["dump", "-f", word]):
        result = thinmeta(*args)

        assert result.exit_code == ExitCode.USAGE
        assert "/tmp/a\\xff" in result.stderr
    assert r"'\\udcff' is no state" in thinmeta("ls", "--state", r"\udcff").stderr


def hostile_docker_root(folder: Path) -> Path:
    """Return a copy of a root in which every name and text that Docker keeps has our escapes."""
    root = copied(folder, "docker-loop-lvm-xfs-64k")
    for path in root.rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            path.write_text(obeyed_within(path.read_text()))
    return root


def obeyed_within(text: str) -> str:
    """Return JSON with escapes in each name, tag and instruction."""

    def changed(value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {
                    f"{name}{HOSTILE}" if name.endswith(":latest") else name: changed(each, name)
                    for name, each in value.items()
                }
            case list():
                return [changed(each) for each in value]
        return f"{value}{HOSTILE}" if key in {"Name", "created_by", "comment"} else value

    try:
        return json.dumps(changed(json.loads(text)))
    except json.JSONDecodeError:
        return text


@pytest.mark.parametrize(
    "args",
    [
        ["ls", "-o", "DEV,NAME"],
        ["layers"],
        ["info"],
        ["scan"],
        ["table", "9", "--size", "64K"],
        ["lookup", "9", "0"],
        ["lookup", "9", "0", "-f", "csv"],
        ["extract", f"nobody{HOSTILE}", "--data", GOOD],
    ],
    ids=lambda args: f"{args[0]} {args[-1]}",
)
def test_nothing_that_docker_keeps_is_obeyed(
    args: list[str], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    root = hostile_docker_root(tmp_path / "root")
    pool = unpacked("docker-loop-lvm-xfs-64k")

    result = thinmeta(*args, "--pool", pool, "--docker-root", root)

    assert not isinstance(result.exception, Exception)
    assert not set(result.stdout + result.stderr) - SHOWN
    if args[0] == "layers":
        assert "]0;owned" in result.stdout


@pytest.mark.parametrize("place", ["home", "vgthin", "pool0"])
@pytest.mark.parametrize(
    "args",
    [
        ["ls", "-o", "DEV,NAME"],
        ["ls", "--tree"],
        ["diff", "1", "2"],
        ["lookup", "1", "0"],
        ["fate", "1"],
        ["info"],
        ["check"],
        ["table", "1", "--size", "64K"],
        ["table", "nobody"],
    ],
    ids=lambda args: " ".join(args[:2]),
)
def test_nothing_that_lvm_says_is_obeyed(
    place: str, args: list[str], tmp_path: Path, thinmeta: Thinmeta
) -> None:
    case = FIXTURES / "c01-lvm-thin-one-pv"
    text = (case / "vgcfgbackup.txt").read_text()
    backup = tmp_path / "vg.txt"
    backup.write_text(re.sub(rf"\b{place}\b", f"{place}\x1b[31m\u202e\x9b", text))

    result = thinmeta(*args, "--pool", case / "meta.bin.xz", "--lvm", backup)

    assert not isinstance(result.exception, Exception)
    assert not set(result.stdout + result.stderr) - SHOWN
