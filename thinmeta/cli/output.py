"""Where a command's output goes: standard output, or a file that appears whole or not at all."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click
from click.decorators import FC

from thinmeta.errors import OutputError

SYSFS_BLOCKS = Path("/sys/dev/block")


def output_option(function: FC) -> FC:
    """Add `-o/--output`, which arrives as `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="Write to this file, whole or not at all; the default is standard output.",
    )(function)


@contextmanager
def open_output(output: Path | None, metadata: str) -> Iterator[IO[bytes]]:
    """Open the place that a command writes to.

    A regular file is written beside itself and put in place when all went well; what
    is no regular file (a pipe, `/dev/stdout`) is written as it is.

    Args:
        output: as it was given; None or `-` is standard output.
        metadata: the input, which is never written over.

    Raises:
        OutputError: it cannot be written. A closed pipe stays an `OSError`, which
            click ends silently.
    """
    name = "standard output" if output in (None, Path("-")) else str(output)
    try:
        if output is None or output == Path("-"):
            file = sys.stdout.buffer
            yield file
            file.flush()
            return
        target = Path(os.path.realpath(output))
        if target.exists():
            _refuse_input(target, Path(metadata))
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        with _replacing(target) as file:
            yield file
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise OutputError(f"{name}: cannot be written: {error.strerror}") from error


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    import tempfile

    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
    ) as file:
        part = Path(file.name)
        try:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _mode_for(target))
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def _mode_for(target: Path) -> int:
    """Return the mode of the file that is replaced, else what a new file would get."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _refuse_input(target: Path, metadata: Path) -> None:
    with suppress(FileNotFoundError):
        here, source = target.stat(), metadata.stat()
        same_device = stat.S_ISBLK(here.st_mode) and here.st_rdev == source.st_rdev
        if os.path.samestat(here, source) or same_device or _is_behind(target, source):
            raise OutputError(f"{target}: is the metadata itself, which is never written to")


def _is_behind(target: Path, source: os.stat_result) -> bool:
    """Tell whether `source` is a loop device over the file `target`."""
    if not stat.S_ISBLK(source.st_mode):
        return False
    device = f"{os.major(source.st_rdev)}:{os.minor(source.st_rdev)}"
    with suppress(OSError):
        backing = (SYSFS_BLOCKS / device / "loop/backing_file").read_text().rstrip("\n")
        return target.samefile(backing)
    return False
