"""Reading a volume at any place, with a cache for what is small and read often."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from thinmeta.files.file_system import FileError
from thinmeta.volume.contents import Volume, fill
from thinmeta.volume.sources import Unreadable

CHUNK_BYTES = 65536
"""Of which directories and inodes are read: chunks of 1 MiB read twice as much for no gain."""

_MOST_CHUNKS = 256


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

    def fill(self, view: memoryview, begin: int) -> Iterator[Unreadable]:
        """Fill `view` with the bytes from `begin` on; zeros for what cannot be had.

        Returns:
            What cannot be had, in order. It must be asked for: it is read meanwhile.
        """
        ...


class VolumeSource:
    """A thin volume's bytes."""

    def __init__(self, volume: Volume) -> None:
        """Read from `volume`, which stays the caller's."""
        self._volume = volume

    @property
    def name(self) -> str:
        """Of the volume, for messages."""
        return self._volume.name

    @property
    def size(self) -> int:
        """In bytes."""
        return self._volume.size

    def fill(self, view: memoryview, begin: int) -> Iterator[Unreadable]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        return fill(self._volume.layout, self._volume.sources, view, begin)


class _Chunk(NamedTuple):
    data: bytes
    missing: tuple[Unreadable, ...]


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


def _refuse(missing: tuple[Unreadable, ...], begin: int, end: int) -> None:
    for part in missing:
        if part.begin < end and begin < part.end:
            raise FileError(str(part))
