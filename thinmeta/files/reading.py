"""Reading a volume at any place, with a cache for what is small and read often."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from thinmeta.files.file_system import FileError
from thinmeta.volume.contents import Volume, fill
from thinmeta.volume.layout import Pieces, Source
from thinmeta.volume.sources import Unreadable, read_around

CHUNK_BYTES = 65536
"""Of which directories and inodes are read: chunks of 1 MiB read twice as much for no gain."""

_MOST_CHUNKS = 256


class Missing(NamedTuple):
    """A part of a source that cannot be had.

    Attributes:
        begin: in the source, in bytes.
        length: in bytes.
        cause: what cannot be had of the volume below, which may be more than this part.
    """

    begin: int
    length: int
    cause: Unreadable

    @property
    def end(self) -> int:
        """Where it ends in the source, in bytes."""
        return self.begin + self.length

    def moved(self, begin: int, end: int, shift: int = 0) -> "Missing":
        """Return what of it is in `begin..end`, moved by `shift`."""
        low, high = max(self.begin, begin), min(self.end, end)
        return Missing(low + shift, high - low, self.cause)


class ByteSource(Protocol):
    """Bytes that can be read at any place: a volume, or a volume with its journal replayed."""

    @property
    def name(self) -> str:
        """Of the volume, for messages."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def fill(self, view: memoryview, begin: int) -> Iterable[Missing]:
        """Fill `view` with the bytes from `begin` on; zeros for what cannot be had.

        Returns:
            What cannot be had, in order. It must be asked for: it is read meanwhile.
        """
        ...

    def lost(self, begin: int, end: int) -> Iterable[Missing]:
        """Return what of `begin..end` cannot be had, as far as that is known without reading."""
        ...


class _Stored(NamedTuple):
    """A piece of a volume that is on the data device in one piece; it is none if it is empty."""

    begin: int
    end: int
    place: int


def _stored_at(pieces: Pieces, begin: int) -> _Stored:
    """Return the piece in which a byte is."""
    number = int(np.searchsorted(pieces.begin, np.uint64(begin), side="right")) - 1
    if number < 0 or pieces.source[number] != Source.DATA:
        return _Stored(0, 0, 0)
    start = int(pieces.begin[number])
    return _Stored(start, start + int(pieces.length[number]), int(pieces.place[number]))


class VolumeSource:
    """A thin volume's bytes."""

    def __init__(self, volume: Volume) -> None:
        """Read from `volume`, which stays the caller's."""
        self._volume = volume
        self._stored = _Stored(0, 0, 0)

    @property
    def name(self) -> str:
        """Of the volume, for messages."""
        return self._volume.name

    @property
    def size(self) -> int:
        """In bytes."""
        return self._volume.size

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        layout, sources = self._volume.layout, self._volume.sources
        stored = self._stored
        if not stored.begin <= begin < stored.end:
            stored = self._stored = _stored_at(layout.pieces, begin)
        if stored.begin <= begin and begin + len(view) <= stored.end:
            place = begin - stored.begin + stored.place
            for at, length, why in read_around(sources.data, view, place):
                cause = sources.unreadable(Source.DATA, begin + at, place + at, length, why)
                yield Missing(begin + at, length, cause)
            return
        for part in fill(layout, sources, view, begin):
            yield Missing(part.begin, part.length, part)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        """Return what of `begin..end` is in no file; see `ByteSource.lost()`."""
        if not self._has_lost:
            return
        pieces = self._volume.layout.between(begin, end)
        pieces = pieces[pieces.source > Source.ORIGIN]
        columns = (pieces.begin, pieces.length, pieces.place, pieces.source)
        for start, length, place, kind in zip(*(each.tolist() for each in columns), strict=True):
            cause = self._volume.sources.missing(Source(kind), start, place, length)
            yield Missing(start, length, cause)

    @cached_property
    def _has_lost(self) -> bool:
        return bool((self._volume.layout.pieces.source > Source.ORIGIN).any())


class _Chunk(NamedTuple):
    data: bytes
    missing: tuple[Missing, ...]


class Cache:
    """A source with a cache of 16 MiB above it, for what is small and read often.

    Attributes:
        source: what it reads.
    """

    def __init__(self, source: ByteSource) -> None:
        """Begin with nothing read."""
        self.source = source
        self.size = source.size
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()

    def read(self, begin: int, length: int) -> bytes:
        """Return `length` bytes from `begin` on.

        Raises:
            FileError: a part of them cannot be had, or is past the end of the volume.
        """
        end = begin + length
        if not length:
            return b""
        if begin < 0 or end > self.size:
            raise FileError(f"bytes {begin}..{end - 1} are past the end of the volume")
        parts = []
        while begin < end:
            place, skip = divmod(begin, CHUNK_BYTES)
            chunk = self._chunk(place)
            stop = min(end, (place + 1) * CHUNK_BYTES)
            if chunk.missing:
                _refuse(chunk.missing, begin, stop)
            parts.append(chunk.data[skip : skip + stop - begin])
            begin = stop
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunk(self, place: int) -> _Chunk:
        chunk = self._chunks.get(place)
        if chunk is not None:
            self._chunks.move_to_end(place)
            return chunk
        begin = place * CHUNK_BYTES
        buffer = bytearray(min(CHUNK_BYTES, self.size - begin))
        missing = tuple(self.source.fill(memoryview(buffer), begin))
        chunk = self._chunks[place] = _Chunk(bytes(buffer), missing)
        if len(self._chunks) > _MOST_CHUNKS:
            self._chunks.popitem(last=False)
        return chunk


def _refuse(missing: tuple[Missing, ...], begin: int, end: int) -> None:
    for part in missing:
        if part.begin < end and begin < part.end:
            raise FileError(str(part.cause))
