"""How many leaves map each data block, in memory that follows the blocks that are mapped.

A byte a block, in chunks that only exist where something is mapped, and within them
only in the pages that were written to. What does not fit into a byte is carried into a
list: each entry there stands for 256.
"""

import numpy as np
import numpy.typing as npt

from thinmeta.walk.space_map import BLOCKS_AT_ONCE

Places = npt.NDArray[np.int64]


class DataCounts:
    """Counts by data block; `highest` is the highest block so far, -1 before any."""

    def __init__(self) -> None:
        """Begin with no block."""
        self.highest = -1
        self._chunks: dict[int, npt.NDArray[np.uint8]] = {}
        self._carried: dict[int, list[tuple[Places, Places]]] = {}

    def add(self, blocks: Places) -> None:
        """Count each of `blocks` once more; at least one, in any order, also repeated."""
        times = np.ones(1, dtype=np.int64)
        if not (blocks[1:] > blocks[:-1]).all():
            blocks, times = _counted(blocks)
        self.highest = max(self.highest, int(blocks[-1]))
        first = int(blocks[0]) // BLOCKS_AT_ONCE
        if first == int(blocks[-1]) // BLOCKS_AT_ONCE:
            self._add(first, blocks - first * BLOCKS_AT_ONCE, times)
            return
        numbers = blocks // BLOCKS_AT_ONCE
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = [*begins[1:].tolist(), len(blocks)]
        for begin, end in zip(begins.tolist(), ends, strict=True):
            number = int(numbers[begin])
            at = blocks[begin:end] - number * BLOCKS_AT_ONCE
            self._add(number, at, times if len(times) == 1 else times[begin:end])

    def chunk(self, number: int) -> npt.NDArray[np.uint32] | None:
        """Return the counts of `BLOCKS_AT_ONCE` blocks; None where none is mapped."""
        if number not in self._chunks:
            return None
        counts = self._chunks[number].astype(np.uint32)
        for at, carried in self._carried.get(number, ()):
            counts[at] += (carried << 8).astype(np.uint32)
        return counts

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


def _counted(blocks: Places) -> tuple[Places, Places]:
    """Return the blocks without repeats, ascending, and how often each is there."""
    blocks = np.sort(blocks)
    begins = np.flatnonzero(np.concatenate(([True], blocks[1:] != blocks[:-1])))
    return blocks[begins], np.diff(begins, append=len(blocks))
