"""What became of each block from one tree to another, and neighbours of one kind joined."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import block_time
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.difference import TwoTreeWindow
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import piece_begins


class Change(IntEnum):
    """What became of a block from LEFT to RIGHT.

    >>> import thinmeta
    >>> [change.name for change in thinmeta.Change]
    ['SAME', 'CHANGED', 'ADDED', 'REMOVED', 'UNKNOWN']
    """

    SAME = 0
    """Mapped in both, to the same data block."""
    CHANGED = 1
    """Mapped in both, to different data blocks."""
    ADDED = 2
    """Not mapped in LEFT."""
    REMOVED = 3
    """Not mapped in RIGHT."""
    UNKNOWN = 4
    """Mapped in one of them, and what the other mapped there is lost."""


@dataclass(frozen=True, slots=True, eq=False)
class ChangeRanges(Columnar):
    """Neighbouring blocks of one kind of change, as columns of shape `(n,)`, in order.

    Attributes:
        change: values of `Change`, dtype uint8.
        begin: first block in the devices, dtype uint64.
        length: in blocks, dtype uint64.
        left: the first data block in LEFT, dtype uint64; 0 where it maps none.
        right: likewise in RIGHT.
    """

    change: npt.NDArray[np.uint8]
    begin: Keys
    length: Keys
    left: Keys
    right: Keys


@dataclass(frozen=True, slots=True, eq=False)
class ComparedBlocks:
    """Single blocks of a window, as columns of shape `(n,)`, in order.

    Attributes:
        change: values of `Change`, dtype uint8.
        keys: the blocks, dtype uint64.
        left: data blocks in LEFT, dtype uint64; 0 where it maps none.
        right: likewise in RIGHT.
        is_left: which LEFT maps; None if all.
        is_right: which RIGHT maps; None if all.
    """

    change: npt.NDArray[np.uint8]
    keys: Keys
    left: Keys
    right: Keys
    is_left: npt.NDArray[np.bool_] | None = None
    is_right: npt.NDArray[np.bool_] | None = None

    def __getitem__(self, part: npt.NDArray[np.bool_]) -> "ComparedBlocks":
        """Return some of the blocks."""
        return ComparedBlocks(self.change[part], self.keys[part], self.left[part], self.right[part])


def compared(window: TwoTreeWindow) -> ComparedBlocks:
    """Return all blocks that either tree maps in the window, and what became of them."""
    blocks = _compared(window)
    for first, last in window.lost:
        begin = np.searchsorted(blocks.keys, np.uint64(first))
        end = np.searchsorted(blocks.keys, np.uint64(last), side="right")
        blocks.change[begin:end] = Change.UNKNOWN
    return blocks


def _compared(window: TwoTreeWindow) -> ComparedBlocks:
    left, right = window.left_keys, window.right_keys
    if len(left) == len(right) and bool((left == right).all()):
        # The same blocks on both sides, as in most windows of related devices.
        left_data = block_time.data_block(window.left_values)
        right_data = block_time.data_block(window.right_values)
        change = (left_data != right_data).view(np.uint8)
        return ComparedBlocks(change, left, left_data, right_data)
    at = np.searchsorted(right, left)
    in_both = np.zeros(len(left), dtype=np.bool_)
    inside = at < len(right)
    in_both[inside] = right[at[inside]] == left[inside]
    alone = np.flatnonzero(~in_both)
    # Where each block stands among those of both: behind all lower ones of either side.
    right_places = np.arange(len(right)) + np.searchsorted(left[alone], right)
    left_places = np.empty(len(left), dtype=np.int64)
    left_places[alone] = np.arange(len(alone)) + at[alone]
    left_places[in_both] = right_places[at[in_both]]
    total = len(right) + len(alone)
    keys, left_data, right_data = (np.zeros(total, dtype=np.uint64) for _ in range(3))
    is_left, is_right = (np.zeros(total, dtype=np.bool_) for _ in range(2))
    keys[left_places], keys[right_places] = left, right
    left_data[left_places] = block_time.data_block(window.left_values)
    right_data[right_places] = block_time.data_block(window.right_values)
    is_left[left_places], is_right[right_places] = True, True
    change = (left_data != right_data).astype(np.uint8)
    change[~is_left], change[~is_right] = Change.ADDED, Change.REMOVED
    return ComparedBlocks(change, keys, left_data, right_data, is_left, is_right)


class RangeJoiner:
    """Joins blocks into ranges; holds back the last range, which may go on."""

    def __init__(self, *, by_data: bool) -> None:
        """Hold nothing back yet; `by_data` ends a range where its data blocks do not go on."""
        self._by_data = by_data
        self._held: ChangeRanges | None = None

    def feed(self, blocks: ComparedBlocks) -> Iterator[ChangeRanges]:
        """Take the next blocks and return the ranges that are complete."""
        if not len(blocks.keys):
            return
        breaks = (blocks.keys[1:] - blocks.keys[:-1] != 1) | (
            blocks.change[1:] != blocks.change[:-1]
        )
        if self._by_data:
            for data, without in ((blocks.left, Change.ADDED), (blocks.right, Change.REMOVED)):
                counts = (blocks.change[1:] != without) & (blocks.change[1:] != Change.UNKNOWN)
                breaks |= (data[1:] - data[:-1] != 1) & counts
        places = np.flatnonzero(piece_begins(len(blocks.keys), breaks))
        ranges = ChangeRanges(
            blocks.change[places],
            blocks.keys[places],
            np.diff(places, append=len(blocks.keys)).astype(np.uint64),
            blocks.left[places],
            blocks.right[places],
        )
        held = self._held
        if held is not None and self._goes_on(held, ranges):
            for column in ("begin", "left", "right"):
                getattr(ranges, column)[0] = getattr(held, column)[0]
            ranges.length[0] += held.length[0]
        elif held is not None:
            yield held
        self._held = ranges[-1:]
        if len(ranges) > 1:
            yield ranges[:-1]

    def close(self) -> Iterator[ChangeRanges]:
        """Return the range that was held back."""
        if self._held is not None:
            yield self._held

    def _goes_on(self, held: ChangeRanges, ranges: ChangeRanges) -> bool:
        change, length = int(held.change[0]), held.length[0]
        if change != ranges.change[0] or held.begin[0] + length != ranges.begin[0]:
            return False
        return not self._by_data or all(
            before[0] + length == after[0]
            for before, after, without in (
                (held.left, ranges.left, Change.ADDED),
                (held.right, ranges.right, Change.REMOVED),
            )
            if change not in (without, Change.UNKNOWN)
        )
