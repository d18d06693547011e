"""Reads of many metadata blocks at once, in which a bad block is a fact and not a crash."""

import os
from collections.abc import Iterator
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.holes import Holes
from thinmeta.schemas.checksum import Rows
from thinmeta.units import METADATA_BLOCK_BYTES

if TYPE_CHECKING:
    from thinmeta.device.extents import Extents

Blocks = npt.NDArray[np.uint64]

# How many buffers one preadv() may fill (Linux UIO_MAXIOV).
_MAX_BUFFERS = 1024


class Fault(IntEnum):
    """Why a block could not be had."""

    NONE = 0
    READ_ERROR = 1
    PAST_END = 2


_NONE, _PAST_END = int(Fault.NONE), int(Fault.PAST_END)  # which numpy compares faster


class BlockBatch(NamedTuple):
    """The blocks that one read returned.

    Attributes:
        rows: shape `(n, 4096)`, dtype uint8; zeros where there is a fault.
        faults: shape `(n,)`, dtype uint8, values of `Fault`.
    """

    rows: Rows
    faults: npt.NDArray[np.uint8]


class BlockDevice:
    """A metadata device or image, opened for reading only.

    Attributes:
        name: what the user called it, for messages.
        nr_blocks: whole 4 KiB blocks that it holds.
        notes: what was odd about opening it, one line each.
    """

    def __init__(self, fd: int, name: str, notes: tuple[str, ...] = ()) -> None:
        """Take over `fd`, which `close()` will close."""
        self.name = name
        self.notes = notes
        self.nr_blocks = os.lseek(fd, 0, os.SEEK_END) // METADATA_BLOCK_BYTES
        self._fd = fd

    @classmethod
    def over(cls, extents: "Extents") -> "BlockDevice":
        """Return a device that lies in pieces of files, which its `close()` will close."""
        return _BlocksInPieces(extents)

    def close(self) -> None:
        """Close the file; further reads fail."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self, blocks: Blocks) -> BlockBatch:
        """Read `blocks`, neighbours in one system call, wherever they stand in the list.

        Args:
            blocks: block numbers, shape `(n,)`, in any order, also repeated.

        Returns:
            One row and one fault a block, in the order asked for.
        """
        rows = page_aligned(len(blocks))
        faults = np.zeros(len(blocks), dtype=np.uint8)
        faults[blocks >= self.nr_blocks] = _PAST_END
        wanted = np.flatnonzero(faults == _NONE)
        order = wanted[np.argsort(blocks[wanted], kind="stable")]
        for places in _neighbours(blocks, order):
            self._read_neighbours(int(blocks[places[0]]), places, rows, faults)
        rows[faults != _NONE] = 0
        return BlockBatch(rows, faults)

    def are_stored(self, begin: int, end: int) -> bool:
        """Tell whether any of the blocks `begin..end`, half-open, may be other than zeros.

        A hole of a file is not.
        """
        size = METADATA_BLOCK_BYTES
        return bool(self._holes.stored(begin * size, end * size))

    @cached_property
    def _holes(self) -> Holes:
        return Holes(self._fd)

    def _read_neighbours(
        self, first: int, places: npt.NDArray[np.intp], rows: Rows, faults: npt.NDArray[np.uint8]
    ) -> None:
        start, end = int(places[0]), int(places[-1]) + 1
        in_place = end - start == len(places) and bool(np.all(places[1:] > places[:-1]))
        spans = [rows[start:end]] if in_place else [rows[place] for place in places.tolist()]
        buffers = [span.data for span in spans]
        wanted = len(places) * METADATA_BLOCK_BYTES
        try:
            if self._preadv(buffers, first * METADATA_BLOCK_BYTES) == wanted:
                return
        except OSError:
            if len(places) == 1:
                faults[start] = Fault.READ_ERROR
                return
        # A bad sector or a file that shrank: ask for each block alone and keep what comes.
        for number, place in enumerate(places.tolist(), first):
            faults[place] = self._read_one(number, rows[place])

    def _read_one(self, number: int, row: Rows) -> Fault:
        try:
            got = self._preadv([row.data], number * METADATA_BLOCK_BYTES)
        except OSError:
            return Fault.READ_ERROR
        return Fault.NONE if got == METADATA_BLOCK_BYTES else Fault.PAST_END

    def _preadv(self, buffers: list[memoryview], offset: int) -> int:
        return os.preadv(self._fd, buffers, offset)


class _BlocksInPieces(BlockDevice):
    def __init__(self, extents: "Extents") -> None:
        self.name = extents.name
        self.notes = extents.notes
        self.nr_blocks = extents.size // METADATA_BLOCK_BYTES
        self._extents = extents

    def close(self) -> None:
        self._extents.close()

    def are_stored(self, begin: int, end: int) -> bool:
        return begin < end  # they are opened where metadata is, and seldom have holes

    def _preadv(self, buffers: list[memoryview], offset: int) -> int:
        return self._extents.preadv(buffers, offset)


def page_aligned(nr_blocks: int) -> Rows:
    """Return uninitialised rows for `nr_blocks` blocks, at an address that O_DIRECT takes."""
    raw = np.empty((nr_blocks + 1) * METADATA_BLOCK_BYTES, dtype=np.uint8)
    skip = -raw.ctypes.data % METADATA_BLOCK_BYTES
    size = nr_blocks * METADATA_BLOCK_BYTES
    return raw[skip : skip + size].reshape(nr_blocks, METADATA_BLOCK_BYTES)


def _neighbours(blocks: Blocks, order: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """Cut `order`, places sorted by block, where the next block is not the neighbour."""
    if not len(order):
        return
    ascending = blocks[order]
    cuts = np.flatnonzero(np.diff(ascending) != 1) + 1
    for begin, end in pairwise([0, *cuts.tolist(), len(order)]):
        for part in range(begin, end, _MAX_BUFFERS):
            yield order[part : min(part + _MAX_BUFFERS, end)]
