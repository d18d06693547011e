"""Where new metadata goes: a file that appears whole or not at all, or a block device.

Metadata is built in a file of its own, beside the file that it will be, or without a
name where it will be copied to a device. So nothing of the target is touched before
all that goes there is known to be good.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thinmeta.device.inputs import Inputs
from thinmeta.device.outputs import OutputKind, errors_of, kind_of
from thinmeta.device.replacing import opened_device, replacing
from thinmeta.errors import OutputError
from thinmeta.units import METADATA_BLOCK_BYTES

_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class MetadataTarget:
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
    path: Path, inputs: Inputs, *, force: bool, size_bytes: int | None
) -> Iterator[MetadataTarget]:
    """Give a file to build metadata in; put it into place if all goes well.

    Args:
        path: a file, which may exist, or a block device.
        inputs: what is read, which is never written to.
        force: write over existing metadata, and over what else a device holds.
        size_bytes: of the metadata; None is the size of what is there.

    Raises:
        OutputError: it cannot be written, or has something that is not to be lost.
    """
    with errors_of(str(path)):
        inputs.refuse(path)
        kind = kind_of(path)
        if kind is OutputKind.STREAM:
            raise OutputError(f"{path}: is neither a regular file nor a block device")
        size = _size(path) if size_bytes is None else size_bytes
        nr_blocks = None if size is None else size // METADATA_BLOCK_BYTES
        if kind is OutputKind.DEVICE:
            with opened_device(path, force=force) as device, tempfile.TemporaryFile() as file:
                yield MetadataTarget(path, file.fileno(), nr_blocks, is_device=True)
                _copy(file.fileno(), device)
        else:
            with replacing(path, force=force) as fd:
                yield MetadataTarget(path, fd, nr_blocks, is_device=False)


def _size(path: Path) -> int | None:
    """Return the bytes of what is there; a file without any has no size to keep."""
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END) or None
    except FileNotFoundError:
        return None


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


def _write(device: int, data: bytes, at: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(device, data[written:], at + written)
