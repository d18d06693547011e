"""What people type: the names of files."""

from pathlib import Path

import click
import pytest

from tests.cases import unpacked
from tests.cli.invocations import COMMANDS, MINIMAL
from tests.conftest import Thinmeta
from thinmeta.cli import main
from thinmeta.cli.parameters import FileParameter
from thinmeta.errors import ExitCode


def files_of(command: str) -> list[click.Parameter]:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return [param for param in found.params if isinstance(param.type, FileParameter)]


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, param.name) for command in COMMANDS for param in files_of(command)],
)
def test_an_empty_name_of_a_file_is_named(command: str, name: str, thinmeta: Thinmeta) -> None:
    """A shell leaves it of a variable that is not set; it is no folder `.`."""
    param = next(each for each in files_of(command) if each.name == name)
    option = [max(param.opts, key=len)] if isinstance(param, click.Option) else []

    result = thinmeta(command, *MINIMAL.get(command, ()), *option, "")

    assert result.exit_code == ExitCode.USAGE
    assert "the name of the file is empty" in result.stderr
    assert option == [] or option[0] in result.stderr.splitlines()[-1]


def test_a_table_that_cannot_be_read_is_an_input(tmp_path: Path, thinmeta: Thinmeta) -> None:
    metadata = unpacked("a08-snapshots-of-snapshots")
    (tmp_path / "folder").mkdir()

    for name, what in (("none", "no such file or directory"), ("folder", "is a directory")):
        result = thinmeta("table", "1", "-p", metadata, "--dm-table", tmp_path / name)

        assert result.exit_code == ExitCode.INPUT
        assert result.stderr == f"Error: {tmp_path / name}: {what}\n"
