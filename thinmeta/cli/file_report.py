"""What commands that take files out say of them on standard error: in words, or as JSON."""

from collections.abc import Callable
from functools import wraps
from typing import IO, Any, TypeVar

import click

from thinmeta.cli.parameters import format_option
from thinmeta.errors import ThinmetaError

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _JsonEnd(click.ClickException):
    """Ends a command with an object instead of a last word."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the object."""
        from thinmeta.formats.file_report import error_object, joined_text

        click.echo(joined_text([error_object(self.message, self.exit_code)]), file=file)


def report_option(function: _Function) -> _Function:
    """Add `-f` for what is said on standard error; it arrives as `is_json`.

    With JSON an error of ours, with which the command ends, is an object, too.
    """

    @wraps(function)
    def reported(*args: Any, report_format: str, **others: Any) -> Any:
        is_json = report_format == "json"
        try:
            return function(*args, is_json=is_json, **others)
        except ThinmetaError as error:
            if not is_json:
                raise
            end = _JsonEnd(str(error))
            end.exit_code = int(error.exit_code)  # type: ignore[misc]  # click declares a ClassVar
            raise end from error

    return format_option(
        "text",
        "json",
        arrives_as="report_format",
        what="How to report on standard error what is left out, and why.",
    )(reported)  # type: ignore[return-value]
