"""What holds for every command: what it takes, what it says, and how it ends."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from tests.cli.invocations import (
    COMMANDS,
    GOOD,
    MINIMAL,
    READERS,
    WITHOUT_SUPERBLOCK,
    arguments,
    has_option,
    modules_after,
    process,
)
from tests.conftest import OwnImage, Thinmeta
from tests.made_images import BLOCK, one_device, written
from thinmeta.cli import main
from thinmeta.errors import DamagedMetadataError, ExitCode, OutputError, ThinmetaError

TAKING_ANY_NUMBER = {"cat"}

each_command = pytest.mark.parametrize("command", READERS)


def test_every_command_has_its_minimal_arguments() -> None:
    assert set(READERS) <= set(MINIMAL), "give each command a row in tests/cli/invocations.py"


def test_there_are_commands() -> None:
    assert "dump" in COMMANDS


@pytest.fixture
def good(own_image: OwnImage) -> Path:
    return own_image(GOOD)


# Success


@each_command
def test_a_good_image_is_read(command: str, good: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta(*arguments(command, good))

    assert result.exit_code == ExitCode.DONE, result.stderr
    assert result.stdout_bytes
    assert result.stderr == ""


@each_command
def test_the_input_is_not_touched(
    command: str, good: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    before, digest = good.stat(), hashlib.sha256(good.read_bytes()).hexdigest()

    thinmeta(*arguments(command, good))

    assert hashlib.sha256(good.read_bytes()).hexdigest() == digest
    assert good.stat().st_mtime_ns == before.st_mtime_ns
    assert good.stat().st_ino == before.st_ino
    assert [*tmp_path.iterdir()] == [good]


@each_command
def test_an_image_that_may_not_be_written_is_read(
    command: str, good: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    good.chmod(0o444)
    tmp_path.chmod(0o555)

    result = thinmeta(*arguments(command, good))

    tmp_path.chmod(0o755)
    assert result.exit_code == ExitCode.DONE, result.stderr


@each_command
def test_quiet_drops_no_result_but_that_of_check(
    command: str, good: Path, thinmeta: Thinmeta
) -> None:
    if not has_option(command, "--quiet"):
        pytest.skip(f"{command} has nothing to be quiet about")

    loud, quiet = (thinmeta(*arguments(command, good), *more) for more in ((), ("-q",)))

    assert quiet.stdout_bytes == (b"" if command == "check" else loud.stdout_bytes)
    assert (quiet.exit_code, quiet.stderr) == (ExitCode.DONE, "")


# Help and version


@each_command
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(command: str, option: str, thinmeta: Thinmeta) -> None:
    result = thinmeta(command, option)

    assert result.exit_code == ExitCode.DONE
    assert result.stdout.startswith(f"Usage: main {command} ")
    assert result.stderr == ""


@each_command
def test_help_has_a_text_for_the_command_and_each_option(command: str) -> None:
    found = main.get_command(click.Context(main), command)

    assert found is not None
    assert found.help
    for option in found.params:
        assert not isinstance(option, click.Option) or option.help, option.name


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(option: str, thinmeta: Thinmeta) -> None:
    result = thinmeta(option)

    assert result.exit_code == ExitCode.DONE
    listed = result.stdout.partition("Commands:\n")[2].splitlines()
    names = [match[1] for line in listed if (match := re.match(r"  (\S+)  ", line))]
    assert names == sorted(COMMANDS)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_bare(option: str, thinmeta: Thinmeta) -> None:
    result = thinmeta(option)

    assert result.exit_code == ExitCode.DONE
    assert result.stdout == f"{version('thinmeta')}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", result.stdout)


def test_python_m_thinmeta_is_the_command() -> None:
    help_text = process("--help")

    assert help_text.returncode == ExitCode.DONE
    assert help_text.stdout.startswith(b"Usage: thinmeta ")
    assert process("-V").stdout.decode() == f"{version('thinmeta')}\n"


def test_the_installed_command_is_the_command() -> None:
    script = Path(sys.executable).with_name("thinmeta")
    if not script.exists():
        pytest.skip("thinmeta is not installed beside this Python")

    ran = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (0, f"{version('thinmeta')}\n")


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)], ids=str
)
def test_help_does_not_wait_for_numpy(args: list[str]) -> None:
    assert modules_after(args) & {"numpy", "construct", "fastcrc", "rich"} == set()


@pytest.mark.parametrize(
    "args",
    [["dump"], ["ls"], ["check"], ["info"], ["rmap", "--region", "0..9"], ["diff", "1", "2", "-p"]],
    ids=lambda args: args[0],
)
def test_text_does_not_wait_for_what_it_is_not_made_of(args: list[str], good: Path) -> None:
    """Nor for the debugger, which construct loads."""
    needless = {"json", "csv", "pdb", "zstandard", "xml.parsers.expat"}

    loaded = modules_after([*args, str(good)])

    assert {"numpy", "construct"} <= loaded
    assert loaded & needless == set()
    assert not [name for name in loaded if name.startswith(("thinmeta.lvm", "thinmeta.builder"))]


def test_the_debugger_of_construct_still_works() -> None:
    script = (
        "import sys, thinmeta.schemas.superblock, construct.debug as debug\n"
        "assert 'pdb' not in sys.modules\n"
        "import pdb\n"
        "assert debug.pdb.post_mortem is pdb.post_mortem\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# Usage


@each_command
def test_an_unknown_option_is_a_usage_error(command: str, good: Path, thinmeta: Thinmeta) -> None:
    result = thinmeta(*arguments(command, good), "--no-such-option")

    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert "No such option" in result.stderr
    assert "--no-such-option" in result.stderr


@each_command
def test_one_argument_too_many_is_a_usage_error(
    command: str, good: Path, thinmeta: Thinmeta
) -> None:
    if command in TAKING_ANY_NUMBER:
        pytest.skip(f"{command} takes any number of them")

    result = thinmeta(*arguments(command, good), *(["one too many"] * 9))

    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""


def test_an_unknown_command_is_a_usage_error(thinmeta: Thinmeta) -> None:
    result = thinmeta("no-such-command")

    assert result.exit_code == ExitCode.USAGE
    assert "no-such-command" in result.stderr


def test_no_command_is_a_usage_error_that_shows_the_help(thinmeta: Thinmeta) -> None:
    result = thinmeta()

    assert result.exit_code == ExitCode.USAGE
    assert "Commands:" in result.output


@each_command
def test_metadata_may_not_be_given_twice(command: str, good: Path, thinmeta: Thinmeta) -> None:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    if "metadata" not in {param.name for param in found.params}:
        pytest.skip(f"{command} takes METADATA by --pool only")

    result = thinmeta(*arguments(command, good), good)

    assert result.exit_code == ExitCode.USAGE
    assert "METADATA is given twice" in result.stderr


# Input that cannot be used


def with_magic(magic: int) -> bytes:
    return (bytes(32) + magic.to_bytes(8, "little")).ljust(BLOCK, b"\0")


FOREIGN = {
    "empty": (b"", "is empty"),
    "tiny": (b"\0" * 100, "has only 100 bytes, less than the superblock"),
    "xml": (b'<superblock uuid="" time="0">\n</superblock>\n', "is XML"),
    "random": (bytes((7 * place * place) % 251 for place in range(8 * BLOCK)), "no thin-pool"),
    "zeros": (bytes(8 * BLOCK), "is all zeros"),
    "cache": (with_magic(0o6142003), "is dm-cache metadata"),
    "era": (with_magic(2126579579), "is dm-era metadata"),
    "lvm": ((bytes(512) + b"LABELONE").ljust(BLOCK, b"\0"), "is an LVM physical volume"),
    "packed": (0xA537A0AA6309EF77.to_bytes(8, "little").ljust(BLOCK, b"\0"), "is packed metadata"),
}


def assert_refused(result: click.testing.Result, path: Path, what: str) -> None:
    assert result.exit_code == ExitCode.INPUT
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {path}: ")
    assert what in result.stderr
    assert result.stderr.count("\n") == 1


@each_command
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_input_is_named(
    command: str, kind: str, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    contents, what = FOREIGN[kind]
    path = written(tmp_path / "input", contents)

    assert_refused(thinmeta(*arguments(command, path)), path, what)


@each_command
def test_missing_input_is_named(command: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = tmp_path / "missing"

    assert_refused(thinmeta(*arguments(command, path)), path, "no such file or directory")


@each_command
def test_a_directory_is_named(command: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    assert_refused(thinmeta(*arguments(command, tmp_path)), tmp_path, "is a directory")


@each_command
def test_a_fifo_is_named(command: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)

    assert_refused(thinmeta(*arguments(command, path)), path, "is neither a regular file nor")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run as an ordinary user, who may not read everything."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except OSError as error:
        pytest.skip(f"root cannot become an ordinary user here: {error}")
    try:
        yield
    finally:
        os.seteuid(0)


@each_command
def test_unreadable_input_is_named(
    command: str, good: Path, tmp_path: Path, thinmeta: Thinmeta
) -> None:
    path = written(tmp_path / "secret", one_device())
    path.chmod(0)
    thinmeta(*arguments(command, good))  # what nobody may not import is loaded now

    with as_nobody():
        result = thinmeta(*arguments(command, path))

    assert_refused(result, path, "permission denied")


@each_command
def test_a_damaged_superblock_is_damage(command: str, tmp_path: Path, thinmeta: Thinmeta) -> None:
    image = bytearray(one_device())
    image[100] ^= 1
    path = written(tmp_path / "meta.bin", bytes(image))

    result = thinmeta(*arguments(command, path))

    assert result.exit_code == WITHOUT_SUPERBLOCK.get(command, ExitCode.DAMAGE)
    assert str(path) in result.stderr
    assert "superblock" in result.stderr
    assert result.stderr.count("\n") == 1 or command in {"check", *WITHOUT_SUPERBLOCK}


@each_command
def test_a_name_that_is_no_text_is_no_crash(command: str, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\n.bin"

    ran = process(*arguments(command, name))

    assert ran.returncode == ExitCode.INPUT
    assert b"Traceback" not in ran.stderr
    assert b"no such file or directory" in ran.stderr


@each_command
def test_where_no_metadata_snapshot_is_held_it_is_not_there(
    command: str, good: Path, thinmeta: Thinmeta
) -> None:
    if not has_option(command, "--metadata-snap"):
        pytest.skip(f"{command} reads no metadata snapshot")

    result = thinmeta(*arguments(command, good), "-m")

    assert (result.exit_code, result.stdout) == (ExitCode.NOT_THERE, "")
    assert result.stderr == f"Error: {good}: no metadata snapshot is held\n"


# Output that cannot be written


@each_command
def test_a_closed_pipe_ends_silently(command: str, good: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    ran = process(*arguments(command, good), stdout=writer)
    os.close(writer)

    assert (ran.returncode, ran.stderr) == (ExitCode.OTHER, b"")


@each_command
def test_a_full_disk_is_told(command: str, good: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")

    with Path("/dev/full").open("wb") as full:
        ran = process(*arguments(command, good), stdout=full)

    assert ran.returncode == ExitCode.OTHER
    assert ran.stderr == b"Error: standard output: cannot be written: No space left on device\n"


# Exit codes


def test_exit_codes_are_unique() -> None:
    assert [code.value for code in ExitCode] == list(range(len(ExitCode.__members__)))
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)


def test_exit_codes_are_those_of_the_document() -> None:
    page = (Path(__file__).parents[2] / "docs/exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)

    assert rows == [(str(code.value), code.meaning) for code in ExitCode]


def test_every_error_has_a_documented_exit_code() -> None:
    def below(kind: type[ThinmetaError]) -> Iterator[type[ThinmetaError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    codes = {kind.__name__: kind.exit_code for kind in below(ThinmetaError)}

    assert codes.pop("ThinmetaError") == ExitCode.OTHER
    assert {codes.pop(kind.__name__) for kind in below(OutputError)} == {ExitCode.OTHER}
    assert codes[DamagedMetadataError.__name__] == ExitCode.DAMAGE
    assert set(codes.values()) <= set(ExitCode) - {ExitCode.DONE, ExitCode.OTHER, ExitCode.USAGE}
