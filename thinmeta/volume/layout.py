"""Where each byte of a thin volume is: pieces of the data device, or of an external origin.

All of it is in memory, 25 bytes a piece: 240 MiB for ten million runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from thinmeta.errors import InputError
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import distinct, piece_begins
from thinmeta.walk.runs import Runs

Bytes = npt.NDArray[np.uint64]

MAX_BYTES = 2**63 - 1
"""The highest offset that a file can have."""

_PIECES_AT_ONCE = 4096
_ZERO = np.uint64(0)


class Source(IntEnum):
    """Where a piece comes from."""

    DATA = 0
    """The data device."""

    ORIGIN = 1
    """The external origin."""

    PAST_END = 2
    """The data device, which is too short for it."""

    LOST = 3
    """Nobody knows: the metadata is damaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces(Columnar):
    """Pieces as columns, each of shape `(n,)`, in the order of the volume; none overlap.

    Attributes:
        begin: in the volume, in bytes, dtype uint64.
        length: in bytes, dtype uint64.
        place: in the source, in bytes, dtype uint64.
        source: a `Source`, dtype uint8.
    """

    begin: Bytes
    length: Bytes
    place: Bytes
    source: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, begin: Bytes, end: Bytes, place: Bytes, source: Source) -> "Pieces":
        """Return pieces of one source."""
        return cls(begin, end - begin, place, np.full(len(begin), source, dtype=np.uint8))

    @property
    def end(self) -> Bytes:
        """Where each ends in the volume."""
        return self.begin + self.length


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A volume's pieces; what is in none of them is zeros.

    Attributes:
        pieces: all of them.
        size: of the volume, in bytes.
        block_bytes: the pool's data block size.
        nr_left_out: mapped blocks that are past the volume's end.
    """

    pieces: Pieces
    size: int
    block_bytes: int
    nr_left_out: int = 0

    @classmethod
    def read(  # noqa: PLR0913  # what a volume is made of
        cls,
        chunks: Iterable[Runs],
        block_bytes: int,
        *,
        size: int | None = None,
        data_bytes: int = MAX_BYTES,
        origin_bytes: int = 0,
        lost: Sequence[tuple[int, int]] = (),
    ) -> "Layout":
        """Read all runs.

        Args:
            chunks: the volume's runs, ascending.
            block_bytes: the pool's data block size.
            size: of the volume, in bytes; None: up to the last mapped block.
            data_bytes: the size of the data device.
            origin_bytes: the size of the external origin; 0 if there is none.
            lost: ranges of blocks that damage hides, half-open; looked at when
                `chunks` has ended, so that reading it may add to them.

        Raises:
            InputError: the block size is 0, or the size is not given and the last mapped
                block is where no volume can have one.
        """
        if not block_bytes:
            raise InputError("the superblock says that data blocks have no bytes")
        begin, data, length = _columns(chunks)
        if size is None:
            size = (int(begin[-1]) + int(length[-1])) * block_bytes if len(begin) else 0
            if size > MAX_BYTES:
                raise InputError(
                    f"the last mapped block is block {begin[-1]}, which no volume can have; "
                    "say how large the volume is"
                )
        nr_blocks = -(-size // block_bytes)
        nr_mapped = int(length.sum())
        there = begin < nr_blocks
        begin, data, length = begin[there], data[there], length[there]
        length = np.minimum(length, np.uint64(nr_blocks) - begin)
        nr_left_out = nr_mapped - int(length.sum())
        mapped = _in_bytes(begin, data, length, block_bytes, data_bytes)
        pieces = _filled(_cut(mapped, 0, size), size, block_bytes, lost, origin_bytes)
        return cls(pieces, size, block_bytes, nr_left_out)

    def between(self, begin: int, end: int) -> Pieces:
        """Return the pieces that are there, cut off at `begin` and `end` (bytes of the volume)."""
        last = int(np.searchsorted(self.pieces.begin, np.uint64(end), side="left"))
        return _cut(self.pieces[self._place_of(begin) : last], begin, end)

    def holes(self) -> tuple[Bytes, Bytes]:
        """Return where what is zeros begins and ends, in bytes of the volume."""
        return _gaps(self.pieces, self.size)

    def windows(self, begin: int, end: int, most: int) -> Iterator[tuple[int, Pieces]]:
        """Cut a part of the volume into windows with at most `most` bytes to read.

        Returns:
            Where each window ends in the volume, and its pieces.
        """
        while begin < end:
            first = self._place_of(begin)
            pieces = _cut(self.pieces[first : first + _PIECES_AT_ONCE], begin, end)
            sizes = np.cumsum(np.where(pieces.source <= Source.ORIGIN, pieces.length, _ZERO))
            full = int(np.searchsorted(sizes, np.uint64(most), side="left"))
            if full < len(pieces):
                stop = int(pieces.end[full] - (sizes[full] - np.uint64(most)))
                pieces = _cut(pieces[: full + 1], begin, stop)
            elif first + _PIECES_AT_ONCE < len(self.pieces):
                stop = min(int(self.pieces.begin[first + _PIECES_AT_ONCE]), end)
            else:
                stop = end
            yield stop, pieces
            begin = stop

    def _place_of(self, begin: int) -> int:
        """Return the first piece that may not end before `begin`."""
        # A Python int would make numpy compare as floats.
        place = np.searchsorted(self.pieces.begin, np.uint64(begin), side="right")
        return max(int(place) - 1, 0)


def _columns(chunks: Iterable[Runs]) -> tuple[Bytes, Bytes, Bytes]:
    """Return where runs begin, in the volume and in the data, and their lengths, in blocks.

    Runs that differ only in the time are one.
    """
    none = np.empty(0, dtype=np.uint64)
    parts = [(none, none, none)]
    parts += [(runs.origin_begin, runs.data_begin, runs.length) for runs in chunks]
    begin, data, length = (np.concatenate(column) for column in zip(*parts, strict=True))
    breaks = (begin[1:] != begin[:-1] + length[:-1]) | (data[1:] != data[:-1] + length[:-1])
    firsts = np.flatnonzero(piece_begins(len(begin), breaks))
    lasts = np.append(firsts[1:], len(begin))[: len(firsts)] - 1
    return begin[firsts], data[firsts], begin[lasts] + length[lasts] - begin[firsts]


def _in_bytes(
    begin: Bytes, data: Bytes, length: Bytes, block_bytes: int, data_bytes: int
) -> Pieces:
    """Return runs as pieces; what is past the end of the data is a piece of its own."""
    unit = np.uint64(block_bytes)
    begin, length = begin * unit, length * unit
    # Blocks that no file can have are one that is past the end of all.
    place = np.minimum(data, np.uint64(MAX_BYTES // block_bytes)) * unit
    left = np.uint64(data_bytes) - np.minimum(place, np.uint64(data_bytes))
    there = np.minimum(length, left)
    inside, outside = there > 0, there < length
    pieces = Pieces.of(begin, begin + there, place, Source.DATA)[inside]
    if not outside.any():
        return pieces
    past = Pieces.of(begin + there, begin + length, place + there, Source.PAST_END)[outside]
    return _merged(pieces, past)


def _filled(
    pieces: Pieces,
    size: int,
    block_bytes: int,
    lost: Sequence[tuple[int, int]],
    origin_bytes: int,
) -> Pieces:
    """Add what is between `pieces`: what is lost, and what the origin has."""
    spans = list(_joined_spans(lost, block_bytes, size))
    if spans:
        begin, end = (np.array(column, dtype=np.uint64) for column in zip(*spans, strict=True))
        begin, end = _common((begin, end), _gaps(pieces, size))
        pieces = _merged(pieces, Pieces.of(begin, end, begin, Source.LOST))
    if origin_bytes:
        begin, end = _gaps(pieces, size)
        end = np.minimum(end, np.uint64(origin_bytes))
        there = begin < end
        begin, end = begin[there], end[there]
        pieces = _merged(pieces, Pieces.of(begin, end, begin, Source.ORIGIN))
    return pieces


def _joined_spans(
    lost: Sequence[tuple[int, int]], block_bytes: int, size: int
) -> Iterator[tuple[int, int]]:
    """Return ranges of blocks as ranges of bytes below `size`, ascending, none overlapping."""
    done = 0
    for first, last in sorted(lost):
        begin, end = max(first * block_bytes, done), min(last * block_bytes, size)
        if begin < end:
            yield begin, end
            done = end


def _gaps(pieces: Pieces, size: int) -> tuple[Bytes, Bytes]:
    zero, end = np.zeros(1, dtype=np.uint64), np.array([size], dtype=np.uint64)
    begins = np.concatenate([zero, pieces.end])
    ends = np.concatenate([pieces.begin, end])
    return begins[begins < ends], ends[begins < ends]


def _common(one: tuple[Bytes, Bytes], other: tuple[Bytes, Bytes]) -> tuple[Bytes, Bytes]:
    """Return the ranges that are in both."""
    points = distinct(np.concatenate([*one, *other]))
    low, high = points[:-1], points[1:]
    inside = _covered(one, low) & _covered(other, low)
    return low[inside], high[inside]


def _covered(ranges: tuple[Bytes, Bytes], at: Bytes) -> npt.NDArray[np.bool_]:
    begins, ends = ranges
    place = np.searchsorted(begins, at, side="right") - 1
    covered: npt.NDArray[np.bool_] = (place >= 0) & (at < np.append(ends, _ZERO)[place])
    return covered


def _merged(one: Pieces, other: Pieces) -> Pieces:
    both = Pieces.joined([one, other])
    return both[np.argsort(both.begin, kind="stable")]


def _cut(pieces: Pieces, begin: int, end: int) -> Pieces:
    """Return the parts of `pieces` that are in a range of the volume."""
    low = np.maximum(pieces.begin, np.uint64(begin))
    high = np.minimum(pieces.end, np.uint64(end))
    there = low < high
    low, high, pieces = low[there], high[there], pieces[there]
    place: Bytes = pieces.place + low - pieces.begin
    return Pieces(low, high - low, place, pieces.source)
