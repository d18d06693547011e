"""Where a command's output goes: standard output, or a file that appears whole or not at all."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
from click.decorators import FC

from thinmeta.cli.parameters import FILE

if TYPE_CHECKING:
    from queue import Queue
    from threading import Thread

    from thinmeta.device.inputs import Inputs

_SMALL = 4 << 20  # bytes below which a thread is not worth its start
_PART = 64 << 10  # bytes that are worth the way to the thread
_PARTS_AHEAD = 4


def output_option(function: FC) -> FC:
    """Add `-o/--output`, which arrives as `output`."""
    return _named_option("-o", "--output")(function)


def long_output_option(function: FC) -> FC:
    """Add `--output` where `-o` means something else."""
    return _named_option("--output")(function)


def _named_option(*names: str) -> Callable[[FC], FC]:
    return click.option(
        *names,
        type=FILE,
        help="Write to this file, whole or not at all; the default is standard output.",
    )


def force_option(*names: str) -> Callable[[FC], FC]:
    """Add `--force`, by these names; it arrives as `force`."""
    return click.option(
        *names,
        is_flag=True,
        help="Write over existing metadata, and over what a block device holds.",
    )


@contextmanager
def open_output(
    output: Path | None, inputs: "Inputs", *, force: bool | None = None, ahead: bool = True
) -> Iterator["Writer"]:
    """Open the place that a command writes to.

    A regular file is written beside itself and put in place when all went well; a block
    device, and what is no regular file (a pipe, `/dev/stdout`), is written as it is.

    Args:
        output: as it was given; None or `-` is standard output.
        inputs: what is read, which is never written to.
        force: write over metadata, or what a block device holds; None: the command has
            no such option, and spares only what devices hold.
        ahead: write in a thread, while the next part is made; not worth it for what is
            only copied.

    Raises:
        OutputError: it cannot be written, or must not be. A closed pipe stays an
            `OSError`, which click ends silently.
    """
    from thinmeta.device.outputs import OutputKind, errors_of, kind_of

    if output == Path("-"):
        output = None
    name = "standard output" if output is None else str(output)
    with errors_of(name), ExitStack() as stack:
        if output is None:
            with suppress(OSError, ValueError):  # it is no file at all
                inputs.refuse(sys.stdout.fileno(), name)
            yield stack.enter_context(_written(sys.stdout.buffer, ahead=ahead))
            return
        from thinmeta.device.replacing import opened_device, replacing

        inputs.refuse(output)
        match kind_of(output):
            case OutputKind.STREAM:
                file = stack.enter_context(_opened_stream(output))
            case OutputKind.DEVICE:
                fd = stack.enter_context(opened_device(output, force=force))
                file = stack.enter_context(open(fd, "wb", closefd=False))
            case OutputKind.FILE:
                fd = stack.enter_context(replacing(output, force=force))
                file = stack.enter_context(open(fd, "wb", closefd=False))
        yield stack.enter_context(_written(file, ahead=ahead))


def _opened_stream(output: Path) -> IO[bytes]:
    from thinmeta.device.outputs import descriptor_of

    descriptor = descriptor_of(output)
    return open(output if descriptor is None else os.dup(descriptor), "wb")  # noqa: PTH123


class Writer:
    """Writes in a thread once there is much to write, while the next part is made."""

    def __init__(self, file: IO[bytes], *, ahead: bool = True) -> None:
        """Write to `file`; in a thread only if `ahead`."""
        self._file = file
        self._small = _SMALL if ahead else sys.maxsize
        self._gathered = bytearray()
        self._parts: Queue[bytes | None]
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def write(self, text: bytes | memoryview) -> None:
        """Write `text`, which may change as soon as this returns.

        Raises:
            OSError: this or an earlier part could not be written.
        """
        if self._small > 0:
            self._small -= len(text)
            self._file.write(text)
            return
        if self._thread is None:
            from queue import Queue
            from threading import Thread

            self._parts = Queue(_PARTS_AHEAD)
            self._thread = Thread(target=self._write_parts, daemon=True)
            self._thread.start()
        if self._error is not None:
            raise self._error
        if len(self._gathered) + len(text) < _PART:
            self._gathered += text
        else:
            self._put_gathered()
            self._parts.put(bytes(text))

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            OSError: a part could not be written.
        """
        if self._thread is not None:
            self._put_gathered()
            self._parts.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._error
        self._file.flush()

    def _put_gathered(self) -> None:
        if self._gathered:
            self._parts.put(bytes(self._gathered))
            self._gathered.clear()

    def _write_parts(self) -> None:
        while (part := self._parts.get()) is not None:
            if self._error is None:  # else only make room, so that nobody waits for it
                try:
                    self._file.write(part)
                except BaseException as error:  # noqa: BLE001  # whoever writes next raises it
                    self._error = error


@contextmanager
def _written(file: IO[bytes], *, ahead: bool) -> Iterator[Writer]:
    writer = Writer(file, ahead=ahead)
    try:
        yield writer
    finally:
        writer.finish()  # what precedes an error is written before the error is told
