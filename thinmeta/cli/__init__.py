"""The command `thinmeta`: click only, one file a command, numpy only where it is used."""

from importlib import import_module
from typing import Any

import click

from thinmeta.errors import ThinmetaError

_COMMANDS = ("dump",)
"""Each is a function of that name in a module of that name, here."""


class _Failure(click.ClickException):
    def __init__(self, error: ThinmetaError) -> None:
        super().__init__(str(error))
        self.exit_code = int(error.exit_code)  # type: ignore[misc]  # click declares a ClassVar


class _Commands(click.Group):
    """Loads a command when it is asked for; makes library errors messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ThinmetaError as error:
            raise _Failure(error) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="thinmeta", message="%(version)s")
def main() -> None:
    """Understand a dm-thin pool from its metadata alone, without the kernel.

    Exit codes: 0 done; 2 usage; 3 the input cannot be used; 4 not there; 5 damage,
    output incomplete; 1 anything else. docs/exit-codes.md has the whole table.
    """
