"""Metadata blocks behind a file object of Python's: bytes, a zip member, ranges over HTTP."""

import os
import tempfile
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.compressed import MAGIC_BYTES, Inspect, packing_of, unpack
from thinmeta.errors import InputError
from thinmeta.units import METADATA_BLOCK_BYTES

_COPIED_BYTES = 1 << 20


class SeekableFile(Protocol):
    """What is asked of a file object: that it is binary, and can seek."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes from where it stands; none only at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, and return it."""


def open_file_blocks(file: SeekableFile, *, name: str, inspect: Inspect) -> BlockDevice:
    """Return the metadata blocks in `file`, which stays its owner's: it is never closed.

    Neighbouring blocks are one read. A compressed image is unpacked into an unnamed file.

    Args:
        file: holds them from its beginning; where it stands changes.
        name: for messages.
        inspect: refuses what is no metadata; says how much of a compressed image to unpack.

    Raises:
        InputError: it cannot be read, is not binary, cannot seek, or is no metadata.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        beginning = _read_at(file, 0, min(size, METADATA_BLOCK_BYTES))
        if packing_of(beginning[:MAGIC_BYTES]) is None:
            inspect(beginning)
            return _BlocksInFile(file, size, name)
        with tempfile.TemporaryFile() as packed:
            for offset in range(0, size, _COPIED_BYTES):
                packed.write(_read_at(file, offset, min(_COPIED_BYTES, size - offset)))
            packed.flush()
            unpacked, wrong = unpack(packed.fileno(), inspect)
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: is no binary file that can be read and seek: {error}") from error
    return BlockDevice(unpacked, name, (f"{name}: {wrong}",) if wrong else ())


def _read_at(file: SeekableFile, offset: int, length: int) -> bytes:
    """Return `length` bytes, or those up to the end."""
    file.seek(offset)
    parts: list[bytes] = []
    while length > 0 and (part := file.read(length)):
        if not isinstance(part, bytes):
            raise TypeError(f"it returns {type(part).__name__}, not bytes")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


class _BlocksInFile(BlockDevice):
    """Threads may read it together: where the file stands is theirs in turn."""

    def __init__(self, file: SeekableFile, size: int, name: str) -> None:
        self.name = name
        self.notes = ()
        self.nr_blocks = size // METADATA_BLOCK_BYTES
        self._file: SeekableFile | None = file
        self._lock = Lock()

    def close(self) -> None:
        self._file = None

    def are_stored(self, begin: int, end: int) -> bool:
        return begin < end  # nobody can tell

    def _preadv(self, buffers: Sequence[memoryview], offset: int) -> int:
        if self._file is None:
            raise OSError("the pool is closed")
        with self._lock:
            content = _read_at(self._file, offset, sum(buffer.nbytes for buffer in buffers))
        done = 0
        for buffer in buffers:
            part = content[done : done + buffer.nbytes]
            buffer.cast("B")[: len(part)] = part
            done += len(part)
        return done
