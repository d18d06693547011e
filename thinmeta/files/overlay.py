"""A volume as it is with its journal replayed, and nothing written.

What the journal holds stays where it is: an overlay knows where in the journal the bytes of a
part of the volume stand, in 24 bytes a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError
from thinmeta.files.reading import CHUNK_BYTES, ByteSource, Cache, Missing
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges
from thinmeta.volume.layout import Bytes
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import distinct, piece_begins, places_among, ragged

_PIECES_AT_ONCE = 1 << 20
_SMALL_BYTES = CHUNK_BYTES // 2


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


_IntegerT = TypeVar("_IntegerT", bound=np.integer[Any])


def topmost(
    begin: npt.NDArray[_IntegerT], length: npt.NDArray[_IntegerT]
) -> tuple[npt.NDArray[_IntegerT], npt.NDArray[_IntegerT], npt.NDArray[np.int64]]:
    """Return what is seen of parts that were put one above the other.

    Args:
        begin: where each is, shape `(n,)`; later ones are above earlier ones.
        length: of each, shape `(n,)`.

    Returns:
        Begins, lengths and rows of `begin` of the pieces that are seen, ascending, shape `(m,)`.

    >>> [found.tolist() for found in topmost(np.array([0, 4, 2]), np.array([8, 4, 1]))]
    [[0, 2, 3, 4], [2, 1, 1, 4], [0, 2, 0, 1]]
    """
    bounds = distinct(np.concatenate([begin, begin + length]))
    first = np.searchsorted(bounds, begin)
    counts = np.searchsorted(bounds, begin + length) - first
    owner = np.full(len(bounds), -1, dtype=np.int64)
    groups = np.flatnonzero(np.diff(np.cumsum(counts) // _PIECES_AT_ONCE, prepend=-1))
    for low, high in pairwise([*groups.tolist(), len(begin)]):
        rows = np.repeat(np.arange(low, high), counts[low:high])
        owner[ragged(first[low:high], counts[low:high])] = rows
    seen = np.flatnonzero(owner >= 0)
    return bounds[seen], bounds[seen + 1] - bounds[seen], owner[seen]


def is_void(
    keys: npt.NDArray[np.generic],
    transactions: npt.NDArray[np.integer[Any]],
    void_keys: npt.NDArray[np.generic],
    void_transactions: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.bool_]:
    """Tell which changes a journal takes back, in their own transaction or a later one.

    Args:
        keys: what each change is of, shape `(n,)`.
        transactions: the place of each one's transaction among all.
        void_keys: of what changes are taken back, shape `(m,)`.
        void_transactions: by which transaction, ascending.
    """
    order = np.argsort(void_keys, kind="stable")
    ordered = void_keys[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], np.ones(min(1, len(order)), bool)))
    place, void = places_among(ordered[last], keys)
    void[void] = transactions[void] <= void_transactions[order[last]][place[void]]
    return void


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
        self._cache = Cache(log)
        self._patches = patches
        self._ends = patches.begin + patches.length
        self._fix_ups = fix_ups

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        found = self._between(begin, begin + len(view))
        if not len(found):
            yield from self._source.fill(view, begin)
            return
        missing = []
        for source, start, stop, place in self._pieces(found, begin, begin + len(view)):
            part = view[start - begin : stop - begin]
            if source is self._log and len(part) < _SMALL_BYTES and self._is_cached(part, place):
                continue
            missing += [
                each.moved(place, place + stop - start, start - place)
                for each in source.fill(part, place)
            ]
        for fix_up in self._fix_ups:
            fix_up.put(view, begin)
        yield from missing

    def changed(self) -> ByteRanges:
        """Return where the patches are."""
        return ByteRanges.of(self._patches.begin, self._ends)

    def _is_cached(self, part: memoryview, place: int) -> bool:
        """Fill `part` from a cache of the log, which is read in no order; tell whether it could."""
        try:
            part[:] = self._cache.read(place, len(part))
        except FileError:
            return False
        return True

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
        changed: where `source` is not as the volume is.
    """

    source: ByteSource
    nr_transactions: int
    fault: str | None
    changed: ByteRanges = NO_RANGES
