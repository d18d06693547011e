"""How a command ends: its last word and exit code, also where a standard stream takes nothing.

A stream that was closed (`>&-`) is opened on what takes and gives nothing, so that no file
of ours gets its number. What cannot be said on a stream ends the command with code 1.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

import click

from thinmeta.errors import ExitCode, OutputError
from thinmeta.formats.printable import printable

_QUOTED_BYTE = r"(?<!\\)\\udc([89a-f][0-9a-f])"
_MOST_KEPT = 64 << 10  # bytes: more than any help has
_STREAMS = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDONLY))


def run(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code.

    Args:
        command: runs it, and raises what click raises where it is not in standalone mode.
    """
    _open_closed_streams()
    _buffer_output()
    out = sys.stdout  # click puts something else there that hides what a closed pipe says
    code = int(ExitCode.DONE)
    try:
        result = command()
        code = result if isinstance(result, int) else code
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except click.Abort:
        code = told("Aborted!", ExitCode.OTHER)
    except click.ClickException as error:
        code = told(_last_word(error), error.exit_code)
    except OSError:
        if _fault_of(out) is None:
            raise
    fault = _fault_of(out)
    if fault is None:
        return code
    _abandon(out)
    if not code and fault.errno != errno.EPIPE:
        what = f"Error: standard output: cannot be written: {fault.strerror}"
        code = told(what, ExitCode.OTHER)
    return code or ExitCode.OTHER


def failure(message: str, code: int) -> click.ClickException:
    """Return what ends the command with this last word and exit code."""
    error = click.ClickException(message)
    error.exit_code = int(code)  # type: ignore[misc]  # click declares a ClassVar
    return error


def say(text: str, *, nl: bool = True) -> None:
    """Say something on standard error, with nothing in it that a terminal would obey.

    Raises:
        OutputError: it cannot be said.
    """
    lines = "\n".join(map(printable, text.split("\n")))
    try:
        click.echo(lines, nl=nl, err=True)
    except OSError as error:
        _abandon(sys.stderr)
        raise OutputError(f"standard error: cannot be written: {error.strerror}") from error


def told(text: str, code: int) -> int:
    """Say a last word, whether or not it can be said, and return the exit code."""
    with suppress(OutputError):
        say(text)
    return int(code)


def _last_word(error: click.ClickException) -> str:
    """Return what click says for an error; a message is one line, whatever it quotes."""
    error.message = printable(error.message)  # type: ignore[misc]  # it is ours by now
    text = io.StringIO()
    error.show(text)
    # What was typed is quoted by `repr`, which shows a byte that is no text as a surrogate.
    return re.sub(_QUOTED_BYTE, r"\\x\1", text.getvalue().rstrip("\n"))


def _open_closed_streams() -> None:
    for name, mode, flags in _STREAMS:
        if getattr(sys, name) is None:
            place = os.open(os.devnull, flags)  # so that any use fails, as of what is closed
            stream = os.fdopen(place, mode, encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # or it would be closed with the last that has it


def _buffer_output() -> None:
    """Keep what is printed until it is written: what is not kept leaves no trace if that fails.

    By itself Python keeps nothing where it is unbuffered, and no more than 4 KiB for a pipe.
    """
    out = sys.stdout
    is_ours = isinstance(out, io.TextIOWrapper) and not out.isatty()
    if is_ours and isinstance(out.buffer, (io.RawIOBase, io.BufferedWriter)):
        sys.stdout = os.fdopen(
            out.fileno(),
            "w",
            buffering=_MOST_KEPT,
            encoding=out.encoding,
            errors=out.errors,
            closefd=False,
        )


def _fault_of(stream: IO[str]) -> OSError | None:
    """Return why what was written to `stream` does not arrive."""
    try:
        stream.flush()
    except OSError as error:
        return error
    return None


def _abandon(stream: IO[str]) -> None:
    """Let go nowhere what `stream` still holds, else the interpreter fails at exit."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
