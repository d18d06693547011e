"""How often blocks are referred to: counted by window, in as few bytes as the counts need."""

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.walk.ragged import tallied
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

Window = npt.NDArray[np.unsignedinteger]


class BlockCounts:
    """Reference counts of blocks.

    A window of blocks begins as one byte a block, and becomes wider once a count in it
    does not fit. Windows to which nothing refers take no memory.
    """

    def __init__(self, nr_blocks: int) -> None:
        """Count references to the blocks `0..nr_blocks`, half-open; others are passed over."""
        self.nr_blocks = nr_blocks
        self._windows: dict[int, Window] = {}

    def add(self, blocks: Blocks) -> None:
        """Count one reference to each of `blocks`, which may stand in any order and repeat."""
        times = None
        if not (blocks[1:] > blocks[:-1]).all():
            blocks, times = tallied(blocks)
        end = int(np.searchsorted(blocks, np.uint64(min(self.nr_blocks, 2**64 - 1))))
        begin = 0
        while begin < end:
            number = int(blocks[begin]) // BLOCKS_AT_ONCE
            first = number * BLOCKS_AT_ONCE
            stop = int(np.searchsorted(blocks[:end], np.uint64(first + BLOCKS_AT_ONCE)))
            places = (blocks[begin:stop] - np.uint64(first)).view(np.int64)
            self._add_to(number, places, None if times is None else times[begin:stop])
            begin = stop

    def window(self, number: int) -> Window | None:
        """Return the counts of `BLOCKS_AT_ONCE` blocks; None if all are 0."""
        return self._windows.get(number)

    def repeated(self) -> list[int]:
        """Return the windows in which a block is referred to more than once, ascending."""
        return sorted(number for number, window in self._windows.items() if window.max() > 1)

    def _add_to(
        self, number: int, places: npt.NDArray[np.int64], times: npt.NDArray[np.int64] | None
    ) -> None:
        window = self._windows.get(number)
        if window is None:
            window = self._windows[number] = np.zeros(BLOCKS_AT_ONCE, dtype=np.uint8)
        old = window[places]
        if times is None and old.max() < np.iinfo(window.dtype).max:
            window[places] = old + old.dtype.type(1)
            return
        new = old.astype(np.int64) + (1 if times is None else times)
        wide = np.min_scalar_type(int(new.max()))
        if wide.itemsize > window.dtype.itemsize:
            window = self._windows[number] = window.astype(wide)
        window[places] = new
