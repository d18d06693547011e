"""A disk or an image of one, as it was named: `FILE`, or `FILE@OFFSET`."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from thinmeta.device.bad_maps import bad_map_of
from thinmeta.device.compressed import MAGIC_BYTES, packing_of, unpack
from thinmeta.device.opening import is_block_device, open_to_read
from thinmeta.device.part_of_file import PartOfFile
from thinmeta.errors import InputError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

_PIECE = 4096
_MOST_UNPACKED = MAX_METADATA_BLOCKS * METADATA_BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Disk:
    """A file or block device, open for reading.

    Attributes:
        name: as it was typed.
        path: without the offset.
        fd: of the file, or of what it unpacks to.
        size: in bytes.
        offset: in bytes, where it was given.
        is_packed: it was compressed.
        notes: what was odd about opening it, one line each.
    """

    name: str
    path: Path
    fd: int
    size: int
    offset: int | None
    is_packed: bool
    notes: tuple[str, ...]

    @classmethod
    def open(cls, name: str) -> Self:
        """Open `FILE`, or `FILE@OFFSET`, the offset in bytes or with a unit.

        Raises:
            InputError: it is missing, unreadable, or neither a file nor a block device.
        """
        path, offset = PartOfFile.of(name)
        try:
            is_block_device(path)  # or it raises: it is neither
            fd = open_to_read(path, direct=False)
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        try:
            is_packed, fd, notes = _unpacked(fd, path)
        except InputError:
            os.close(fd)
            raise
        size = os.lseek(fd, 0, os.SEEK_END)
        if offset is not None and offset >= size:
            os.close(fd)
            raise InputError(f"{path}: has {size} bytes, so nothing at {offset}")
        return cls(name, path, fd, size, offset, is_packed, notes)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end; zeros for what cannot be read."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""  # an offset from a disk may be more than a system call takes
        bad = bad_map_of(self.fd)
        with suppress(OSError):
            if bad is None or bad.beginning(offset, length) == (False, length):
                return os.pread(self.fd, length, offset).ljust(length, b"\0")
        if length <= _PIECE:
            return bytes(length)
        pieces = range(offset, offset + length, _PIECE)
        return b"".join(self.read(at, min(_PIECE, offset + length - at)) for at in pieces)

    def close(self) -> None:
        """Close the file; further reads fail."""
        os.close(self.fd)


def _unpacked(fd: int, path: Path) -> tuple[bool, int, tuple[str, ...]]:
    """Return whether `fd` is compressed, a file of what it holds, and what is wrong with it."""
    try:
        if not packing_of(os.pread(fd, MAGIC_BYTES, 0)):
            return False, fd, ()
        unpacked, wrong = unpack(fd, lambda _: None)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError:  # a bad sector, which is no compressed file
        return False, fd, ()
    if os.lseek(unpacked, 0, os.SEEK_END) > _MOST_UNPACKED:
        os.close(unpacked)
        raise InputError(f"{path}: unpacks to more than 15.9 GiB: unpack it to a file first")
    os.close(fd)
    return True, unpacked, (f"{path}: {wrong}",) if wrong else ()
