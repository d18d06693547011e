"""Which data blocks are mapped more than once: two bits a block, a window of blocks at a time."""

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import block_time
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places, is_new, marked_once

WINDOW_SHIFT = 28
"""A window has 2^28 blocks: 64 MiB of bits if all of it is used, 16 TiB of blocks of 64 KiB."""

NR_WINDOWS = block_time.NR_DATA_BLOCKS >> WINDOW_SHIFT

_WINDOW_BLOCKS = 1 << WINDOW_SHIFT
_WORD_SHIFT = np.uint32(6)
_BIT_MASK = np.uint32(63)
_WORD_BITS = 64
_WORD = np.dtype(np.uint64).newbyteorder("<")  # as `packbits` fills it

_EVERY_SECOND = np.uint64(0x5555555555555555)
_TWO_OF_FOUR = np.uint64(0x3333333333333333)
_FOUR_OF_EIGHT = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONE_OF_EIGHT = np.uint64(0x0101010101010101)

_FAR_APART = 16
"""Blocks to each that is seen, on average, from which on looking at all of them takes longer.
"""


def windows_of(values: Keys) -> npt.NDArray[np.intp]:
    """Return the window that each of the block-times `values` belongs to."""
    return (values >> np.uint64(block_time.SHIFT + WINDOW_SHIFT)).astype(np.intp)


class SeenBlocks:
    """The data blocks of one window; what no block touches takes no memory.

    Attributes:
        touched: which windows the blocks were of that `add` was given.

    >>> seen = SeenBlocks()
    >>> seen.add(np.array([7, 900, 7, 8], np.uint64) << np.uint64(24))
    >>> seen.add(np.array([900], np.uint64) << np.uint64(24))
    >>> seen.more_than_once(np.array([7, 8, 900], np.uint64) << np.uint64(24)).tolist()
    [True, False, True]
    """

    def __init__(self, window: int = 0) -> None:
        """Begin with nothing seen."""
        self._window = window
        self._once = np.zeros(_WINDOW_BLOCKS >> 6, dtype=np.uint64)
        self._more = np.zeros(_WINDOW_BLOCKS >> 6, dtype=np.uint64)
        self._any_more = False
        self.touched = np.zeros(NR_WINDOWS, dtype=np.bool_)

    def add(self, values: Keys) -> None:
        """See the data blocks of block-times, in any order, also repeated."""
        if not len(values):
            return
        low, high = (block_time.data_block(int(each)) for each in (values.min(), values.max()))
        windows = {low >> WINDOW_SHIFT, high >> WINDOW_SHIFT}
        self.touched[list(windows) if len(windows) == 1 else windows_of(values)] = True
        if windows == {self._window} and high - low < _FAR_APART * len(values):
            low, end = low - low % _WORD_BITS, high - high % _WORD_BITS + _WORD_BITS
            marks = marked_once(block_time.data_block(values), low, end - 1)
            if marks is not None:
                begin = low % _WINDOW_BLOCKS // _WORD_BITS
                words: Keys = np.packbits(marks, bitorder="little").view(_WORD)
                self._see(slice(begin, begin + len(words)), words)
                return
        blocks = self._offsets(values, windows_of(values) == self._window)
        if not len(blocks):
            return
        if not (blocks[1:] > blocks[:-1]).all():
            blocks = np.sort(blocks)
        at, bits = blocks >> _WORD_SHIFT, _bits(blocks)
        starts = np.flatnonzero(is_new(at))
        places = at[starts]
        self._see(places, np.bitwise_or.reduceat(bits, starts))
        repeated = blocks[1:] == blocks[:-1]
        if repeated.any():
            bits[1:] *= repeated
            bits[0] = 0
            self._more[places] |= np.bitwise_or.reduceat(bits, starts)
            self._any_more = True

    def _see(self, places: slice | npt.NDArray[np.uint32], found: Keys) -> None:
        """See the blocks whose bits are set in the words at some places, each once."""
        before = self._once[places]
        again = found & before
        self._once[places] = before | found
        if again.any():
            self._more[places] |= again
            self._any_more = True

    def any_more_than_once(self) -> bool:
        """Tell whether a block was seen repeatedly."""
        return self._any_more

    def more_than_once(self, values: Keys) -> Mask:
        """Tell which block-times are of data blocks of this window that were seen repeatedly."""
        inside: Mask = windows_of(values) == self._window
        blocks = self._offsets(values, inside)
        inside[inside] = self._more[blocks >> _WORD_SHIFT] & _bits(blocks) != 0
        return inside

    def numbering(self) -> "Numbering":
        """Return the numbers of the blocks that were seen repeatedly, ascending from 0."""
        return Numbering(self._more)

    def _offsets(self, values: Keys, inside: Mask) -> npt.NDArray[np.uint32]:
        blocks = block_time.data_block(values if inside.all() else values[inside])
        return (blocks & np.uint64(_WINDOW_BLOCKS - 1)).astype(np.uint32)


class Numbering:
    """Numbers the blocks whose bits are set: the lowest is 0.

    Attributes:
        total: how many there are.

    >>> seen = SeenBlocks()
    >>> seen.add(np.array([7, 900, 7, 900], np.uint64) << np.uint64(24))
    >>> seen.numbering().of(np.array([900, 7], np.uint64) << np.uint64(24)).tolist()
    [1, 0]
    """

    def __init__(self, words: Keys) -> None:
        """Count the bits in the words before each."""
        self._words = words
        used = np.flatnonzero(words)
        self._before = np.zeros(int(used[-1]) + 2 if len(used) else 1, dtype=np.int32)
        counts = np.zeros(len(self._before) - 1, dtype=np.int32)
        counts[used] = _nr_bits(words[used])
        np.cumsum(counts, out=self._before[1:])
        self.total = int(self._before[-1])

    def of(self, values: Keys) -> Places:
        """Return the number of the data block of each block-time, which must have one."""
        blocks = (block_time.data_block(values) & np.uint64(_WINDOW_BLOCKS - 1)).astype(np.uint32)
        at = blocks >> _WORD_SHIFT
        below = self._words[at] & (_bits(blocks) - np.uint64(1))
        numbers: Places = self._before[at] + _nr_bits(below).view(np.int64)
        return numbers


def _nr_bits(words: Keys) -> Keys:
    """Return how many bits are set in each word: by pairs of bits, then by fours, then by eights.

    `np.bitwise_count` is not there before NumPy 2.
    """
    words = words - ((words >> np.uint64(1)) & _EVERY_SECOND)
    words = (words & _TWO_OF_FOUR) + ((words >> np.uint64(2)) & _TWO_OF_FOUR)
    words = (words + (words >> np.uint64(4))) & _FOUR_OF_EIGHT
    return (words * _ONE_OF_EIGHT) >> np.uint64(56)


def _bits(blocks: npt.NDArray[np.uint32]) -> Keys:
    bits: Keys = np.uint64(1) << (blocks & _BIT_MASK).astype(np.uint64)
    return bits
