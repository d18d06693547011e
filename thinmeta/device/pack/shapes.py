"""Blocks of a pack file that have the same instructions, with other numbers: run together.

The instructions of the first are known to be sound, and those of the others differ in
operands only, so all are.
"""

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from thinmeta.device.pack.steps import (
    HAS_BYTE,
    HAS_OPERAND,
    NUMBER_BYTES,
    Bytes,
    Counts,
    Numbers,
    Steps,
)
from thinmeta.schemas.pack_file import NUMBER, OPERANDS, SHIFT, Op
from thinmeta.units import METADATA_BLOCK_BYTES

_PLACES = np.arange(2 * METADATA_BLOCK_BYTES // NUMBER_BYTES, dtype=np.uint64)


class _Way(NamedTuple):
    """Numbers that go on in one way: in each row from `first` on, with `step` between them.

    Attributes:
        begin: how many numbers precede them.
        end: likewise, with them.
        first: shape `(rows, 1)`.
        step: likewise; None is 0.
    """

    begin: int
    end: int
    first: Numbers
    step: Numbers | None


class Shape:
    """The instructions of a block, for others that have the same.

    Attributes:
        length: bytes of the code of a block, with its number.
    """

    def __init__(self, steps: Steps) -> None:
        """Take the instructions of one block, which are sound."""
        self.length = len(steps.code)
        self._control = _control(steps)
        self._expected = np.frombuffer(steps.code, dtype=np.uint8)[self._control]
        self._copying = list(steps.copying())
        putting = np.flatnonzero(steps.counts)
        self._putting = list(
            zip(
                steps.op[putting].tolist(),
                (steps.starts[putting] + 1).tolist(),
                steps.nibbles(putting).tolist(),
                steps.counts[putting].tolist(),
                strict=True,
            )
        )

    def rows(self, code: bytes, begin: int, most: int) -> Bytes:
        """Return up to `most` blocks of this shape that follow one another from `begin` on.

        Returns:
            The code of each, shape `(n, length)`.
        """
        number = min(most, (len(code) - begin) // self.length)
        rows = np.frombuffer(code, np.uint8, number * self.length, begin if number else 0)
        rows = rows.reshape(number, self.length)
        same = (rows[:, self._control] == self._expected).all(axis=1)
        return rows[: int(same.argmin())] if not same.all() else rows

    def content(self, rows: Bytes) -> memoryview:
        """Return the bytes of the blocks with this code, one block after the other."""
        ways = self._ways(rows)
        content = np.empty((len(rows), METADATA_BLOCK_BYTES), dtype=np.uint8)
        written = done = 0
        for op, number, begin, size in self._copying:
            until = written + NUMBER_BYTES * (number - done)
            _put(content[:, written:until].view(NUMBER), ways, done)
            done = number
            if op == Op.SHIFTED:
                written = until + NUMBER_BYTES * size
                shifted = content[:, until:written].view(NUMBER)
                low = _low_bits(_between(ways, number + size, number + 2 * size))
                _put(shifted, ways, number, SHIFT, low)
                if low is None:
                    _merge(shifted, ways, number + size)
                done += 2 * size
            else:
                written = until + size
                content[:, until:written] = rows[:, begin : begin + size]
        _put(content[:, written:].view(NUMBER), ways, done)
        return content.reshape(-1).data

    def _ways(self, rows: Bytes) -> list[_Way]:
        """Return what each block puts out, as `Steps` does."""
        ways = []
        register = np.zeros((len(rows), 1), dtype=np.uint64)
        begin = 0
        for op, at, width, count in self._putting:
            operand = np.full_like(register, width)
            if op in HAS_OPERAND:
                operand = rows[:, at : at + width].copy().view(OPERANDS[width]).astype(np.uint64)
            if op in (Op.SUBTRACT, Op.SUBTRACT_WIDE):
                np.negative(operand, out=operand)
            if op == Op.SET:
                register = operand
            if op in (Op.SET, Op.REPEAT, Op.REPEAT_WIDE):
                ways.append(_Way(begin, begin + count, register, None))
            else:
                ways.append(_Way(begin, begin + count, register + operand, operand))
                register = register + operand * np.uint64(count)
            begin += count
        return ways


def _control(steps: Steps) -> Counts:
    """Return where the bytes stand that say what to do, and how often."""
    more = np.isin(steps.op, HAS_BYTE).astype(np.int64)
    wide = np.flatnonzero(steps.op == Op.LITERAL_WIDE)
    more[wide] = steps.nibbles(wide)
    places = [steps.starts[more >= at] + at for at in range(int(more.max()) + 1)]
    return np.concatenate(places)


def _low_bits(ways: list[tuple[_Way, int, int]]) -> Numbers | None:
    """Return what all numbers of a row have below those that are shifted, if that is one."""
    if len(ways) != 1 or ways[0][0].step is not None:
        return None
    low = ways[0][0].first
    return low if int(low.max()) >> SHIFT == 0 else None


def _put(
    numbers: Numbers, ways: list[_Way], begin: int, shift: int = 0, low: Numbers | None = None
) -> None:
    """Fill `numbers` with those from `begin` on, shifted to the left, and with lower bits."""
    for way, first, last in _between(ways, begin, begin + numbers.shape[1]):
        part = numbers[:, first - begin : last - begin]
        start = way.first << np.uint64(shift)
        if low is not None:
            start |= low
        if way.step is None:
            part[...] = start
            continue
        places = _PLACES[first - way.begin : last - way.begin]
        step = way.step << np.uint64(shift)
        if (step == step[0]).all():
            np.add(start, step[0] * places, out=part)
        else:
            np.multiply(step, places, out=part)
            part += start


def _merge(numbers: Numbers, ways: list[_Way], begin: int) -> None:
    """Put the numbers from `begin` on into `numbers`, which have their higher bits."""
    for way, first, last in _between(ways, begin, begin + numbers.shape[1]):
        part = numbers[:, first - begin : last - begin]
        if way.step is None:
            part |= way.first
        else:
            part |= way.first + way.step * _PLACES[first - way.begin : last - way.begin]


def _between(ways: list[_Way], begin: int, end: int) -> list[tuple[_Way, int, int]]:
    """Return the ways that have numbers between, and from which to which."""
    found = []
    place = bisect_right(ways, begin, key=lambda way: way.begin) - 1
    while begin < end:
        way = ways[place]
        last = min(way.end, end)
        found.append((way, begin, last))
        begin, place = last, place + 1
    return found
