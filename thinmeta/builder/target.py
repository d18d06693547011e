"""Where new metadata goes: a file that appears whole or not at all, or a block device.

Metadata is built in a file of its own, beside the file that it will be, or without a
name where it will be copied to a device. So nothing of the target is touched before
all that goes there is known to be good.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thinmeta.device.kernel import holders_of
from thinmeta.errors import OutputError
from thinmeta.schemas.decode import superblock_fault
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import METADATA_BLOCK_BYTES

_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """A place for metadata that can be had.

    Attributes:
        path: what the user called it.
        fd: a new empty file to build the metadata in.
        nr_blocks: how large the metadata is to be; None if that is free.
        is_device: it will be copied to a device.
    """

    path: Path
    fd: int
    nr_blocks: int | None
    is_device: bool


@contextmanager
def open_target(
    path: Path, source: Path | None, *, force: bool, size_bytes: int | None
) -> Iterator[Target]:
    """Give a file to build metadata in; put it into place if all goes well.

    Args:
        path: a file, which may exist, or a block device.
        source: the input, which is never written to; None where it is no file.
        force: write over existing metadata.
        size_bytes: of the metadata; None is the size of what is there.

    Raises:
        OutputError: it cannot be written, or has something that is not to be lost.
    """
    try:
        status = path.stat() if path.exists() else None
        if status is not None:
            _refuse(path, status, source, force=force)
        size = _size(path, status) if size_bytes is None else size_bytes
        nr_blocks = None if size is None else size // METADATA_BLOCK_BYTES
        if status is not None and stat.S_ISBLK(status.st_mode):
            with _opened_device(path) as device, tempfile.TemporaryFile() as file:
                yield Target(path, file.fileno(), nr_blocks, is_device=True)
                _copy(file.fileno(), device)
            return
        with _replacing(Path(os.path.realpath(path)), status) as fd:
            yield Target(path, fd, nr_blocks, is_device=False)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _refuse(path: Path, status: os.stat_result, source: Path | None, *, force: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISBLK(status.st_mode):
        raise OutputError(f"{path}: is neither a regular file nor a block device")
    if source is not None and source.exists():
        other = source.stat()
        same_device = stat.S_ISBLK(status.st_mode) and status.st_rdev == other.st_rdev
        if same_device or os.path.samestat(status, other):
            raise OutputError(f"{path}: is the input, which is never written to")
    if holders := holders_of(path):
        raise OutputError(f"{path}: is in use by {', '.join(holders)}")
    with path.open("rb") as file:
        first = np.frombuffer(file.read(METADATA_BLOCK_BYTES), dtype=np.uint8)
    is_metadata = len(first) == METADATA_BLOCK_BYTES and not superblock_fault(
        first, SUPERBLOCK_LOCATION
    )
    if is_metadata and not force:
        raise OutputError(f"{path}: has metadata of a pool already; --force writes over it")


def _size(path: Path, status: os.stat_result | None) -> int | None:
    """Return the bytes of what is there; a file without any has no size to keep."""
    if status is not None and stat.S_ISBLK(status.st_mode):
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    return status.st_size or None if status is not None else None


@contextmanager
def _replacing(path: Path, status: os.stat_result | None) -> Iterator[int]:
    """Give a file beside `path` that takes its name at the end."""
    part = path.with_name(f".thinmeta-{os.urandom(6).hex()}.part")
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if status is not None:
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
        yield fd
        os.fsync(fd)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    finally:
        os.close(fd)


@contextmanager
def _opened_device(path: Path) -> Iterator[int]:
    """Open a device that nobody else has, and keep others away from it."""
    fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _copy(source: int, device: int) -> None:
    """Copy metadata to a device, whose superblock is there only when all else is."""
    _write(device, bytes(METADATA_BLOCK_BYTES), 0)
    os.fsync(device)
    at = METADATA_BLOCK_BYTES
    while piece := os.pread(source, _BYTES_AT_ONCE, at):
        _write(device, piece, at)
        at += len(piece)
    os.fsync(device)
    _write(device, os.pread(source, METADATA_BLOCK_BYTES, 0), 0)
    os.fsync(device)


def _write(device: int, data: bytes, at: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(device, data[written:], at + written)
