"""Every option that takes a number takes, or refuses, the numbers at the ends of what there is."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.invocations import COMMANDS, MINIMAL, with_roots
from tests.conftest import Thinmeta
from tests.damage import DamagedImage
from tests.made_images import one_device, written
from thinmeta.cli import main
from thinmeta.errors import ExitCode

NUMBERS = (0, 2**24, 2**32, 2**63, 2**64 - 1, 2**64, -1, 10**30)

NO_NUMBERS = {
    *("boolean", "choice", "file", "path", "text", "name", "kinds", "fields", "unit"),
}
"""Types of parameters; any other is held to take a number, so that a new one is not left out."""

FORMS = {
    "device": ("{}", "root:{}", "1@{}", "1@{}:{}"),
    "state": ("{}", "{}:{}"),
    "quantity": ("{}", "{}s", "{}E"),
    "size": ("{}", "{}b", "{}E"),
    "region": ("0..{}", "{}..", "{}..{}E", "1..1E"),
}

MADE = {
    "as": ("thin_dump", "meta.bin"),
    "commit": ("1", "a", "--data", "data", "-o", "new"),
    "extract": ("1", "--data", "data", "--size", "64K", "-o", "new"),
    "install-names": ("names",),
    "lvm": ("data",),
    "repair": ("-o", "new"),
    "restore": ("-i", "dump.xml", "-o", "new"),
    "save": ("demo:latest", "--data", "data", "-o", "new"),
    "size": ("-b", "64k", "-s", "1t", "-m", "1"),
    "undelete": ("1@ROOTS", "-o", "new"),
}

WITHOUT_POOL = ("as", "install-names", "restore", "size")


def numbers_for(command: str) -> Iterator[list[str]]:
    """Return the arguments of `command` with a number of ours in each place in turn."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    minimal = [*(MADE.get(command) or MINIMAL[command])]
    parameters = [each for each in found.params if each.name != "metadata"]
    arguments = [each for each in parameters if isinstance(each, click.Argument)]
    for parameter in parameters:
        kind = parameter.type.name
        if kind in NO_NUMBERS:
            continue
        for text in (form.format(n, n) for form in FORMS.get(kind, ("{}",)) for n in NUMBERS):
            if isinstance(parameter, click.Argument):
                place = arguments.index(parameter)
                yield [*minimal[:place], text, *minimal[place + 1 :]]
            else:
                yield [*minimal, parameter.opts[0], text]


@pytest.fixture
def folder(tmp_path: Path, thinmeta: Thinmeta, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "meta.bin", one_device())
    (tmp_path / "data").write_bytes(bytes(1 << 20))
    thinmeta("dump", "meta.bin", "-o", "dump.xml")
    return tmp_path


def assert_documented(thinmeta: Thinmeta, *args: str) -> None:
    result = thinmeta(*args)

    assert not isinstance(result.exception, Exception), (args, result.exception)
    assert result.exit_code in set(ExitCode), args
    if result.exit_code in (ExitCode.USAGE, ExitCode.INPUT, ExitCode.NOT_THERE):
        assert "Error: " in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_number_is_too_much(command: str, folder: Path, thinmeta: Thinmeta) -> None:
    pool = [] if command in WITHOUT_POOL else ["-p", "meta.bin"]
    for args in numbers_for(command):
        (folder / "new").unlink(missing_ok=True)
        assert_documented(thinmeta, command, *with_roots(args, folder / "meta.bin"), *pool)


@pytest.mark.thorough
@pytest.mark.parametrize("sectors", [0, 1, 129, 2**31, 2**32 - 1])
@pytest.mark.parametrize(
    "args",
    [
        ["rmap", "--region", "0..1G"],
        ["rmap", "--region", "0..16E"],
        ["lookup", "1", "1G"],
        ["lookup", "1", "15E"],
        ["extract", "1", "--data", "data"],
        ["extract", "1", "--data", "data", "--size", "64K", "--salvage"],
        ["table", "1", "--size", "64K"],
        ["table", "1", "--size", "64K", "--linear", "/dev/sdb"],
        ["ls", "-o", "MAPPED,EXCLUSIVE,HIGHEST_MAPPED,HIGHEST_SECTOR"],
        ["ls", "--tree"],
        ["diff", "1", "1"],
        ["info"],
        ["check"],
        ["dump"],
        ["fate", "1"],
        ["scan"],
        ["repair", "-o", "new"],
        ["undelete", "1@ROOTS", "-o", "new"],
    ],
    ids=" ".join,
)
def test_no_data_block_size_is_too_much(
    args: list[str], sectors: int, folder: Path, thinmeta: Thinmeta
) -> None:
    image = DamagedImage(one_device())
    image.superblock()["data_block_size"] = sectors
    image.restamp(0)
    image.write_to(folder / "meta.bin")

    words = with_roots(args, folder / "meta.bin")
    assert_documented(thinmeta, *words, "-p", "meta.bin")


def test_bytes_cannot_be_counted_in_blocks_without_any(folder: Path, thinmeta: Thinmeta) -> None:
    image = DamagedImage(one_device())
    image.superblock()["data_block_size"] = 0
    image.restamp(0)
    image.write_to(folder / "meta.bin")

    for args in (["rmap", "--region", "0..1G"], ["lookup", "1", "1G"]):
        result = thinmeta(*args, "-p", "meta.bin")

        assert result.exit_code == ExitCode.DAMAGE
        assert "data blocks have 0 sectors; name blocks, not bytes" in result.stderr
    assert thinmeta("rmap", "--region", "0..1000", "-p", "meta.bin").exit_code == ExitCode.DONE
