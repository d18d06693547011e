"""Where a command's output goes: standard output, or a file that appears whole or not at all."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click
from click.decorators import FC

from thinmeta.cli.parameters import FILE
from thinmeta.errors import OutputError

if TYPE_CHECKING:
    from queue import Queue
    from threading import Thread

SYSFS_BLOCKS = Path("/sys/dev/block")

_SMALL = 4 << 20  # bytes below which a thread is not worth its start
_PARTS_AHEAD = 4
_INPUTS = "thinmeta.inputs"


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


def never_write_to(path: str) -> None:
    """Refuse to write to `path`, an input besides the metadata, as long as the command runs."""
    click.get_current_context().meta.setdefault(_INPUTS, []).append(path)


def refuse_inputs(output: Path, metadata: str) -> None:
    """Refuse to write to the metadata, or to what `never_write_to` was told.

    Raises:
        OutputError: `output` is one of them, or behind it.
    """
    context = click.get_current_context(silent=True)
    further: list[str] = context.meta.get(_INPUTS, []) if context else []
    for path in (metadata, *further):
        refuse_input(output, Path(path))


@contextmanager
def open_output(output: Path | None, metadata: str) -> Iterator["Writer"]:
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
            with _written_ahead(sys.stdout.buffer) as writer:
                yield writer
            return
        if output.exists():
            refuse_inputs(output, metadata)
        descriptor = _descriptor(output)
        if descriptor is not None or (output.exists() and not output.is_file()):
            place = output if descriptor is None else os.dup(descriptor)
            with open(place, "wb") as in_place, _written_ahead(in_place) as writer:  # noqa: PTH123
                yield writer
            return
        target = Path(os.path.realpath(output))
        with replacing(target) as file, _written_ahead(file) as writer:
            yield writer
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise OutputError(f"{name}: cannot be written: {error.strerror}") from error


class Writer:
    """Writes in a thread once there is much to write, while the next part is made."""

    def __init__(self, file: IO[bytes]) -> None:
        """Write to `file`."""
        self._file = file
        self._small = _SMALL
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
        self._parts.put(bytes(text))

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            OSError: a part could not be written.
        """
        if self._thread is not None:
            self._parts.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._error
        self._file.flush()

    def _write_parts(self) -> None:
        while (part := self._parts.get()) is not None:
            if self._error is None:  # else only make room, so that nobody waits for it
                try:
                    self._file.write(part)
                except BaseException as error:  # noqa: BLE001  # whoever writes next raises it
                    self._error = error


@contextmanager
def _written_ahead(file: IO[bytes]) -> Iterator[Writer]:
    writer = Writer(file)
    try:
        yield writer
    finally:
        writer.finish()  # what precedes an error is written before the error is told


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Give a file beside `target` that takes its name if all goes well."""
    part = target.with_name(f".thinmeta-{os.urandom(6).hex()}.part")
    mode = _mode_of(target)
    with terminated_by_exception():
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(part, new, 0o666 if mode is None else mode), "wb") as file:
            try:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                yield file
                part.replace(target)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise


@contextmanager
def terminated_by_exception() -> Iterator[None]:
    """Let SIGTERM end the command as an error does, so that no part of a file stays."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _descriptor(output: Path) -> int | None:
    """Return the open file of ours that `output` names, as `/dev/stdout` does."""
    ours = f"/proc/{os.getpid()}/fd"
    for _ in range(40):  # as many links as the kernel follows
        folder = os.path.realpath(output.parent)
        if folder == ours and output.name.isdigit():
            return int(output.name)
        if not output.is_symlink():
            break
        output = Path(folder, output.readlink())
    return None


def _mode_of(target: Path) -> int | None:
    """Return the mode of the file that is to be replaced, if there is one."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return None


def refuse_input(target: Path, metadata: Path) -> None:
    """Refuse to write to what is read.

    Raises:
        OutputError: `target` is that file or device, or behind it.
    """
    with suppress(FileNotFoundError):
        here, source = target.stat(), metadata.stat()
        same_device = stat.S_ISBLK(here.st_mode) and here.st_rdev == source.st_rdev
        behind = _is_behind(target, source) or _is_behind(metadata, here)
        if os.path.samestat(here, source) or same_device or behind:
            raise OutputError(f"{target}: is the input itself, which is never written to")


def _is_behind(file: Path, device: os.stat_result) -> bool:
    """Tell whether `device` is a loop device over `file`."""
    if not stat.S_ISBLK(device.st_mode):
        return False
    number = f"{os.major(device.st_rdev)}:{os.minor(device.st_rdev)}"
    with suppress(OSError):
        backing = (SYSFS_BLOCKS / number / "loop/backing_file").read_text().rstrip("\n")
        return file.samefile(backing)
    return False
