"""A part of a volume that is like a volume itself: a partition of it."""

from collections.abc import Iterator

from thinmeta.errors import NotThereError
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
    """A part of a source, as a source.

    Attributes:
        name: for messages.
        size: in bytes.
    """

    def __init__(self, source: ByteSource, begin: int, size: int, name: str) -> None:
        """Read `size` bytes of `source` from `begin` on, which are there."""
        self.name = name
        self.size = size
        self._source = source
        self._begin = begin

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        for part in self._source.fill(view, begin + self._begin):
            yield part._replace(begin=part.begin - self._begin)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        """Return what of `begin..end` is known to be lost; see `ByteSource.lost()`."""
        for part in self._source.lost(begin + self._begin, end + self._begin):
            yield part._replace(begin=part.begin - self._begin)


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
    return PartOfSource(source, partition.offset, size, f"{source.name}, partition {number}")


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
