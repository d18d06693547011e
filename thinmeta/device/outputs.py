"""Outputs: how each is written, and what its errors say."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from thinmeta.errors import OutputError

_STDOUT = 1
_MOST_LINKS = 40  # that the kernel follows


class OutputKind(Enum):
    """How an output is written."""

    STREAM = "stream"
    """From beginning to end: standard output, a pipe, a terminal, an open descriptor."""

    FILE = "file"
    """A regular file, there or not: replaced as a whole."""

    DEVICE = "device"
    """A block device: in place, and alone."""


def kind_of(output: Path | None) -> OutputKind:
    """Return how `output` is written; None or `-` is standard output.

    Raises:
        OutputError: it is a folder, or nobody can tell.
    """
    if output is None or output == Path("-"):
        return OutputKind.STREAM
    descriptor = descriptor_of(output)
    with errors_of(str(output)):
        try:
            mode = output.stat().st_mode
        except FileNotFoundError:
            return OutputKind.FILE
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISBLK(mode) and descriptor != _STDOUT:
        return OutputKind.DEVICE
    return OutputKind.FILE if stat.S_ISREG(mode) and descriptor is None else OutputKind.STREAM


def descriptor_of(output: Path) -> int | None:
    """Return the open file of ours that a path names, as `/dev/stdout` does."""
    ours = f"/proc/{os.getpid()}/fd"
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(output.parent)
        if folder == ours and output.name.isdigit():
            return int(output.name)
        if not output.is_symlink():
            break
        output = Path(folder, output.readlink())
    return None


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Make the system's errors those of an output called `name`.

    Raises:
        OutputError: for an `OSError`; but a closed pipe stays what it is.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        reason = "is in use" if error.errno == errno.EBUSY else error.strerror or str(error)
        raise OutputError(f"{name}: cannot be written: {reason}") from error
