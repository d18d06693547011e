"""A volume as it is with its journal replayed, and nothing written.

What the journal holds stays where it is: an overlay knows where in the journal the bytes of a
part of the volume stand, in 24 bytes a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from thinmeta.files.reading import ByteSource, Missing
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import piece_begins

Bytes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Patches(Columnar):
    """Parts of a volume that stand elsewhere, as columns of shape `(n,)`, dtype uint64.

    Attributes:
        begin: in the volume, in bytes; ascending, and no part reaches into the next.
        length: in bytes.
        place: where they are instead, in bytes.
    """

    begin: Bytes
    length: Bytes
    place: Bytes

    def joined_up(self) -> "Patches":
        """Return the same with neighbours as one part."""
        if not len(self):
            return self
        apart = (self.begin[1:] != self.begin[:-1] + self.length[:-1]) | (
            self.place[1:] != self.place[:-1] + self.length[:-1]
        )
        first = np.flatnonzero(piece_begins(len(self), apart))
        return Patches(self.begin[first], np.add.reduceat(self.length, first), self.place[first])


class FixUp(Protocol):
    """Few bytes that stand nowhere, within patches and above them."""

    def put(self, view: memoryview, begin: int) -> None:
        """Put those that are within `view`, which is filled from `begin` on, there."""
        ...


class Magics:
    """The same few bytes at many places."""

    def __init__(self, begins: Bytes, magic: bytes) -> None:
        """Take the places, in bytes, ascending; see `FixUp`."""
        self._begins = begins
        self._magic = magic

    def put(self, view: memoryview, begin: int) -> None:
        """Put those that are within `view` there; see `FixUp.put()`."""
        width = len(self._magic)
        end = begin + len(view)
        first = np.searchsorted(self._begins, np.uint64(max(0, begin - width + 1)), "left")
        last = np.searchsorted(self._begins, np.uint64(end), "left")
        for at in self._begins[first:last].tolist():
            low, high = max(begin, at), min(end, at + width)
            view[low - begin : high - begin] = self._magic[low - at : high - at]


class Overlay:
    """A source above another, parts of which stand elsewhere.

    Attributes:
        name: of the volume.
        size: in bytes.
    """

    def __init__(
        self, source: ByteSource, log: ByteSource, patches: Patches, fix_ups: Sequence[FixUp] = ()
    ) -> None:
        """Lay `patches` over `source`.

        Args:
            source: the volume as it is.
            log: what the patches' places are in.
            patches: which parts stand there.
            fix_ups: what is put over them, in order.
        """
        self.name = source.name
        self.size = source.size
        self._source = source
        self._log = log
        self._patches = patches
        self._ends = patches.begin + patches.length
        self._fix_ups = fix_ups

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        found = self._between(begin, begin + len(view))
        for source, start, stop, place in self._pieces(found, begin, begin + len(view)):
            for part in source.fill(view[start - begin : stop - begin], place):
                yield part.moved(place, place + stop - start, start - place)
        if len(found):
            for fix_up in self._fix_ups:
                fix_up.put(view, begin)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        """Return what of `begin..end` is known to be lost; see `ByteSource.lost()`."""
        for source, start, stop, place in self._pieces(self._between(begin, end), begin, end):
            for part in source.lost(place, place + stop - start):
                yield part.moved(place, place + stop - start, start - place)

    def _between(self, begin: int, end: int) -> Patches:
        first = int(np.searchsorted(self._ends, np.uint64(begin), "right"))
        last = int(np.searchsorted(self._patches.begin, np.uint64(end), "left"))
        return self._patches[first : max(first, last)]

    def _pieces(
        self, found: Patches, begin: int, end: int
    ) -> Iterator[tuple[ByteSource, int, int, int]]:
        """Return in order what stands where: source, first byte, end, and place in the source."""
        done = begin
        columns = (found.begin, found.length, found.place)
        for at, length, place in zip(*(column.tolist() for column in columns), strict=True):
            start, stop = max(begin, at), min(end, at + length)
            if done < start:
                yield self._source, done, start, done
            yield self._log, start, stop, place + start - at
            done = stop
        if done < end:
            yield self._source, done, end, done


class Replay(NamedTuple):
    """A volume as it is with its journal replayed.

    Attributes:
        source: what to read instead of the volume.
        nr_transactions: that were replayed; 0 if the journal was clean.
        fault: what of the journal could not be believed, and where replay stopped for it; None
            if it was sound. A last transaction that is not complete is no fault.
    """

    source: ByteSource
    nr_transactions: int
    fault: str | None
