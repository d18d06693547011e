"""How many leaves map each data block, in memory that follows the mappings.

Where many are together: a byte a block, in chunks that only exist where something is
mapped, and within them only in the pages that were written to. What does not fit into a
byte is carried into a list: each entry there stands for 256. Where few are far apart, as
each would take a page: a list of them.
"""

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from thinmeta.walk.ragged import is_new, tallied
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

Places = npt.NDArray[np.int64]

_FAR_APART = 16
"""So many blocks to each that is mapped take no more memory than a place in a list, or little."""

_MANY = 256
"""So many mappings are worth pages of their own."""

_GATHERED = 1 << 18
"""Mappings that are put in order together."""

_FEW_AT_MOST = BLOCKS_AT_ONCE // 8
"""Places in the list of a chunk; more take more memory than a byte a block."""


class DataCounts:
    """Counts by data block; `highest` is the highest block so far, -1 before any."""

    def __init__(self) -> None:
        """Begin with no block."""
        self.highest = -1
        self._chunks: dict[int, npt.NDArray[np.uint8]] = {}
        self._carried: dict[int, list[tuple[Places, Places]]] = {}
        self._few: dict[int, list[npt.NDArray[np.uint32]]] = defaultdict(list)
        self._gathered: list[Places] = []
        self._nr_gathered = 0

    def add(self, blocks: Places) -> None:
        """Count each of `blocks` once more; at least one, in any order, also repeated."""
        in_order = bool((blocks[1:] > blocks[:-1]).all())
        low, high = (blocks[0], blocks[-1]) if in_order else (blocks.min(), blocks.max())
        self.highest = max(self.highest, int(high))
        if len(blocks) < _MANY or high - low > _FAR_APART * len(blocks):
            self._gathered.append(blocks)
            self._nr_gathered += len(blocks)
            if self._nr_gathered >= _GATHERED:
                self._put_in_order()
            return
        times = np.ones(1, dtype=np.int64)
        if not in_order:
            blocks, times = tallied(blocks)
        for number, part in _by_chunk(blocks):
            at = blocks[part] - number * BLOCKS_AT_ONCE
            self._add(number, at, times if len(times) == 1 else times[part])

    def chunk(self, number: int) -> npt.NDArray[np.uint32] | None:
        """Return the counts of `BLOCKS_AT_ONCE` blocks; None where none is mapped."""
        self._put_in_order()
        if number not in self._chunks and number not in self._few:
            return None
        if number in self._chunks:
            counts = self._chunks[number].astype(np.uint32)
        else:
            counts = np.zeros(BLOCKS_AT_ONCE, dtype=np.uint32)
        for at, carried in self._carried.get(number, ()):
            counts[at] += (carried << 8).astype(np.uint32)
        if number in self._few:
            at, times = tallied(np.concatenate(self._few[number]).astype(np.int64))
            counts[at] += times.astype(np.uint32)
        return counts

    def _put_in_order(self) -> None:
        """Give what was gathered to its chunks."""
        if not self._gathered:
            return
        blocks = np.sort(np.concatenate(self._gathered))
        self._gathered, self._nr_gathered = [], 0
        for number, part in _by_chunk(blocks):
            few = self._few[number]
            few.append((blocks[part] - number * BLOCKS_AT_ONCE).astype(np.uint32))
            if sum(map(len, few)) > _FEW_AT_MOST:
                self._add(number, *tallied(np.concatenate(few).astype(np.int64)))
                del self._few[number]

    def _add(self, number: int, at: Places, times: Places) -> None:
        if number not in self._chunks:
            self._chunks[number] = np.zeros(BLOCKS_AT_ONCE, dtype=np.uint8)
        counts = self._chunks[number]
        sums = counts[at] + times
        counts[at] = sums.astype(np.uint8)
        carried = sums >> 8
        if carried.any():
            large = carried > 0
            self._carried.setdefault(number, []).append((at[large], carried[large]))


def _by_chunk(blocks: Places) -> list[tuple[int, slice]]:
    """Return which of `blocks`, which ascend, are in which chunk."""
    first, last = int(blocks[0]) // BLOCKS_AT_ONCE, int(blocks[-1]) // BLOCKS_AT_ONCE
    if first == last:
        return [(first, slice(None))]
    numbers = blocks // BLOCKS_AT_ONCE
    begins = np.flatnonzero(is_new(numbers))
    bounds = [*begins.tolist(), len(blocks)]
    parts = map(slice, bounds[:-1], bounds[1:])
    return list(zip(numbers[begins].tolist(), parts, strict=True))
