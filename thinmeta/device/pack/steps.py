"""The instructions that a pack file has in place of a block.

What each does stands in `schemas.pack_file`. Finding where an instruction ends takes a
step each; all else is done for many blocks at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.schemas.pack_file import NIBBLE_MASK, NUMBER, OP_SHIFT, OPERANDS, SHIFT, Op, number_at
from thinmeta.units import METADATA_BLOCK_BYTES

Numbers = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

NUMBER_BYTES = NUMBER.itemsize

HAS_OPERAND = (Op.SET, Op.ADD_WIDE, Op.SUBTRACT_WIDE, Op.LITERAL_WIDE)
HAS_BYTE = (Op.REPEAT_WIDE, Op.TIMES_WIDE, Op.SHIFTED)
_MOST_NUMBERS = 2 * METADATA_BLOCK_BYTES // NUMBER_BYTES
_BROKEN = 1 << 40  # bytes no block has


def _length(tag: int) -> int:
    op, nibble = tag >> OP_SHIFT, tag & NIBBLE_MASK
    if op in HAS_OPERAND or op == Op.LITERAL:
        return 1 + nibble
    return 2 if op in HAS_BYTE else 1


def _writes(tag: int) -> int | None:
    """Return how many bytes the instruction adds to a block; None where more bytes tell."""
    op, nibble = tag >> OP_SHIFT, tag & NIBBLE_MASK
    if op > Op.SHIFTED or (op in HAS_OPERAND and nibble not in OPERANDS):
        return _BROKEN
    if op in HAS_BYTE or op == Op.LITERAL_WIDE:
        return None
    return {
        Op.REPEAT: NUMBER_BYTES * nibble,
        Op.TIMES: NUMBER_BYTES * (nibble - 1),  # the instruction that follows writes one more
        Op.LITERAL: nibble,
    }.get(Op(op), NUMBER_BYTES)


_LENGTHS = [_length(tag) for tag in range(256)]
_WRITES = [_writes(tag) for tag in range(256)]
_MASKS = np.array([(1 << 8 * width) - 1 for width in range(9)] + [0] * 7, dtype=np.uint64)


def find_steps(code: bytes, at: int, starts: list[int]) -> int | None:
    """Add where a block's instructions start; return where they end, None for no block.

    Raises:
        IndexError: the code ends before the block does.
    """
    lengths, writes, add = _LENGTHS, _WRITES, starts.append  # this loop is what takes the time
    left = METADATA_BLOCK_BYTES
    while left > 0:
        tag = code[at]
        add(at)
        end = at + lengths[tag]
        written = writes[tag]
        if written is None:
            if tag >> OP_SHIFT == Op.LITERAL_WIDE:
                written = number_at(code, at + 1, end - at - 1)
                end += written
            else:
                count = (tag & NIBBLE_MASK) << 8 | code[at + 1]
                if tag >> OP_SHIFT == Op.TIMES_WIDE:
                    count -= 1
                elif tag >> OP_SHIFT == Op.SHIFTED:
                    count = -count  # two numbers make one
                written = NUMBER_BYTES * count
        left -= written
        at = end
    if left:
        return None
    if at > len(code):
        raise IndexError
    return at


class Steps(NamedTuple):
    """The instructions of some blocks, as columns.

    Attributes:
        code: what they are from.
        starts: where each starts in it.
        firsts: which of them begin a block.
        op: the `Op` of each.
        operand: the number that each has: to add, or of bytes or numbers.
        counts: how many numbers each puts out.

    A block of the number 5, 512 times: it is set once, and repeated 255, 255 and 1 times.

    >>> ops = [Op.SET << OP_SHIFT | 1, 5, *2 * [Op.REPEAT_WIDE << OP_SHIFT, 255]]
    >>> code, starts = bytes([*ops, Op.REPEAT << OP_SHIFT | 1]), []
    >>> find_steps(code, 0, starts), starts
    (7, [0, 2, 4, 6])
    >>> steps = Steps.of(code, np.array(starts), firsts=np.array([0]))
    >>> steps.counts.tolist(), steps.nr_sound_blocks(), list(steps.content()[:9])
    ([1, 255, 255, 1], 1, [5, 0, 0, 0, 0, 0, 0, 0, 5])
    """

    code: bytes
    starts: Counts
    firsts: Counts
    op: Bytes
    operand: Numbers
    counts: Counts

    @classmethod
    def of(cls, code: bytes, starts: Counts, firsts: Counts) -> "Steps":
        """Look at instructions in `code`, whatever they do."""
        padded = code + bytes(NUMBER_BYTES)
        every = np.frombuffer(padded, dtype=np.uint8)
        numbers = np.ndarray(len(code), dtype=NUMBER, buffer=padded, strides=(1,))
        tags: Bytes = every[starts]
        op, nibble = tags >> np.uint8(OP_SHIFT), tags & np.uint8(NIBBLE_MASK)
        operand = nibble.astype(np.uint64)
        wide = np.flatnonzero(_among(op, HAS_OPERAND))
        operand[wide] = numbers[starts[wide] + 1] & _MASKS[nibble[wide]]
        two = np.flatnonzero(_among(op, HAS_BYTE))
        operand[two] = operand[two] << np.uint64(8) | every[starts[two] + 1]
        counts = (op <= Op.SUBTRACT_WIDE).astype(np.int64)
        counted = np.flatnonzero(_among(op, (Op.REPEAT, Op.REPEAT_WIDE)))
        counts[counted] = operand[counted]
        times = np.flatnonzero(_among(op[:-1], (Op.TIMES, Op.TIMES_WIDE)))
        counts[times + 1] = operand[times]
        return cls(code, starts, firsts, op, operand, counts)

    def first_blocks(self, nr_blocks: int) -> "Steps":
        """Return those of some blocks."""
        end = self.firsts[nr_blocks]
        return Steps(
            self.code,
            self.starts[:end],
            self.firsts[:nr_blocks],
            self.op[:end],
            self.operand[:end],
            self.counts[:end],
        )

    def nr_sound_blocks(self) -> int:
        """Return how many blocks precede one whose instructions do not belong together."""
        bad = np.zeros(len(self.firsts), dtype=np.bool_)
        # What a block's bytes add up to says nothing of how many numbers they are made from.
        bad |= np.add.reduceat(self.counts, self.firsts) > _MOST_NUMBERS
        follows = np.full(len(self.op) + 1, 255, dtype=np.uint8)
        follows[:-1] = self.op
        follows[self.firsts] = 255  # nothing follows the last instruction of a block
        times = np.flatnonzero(_among(self.op, (Op.TIMES, Op.TIMES_WIDE)))
        bad[self._blocks_of(times[follows[times + 1] > Op.SUBTRACT_WIDE])] = True
        # What is shifted follows at once, and in the same block.
        begins = np.append(np.cumsum(self.counts) - self.counts, self.counts.sum())
        stops = np.zeros(len(self.op) + 1, dtype=np.bool_)
        stops[:-1] = self.op >= Op.LITERAL
        stops[self.firsts] = True
        stops[-1] = True
        stop = np.flatnonzero(stops)
        shifted = np.flatnonzero(self.op == Op.SHIFTED)
        until = begins[stop[np.searchsorted(stop, shifted, side="right")]]
        needed = begins[shifted] + 2 * self.operand[shifted].astype(np.int64)
        bad[self._blocks_of(shifted[needed > until])] = True
        return int(bad.argmax()) if bad.any() else len(bad)

    def _blocks_of(self, steps: Counts) -> Counts:
        return np.searchsorted(self.firsts, steps, side="right") - 1

    def content(self) -> bytes:
        """Return what they write."""
        numbers = self._numbers()
        raw = numbers.view(np.uint8).data
        parts: list[bytes | memoryview] = []
        done = 0
        for op, number, begin, size in self.copying():
            parts.append(raw[NUMBER_BYTES * done : NUMBER_BYTES * number])
            done = number
            if op == Op.SHIFTED:
                done += size
                numbers[done : done + size] |= numbers[number:done] << np.uint64(SHIFT)
            else:
                parts.append(self.code[begin : begin + size])
        parts.append(raw[NUMBER_BYTES * done :])
        return b"".join(parts)

    def copying(self) -> Iterator[tuple[int, int, int, int]]:
        """Return what copies or puts together, in order.

        Returns:
            Of each its operation, how many numbers precede it, where in the code what it
            copies begins, and how many bytes or numbers it takes.
        """
        copying = np.flatnonzero(self.op >= Op.LITERAL)
        begins = (np.cumsum(self.counts) - self.counts)[copying]
        widths = np.where(self.op[copying] == Op.LITERAL_WIDE, self.nibbles(copying), 0)
        return zip(
            self.op[copying].tolist(),
            begins.tolist(),
            (self.starts[copying] + 1 + widths).tolist(),
            self.operand[copying].tolist(),
            strict=True,
        )

    def nibbles(self, steps: Counts) -> Bytes:
        """Return the nibbles of some instructions."""
        return np.frombuffer(self.code, dtype=np.uint8)[self.starts[steps]] & np.uint8(NIBBLE_MASK)

    def _numbers(self) -> Numbers:
        """Return all numbers put out, in order; what is shifted not put together yet."""
        subtracts = (self.op == Op.SUBTRACT) | (self.op == Op.SUBTRACT_WIDE)
        is_set = (self.op == Op.SET) & (self.counts > 0)  # done no times it sets nothing
        steps = np.where(subtracts, np.uint64(0) - self.operand, self.operand)
        steps[is_set | (self.op > Op.SUBTRACT_WIDE)] = 0
        sums = np.zeros(self.counts.sum() + 1, dtype=NUMBER)
        np.cumsum(np.repeat(steps, self.counts), out=sums[1:])
        # The register is what was set, or the 0 of a block's beginning, and the steps since.
        begins = is_set.copy()
        begins[self.firsts] = True
        begin = np.flatnonzero(begins)
        more = np.where(is_set, self.operand, np.uint64(0))[begin]
        more -= sums[(np.cumsum(self.counts) - self.counts)[begin]]
        nr_numbers = np.add.reduceat(self.counts, begin)
        numbers: Numbers = sums[1:] + np.repeat(more, nr_numbers)
        return numbers


def _among(op: Bytes, some: tuple[Op, ...]) -> npt.NDArray[np.bool_]:
    table = np.zeros(16, dtype=np.bool_)
    table[list(some)] = True
    return table[op]
