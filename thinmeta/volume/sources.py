"""Reading the files that a volume's bytes are in, down to the last sector that can be had."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thinmeta.device.compressed import MAGIC_BYTES, packing_of
from thinmeta.device.extents import Extents
from thinmeta.device.opening import is_block_device, open_to_read
from thinmeta.device.part_of_file import PartOfFile
from thinmeta.errors import InputError
from thinmeta.units import METADATA_BLOCK_BYTES
from thinmeta.volume.layout import Source

SMALLEST_READ = 4096
"""Bytes below which a read that failed is not tried in smaller parts."""

_PACKED_NAMES = {".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a volume that cannot be had.

    Attributes:
        begin: in the volume, in bytes.
        length: in bytes.
        block: the volume's block that it begins in.
        source: where it would be.
        name: of the file that it would be in.
        place: in that file, in bytes.
        data_block: the data block there; None if it is not on the data device.
        why: the reason.
    """

    begin: int
    length: int
    block: int
    source: Source
    name: str
    place: int
    data_block: int | None
    why: str

    @property
    def end(self) -> int:
        """Where it ends in the volume, in bytes."""
        return self.begin + self.length

    def __str__(self) -> str:
        """Say it in one line."""
        what = f"bytes {self.begin}..{self.end - 1} of the volume (block {self.block})"
        if self.source is Source.LOST:
            return f"{what}: {self.why}"
        where = f"byte {self.place}"
        if self.data_block is not None:
            where = f"data block {self.data_block}, {where}"
        return f"{self.name}: {where}: {self.why}; {what}"


class UnreadableError(InputError):
    """A part of a volume cannot be had; `unreadable` says which."""

    def __init__(self, unreadable: Unreadable) -> None:
        """Carry it; its line is the message."""
        super().__init__(str(unreadable))
        self.unreadable = unreadable


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a volume's bytes are in.

    Attributes:
        data: the data device.
        block_bytes: the pool's data block size.
        origin: the external origin, if there is one.
    """

    data: Extents
    block_bytes: int
    origin: Extents | None = None

    @property
    def origin_bytes(self) -> int:
        """The size of the external origin; 0 if there is none."""
        return self.origin.size if self.origin is not None else 0

    def extents(self, source: Source) -> Extents | None:
        """Return the file of a source; None for what is in no file."""
        return {Source.DATA: self.data, Source.ORIGIN: self.origin}.get(source)

    def unreadable(
        self, source: Source, begin: int, place: int, length: int, why: str
    ) -> Unreadable:
        """Describe a part that cannot be had."""
        is_origin = source is Source.ORIGIN and self.origin is not None
        return Unreadable(
            begin=begin,
            length=length,
            block=begin // self.block_bytes,
            source=source,
            name=self.origin.name if is_origin and self.origin else self.data.name,
            place=place,
            data_block=place // self.block_bytes if source in _ON_DATA else None,
            why=why,
        )

    def missing(self, source: Source, begin: int, place: int, length: int) -> Unreadable:
        """Describe a part that is in no file."""
        return self.unreadable(source, begin, place, length, _MISSING[source])

    def close(self) -> None:
        """Close the files."""
        self.data.close()
        if self.origin is not None:
            self.origin.close()


_ON_DATA = (Source.DATA, Source.PAST_END)
_MISSING = {
    Source.PAST_END: "is past the end of the data device",
    Source.LOST: "the metadata that says where it is is damaged",
}


def read_around(extents: Extents, buffer: memoryview, place: int) -> Iterator[tuple[int, int, str]]:
    """Fill `buffer` from `place` with what can be read, and the rest with zeros.

    A read that fails is tried again in halves, down to `SMALLEST_READ` bytes.

    Returns:
        The parts that cannot be read: where in the buffer, how many bytes, and why.
    """
    try:
        got = extents.read_into(buffer, place)
        why = "the file ends there"
    except OSError as error:
        if len(buffer) > SMALLEST_READ:
            half = -(-len(buffer) // (2 * SMALLEST_READ)) * SMALLEST_READ
            yield from read_around(extents, buffer[:half], place)
            for at, length, reason in read_around(extents, buffer[half:], place + half):
                yield at + half, length, reason
            return
        got, why = 0, error.strerror or str(error)
    if got < len(buffer):
        buffer[got:] = bytes(len(buffer) - got)
        yield got, len(buffer) - got, why


def open_source(path: Path, *, direct: bool = False) -> Extents:
    """Open a data device or an external origin, or an image of one, for reading.

    Args:
        path: a regular file or a block device; `FILE@OFFSET` where it begins further on.
        direct: read a block device past the page cache (O_DIRECT); reads must then be
            aligned, as whole blocks are.

    Raises:
        InputError: it cannot be read, is of the wrong kind, or compressed.
    """
    file, begin = PartOfFile.of(path)
    try:
        if is_block_device(file):
            is_aligned = (begin or 0) % METADATA_BLOCK_BYTES == 0
            fd = _open_block_device(file, direct=direct and is_aligned)
        else:
            fd = open_to_read(file, direct=False)
            if file.suffix in _PACKED_NAMES and packing_of(os.pread(fd, MAGIC_BYTES, 0)):
                os.close(fd)
                raise InputError(f"{path}: is compressed; unpack it first")
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    try:
        return Extents.of_file(fd, str(path), begin or 0)
    except InputError as error:
        os.close(fd)
        raise InputError(f"{path}: {error}") from error


def _open_block_device(path: Path, *, direct: bool) -> int:
    """Open it alone if nobody holds it, so that nobody writes to a disk that it is a part of."""
    try:
        return open_to_read(path, direct=direct, exclusive=True)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    return open_to_read(path, direct=direct)
