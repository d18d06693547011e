"""How often blocks are referred to, in memory that follows the blocks that are.

Where many are together: a window of one byte a block, which becomes wider once a count does
not fit, and of which only the pages exist that were written to. Where few are far apart, as
each would take a page: a list of them. What nothing refers to takes nothing.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.walk.nodes import Mask
from thinmeta.walk.ragged import Places, marked_once, tallied
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

BlockWindow = npt.NDArray[np.unsignedinteger]
"""Counts of `BLOCKS_AT_ONCE` blocks."""

_HIGHEST = 2**64 - 1

_FAR_APART = 16
"""So many blocks to each that is referred to take no more memory than a place in a list, or little.
"""

_MANY = 256
"""So many references are worth pages of their own."""

_GATHERED = 1 << 18
"""References that are put in order together."""

_FEW_AT_MOST = BLOCKS_AT_ONCE // 8
"""Places in the list of a window; more take more memory than a byte a block."""


class BlockCounts:
    """Reference counts of blocks.

    >>> counts = BlockCounts(10)
    >>> counts.add(np.array([7, 2, 7, 99], dtype=np.uint64))
    >>> counts.window(0)[:8].tolist()
    [0, 0, 1, 0, 0, 0, 0, 2]
    """

    def __init__(self, nr_blocks: int = _HIGHEST) -> None:
        """Count references to the blocks `0..nr_blocks`, half-open; others are passed over."""
        self.nr_blocks = nr_blocks
        self._windows: dict[int, BlockWindow] = {}
        # Of windows that are none yet: where in them the blocks are, once for each reference.
        self._few: dict[int, list[npt.NDArray[np.uint32]]] = defaultdict(list)
        self._gathered: list[Blocks] = []
        self._nr_gathered = 0

    def add(self, blocks: Blocks) -> None:
        """Count one reference to each of `blocks`, which may stand in any order and repeat."""
        if not len(blocks):
            return
        low, high = int(blocks.min()), int(blocks.max())
        is_sparse = len(blocks) < _MANY or high - low > _FAR_APART * len(blocks)
        numbers = {low // BLOCKS_AT_ONCE, high // BLOCKS_AT_ONCE}
        if is_sparse and not numbers <= self._windows.keys():
            # A view would keep all that it is a view of.
            self._gathered.append(blocks if blocks.base is None else blocks.copy())
            self._nr_gathered += len(blocks)
            if self._nr_gathered >= _GATHERED:
                self._put_in_order()
            return
        if not is_sparse and high < self.nr_blocks and high - low < BLOCKS_AT_ONCE:
            marks = marked_once(blocks, low, high)
            if marks is not None:
                for number in numbers:
                    first = number * BLOCKS_AT_ONCE
                    begin, end = max(low, first), min(high + 1, first + BLOCKS_AT_ONCE)
                    self._add_marked(number, begin - first, marks[begin - low : end - low])
                return
        times = None
        if not (blocks[1:] > blocks[:-1]).all():
            blocks, times = tallied(blocks)
        for number, part in self._by_window(blocks):
            at = (blocks[part] - np.uint64(number * BLOCKS_AT_ONCE)).view(np.int64)
            self._add_to(number, at, None if times is None else times[part])

    def window(self, number: int) -> BlockWindow | None:
        """Return the counts of the blocks from `number * BLOCKS_AT_ONCE` on; None if all are 0.

        It may be made anew each time that it is asked for.
        """
        self._put_in_order()
        if number not in self._few:
            return self._windows.get(number)
        at, times = self._few_of(number)
        window = np.zeros(BLOCKS_AT_ONCE, dtype=np.min_scalar_type(int(times.max())))
        window[at] = times
        return window

    def repeated(self) -> Iterator[tuple[int, BlockWindow]]:
        """Return number and counts of each window that has a count above 1, ascending."""
        self._put_in_order()
        for number in sorted((*self._windows, *self._few)):
            times = self._few_of(number)[1] if number in self._few else self._windows[number]
            if times.max() > 1 and (window := self.window(number)) is not None:
                yield number, window

    def highest(self) -> int:
        """Return the highest block that anything refers to; -1 if nothing does."""
        self._put_in_order()
        number = max((*self._windows, *self._few), default=-1)
        if number < 0:
            return -1
        few = number in self._few  # of which no window is needed
        at = self._few_of(number)[0] if few else np.flatnonzero(self._windows[number])
        return number * BLOCKS_AT_ONCE + int(at[-1])

    def _put_in_order(self) -> None:
        """Give what was gathered to its windows."""
        if not self._gathered:
            return
        blocks = np.sort(np.concatenate(self._gathered))
        self._gathered, self._nr_gathered = [], 0
        for number, part in self._by_window(blocks):
            at = (blocks[part] - np.uint64(number * BLOCKS_AT_ONCE)).astype(np.uint32)
            if number in self._windows:
                self._add_to(number, *tallied(at))
                continue
            few = self._few[number]
            few.append(at)
            if sum(map(len, few)) > _FEW_AT_MOST:
                self._new_window(number)

    def _few_of(self, number: int) -> tuple[npt.NDArray[np.uint32], Places]:
        return tallied(np.concatenate(self._few[number]))

    def _by_window(self, blocks: Blocks) -> Iterator[tuple[int, slice]]:
        """Return which of `blocks`, which ascend, are in which window."""
        end = int(np.searchsorted(blocks, np.uint64(min(self.nr_blocks, _HIGHEST))))
        begin = 0
        while begin < end:
            number = int(blocks[begin]) // BLOCKS_AT_ONCE
            after = min((number + 1) * BLOCKS_AT_ONCE, _HIGHEST)
            stop = int(np.searchsorted(blocks[:end], np.uint64(after)))
            yield number, slice(begin, stop)
            begin = stop

    def _new_window(self, number: int) -> BlockWindow:
        """Begin a window, with what its list has."""
        self._windows[number] = np.zeros(BLOCKS_AT_ONCE, dtype=np.uint8)
        if number in self._few:
            few = self._few_of(number)
            del self._few[number]
            self._add_to(number, *few)
        return self._windows[number]

    def _add_marked(self, number: int, first: int, marks: Mask) -> None:
        """Add a reference to each place in a window, from `first` on, that is marked."""
        window = self._windows[number] if number in self._windows else self._new_window(number)
        old = window[first : first + len(marks)]
        if old.max() < np.iinfo(window.dtype).max:
            old += marks.view(np.uint8)
        else:
            self._add_to(number, np.flatnonzero(marks) + first, None)

    def _add_to(
        self, number: int, at: Places | npt.NDArray[np.uint32], times: Places | None
    ) -> None:
        """Add `times` references to places in a window, none of which repeats; None is 1 each."""
        window = self._windows[number] if number in self._windows else self._new_window(number)
        old = window[at]
        if times is None and old.max() < np.iinfo(window.dtype).max:
            window[at] = old + old.dtype.type(1)
            return
        new = old.astype(np.int64) + (1 if times is None else times)
        wide = np.min_scalar_type(int(new.max()))
        if wide.itemsize > window.dtype.itemsize:
            window = self._windows[number] = window.astype(wide)
        window[at] = new
