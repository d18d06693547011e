"""A part of a volume that is like a volume itself: a partition, or a logical volume."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from thinmeta.errors import NotThereError
from thinmeta.files.file_system import FileExtents
from thinmeta.files.reading import ByteSource, Missing
from thinmeta.lvm.partitions import Partition, partitions
from thinmeta.schemas.partition_table import PARTITION_TYPES


class Lenient:
    """A source that is read as it is, with zeros for what cannot be had.

    Attributes:
        size: in bytes.
        missing: what could not be had so far.
    """

    def __init__(self, source: ByteSource) -> None:
        """Begin with nothing read."""
        self.size = source.size
        self.missing: list[Missing] = []
        self._source = source

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end."""
        buffer = bytearray(max(0, min(length, self.size - offset)))
        if buffer:
            self.missing += self._source.fill(memoryview(buffer), offset)
        return bytes(buffer)


class PartOfSource:
    """Pieces of a source, one after the other, as a source.

    Attributes:
        name: for messages.
        size: in bytes.
    """

    def __init__(self, source: ByteSource, pieces: Sequence[tuple[int, int]], name: str) -> None:
        """Read pieces of `source`, all of which are there: first byte and length of each."""
        self.name = name
        self._source = source
        self._pieces = pieces
        self._ends = [*accumulate(length for _, length in pieces)]
        self.size = self._ends[-1] if self._ends else 0

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        for start, stop, place in self._between(begin, begin + len(view)):
            for part in self._source.fill(view[start - begin : stop - begin], place):
                yield part._replace(begin=part.begin + start - place)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        """Return what of `begin..end` is known to be lost; see `ByteSource.lost()`."""
        for start, stop, place in self._between(begin, end):
            for part in self._source.lost(place, place + stop - start):
                yield part._replace(begin=part.begin + start - place)

    def _between(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Return what stands where: first byte, end, and place in the source."""
        number = bisect_right(self._ends, begin)
        while begin < end and number < len(self._pieces):
            place, length = self._pieces[number]
            skip = begin - (self._ends[number] - length)
            stop = min(end, begin + length - skip)
            yield begin, stop, place + skip
            begin, number = stop, number + 1

    def places(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Return where bytes of it are in the volume: first byte and length, in order."""
        for start, stop, place in self._between(begin, end):
            if isinstance(self._source, PartOfSource):
                yield from self._source.places(place, place + stop - start)
            else:
                yield place, stop - start


def pieces_of(source: ByteSource) -> FileExtents:
    """Return where in its volume a source is that is the volume, or a part of it."""
    pieces = [(0, source.size)]
    if isinstance(source, PartOfSource):
        pieces = [*source.places(0, source.size)]
    place, length = np.array(pieces, dtype=np.uint64).reshape(-1, 2).T
    return FileExtents(np.cumsum(length) - length, length, place)


def open_partition(source: ByteSource, number: int) -> PartOfSource:
    """Return a partition of a volume.

    Raises:
        NotThereError: it has no partition of this number; the message lists those it has.
    """
    found = partitions(Lenient(source))
    partition = next((each for each in found if each.number == number), None)
    if partition is None:
        there = partitions_text(found) if found else "it has none at all"
        raise NotThereError(f"{source.name}: there is no partition {number}: {there}")
    size = min(partition.length, source.size - partition.offset)
    return PartOfSource(source, [(partition.offset, size)], f"{source.name}, partition {number}")


def partitions_text(found: list[Partition]) -> str:
    """Return a line that tells numbers, sizes and types.

    >>> print(partitions_text([Partition(1, 2048, 1 << 30, "83"), Partition(2, 0, 512, "99")]))
    1 (1024 MiB, Linux), 2 (512 bytes, type 99)
    """
    return ", ".join(f"{each.number} ({_size(each.length)}, {_type(each)})" for each in found)


def _size(length: int) -> str:
    return f"{length / (1 << 20):.0f} MiB" if length >= 1 << 20 else f"{length} bytes"


def _type(partition: Partition) -> str:
    return PARTITION_TYPES.get(partition.type, f"type {partition.type}")
