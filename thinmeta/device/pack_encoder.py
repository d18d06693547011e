"""Instructions of `pack_steps` for many lists of numbers at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.pack_steps import Counts, Numbers, Op

_NIBBLE = 16


class Code(NamedTuple):
    """Instructions, those of one list after those of another.

    Attributes:
        code: of all lists.
        bounds: where those of each list begin; one more than lists, the last is the end.
    """

    code: memoryview
    bounds: list[int]


def literal(length: int) -> bytes:
    """Return the instruction that copies the `length` bytes, less than 2**16, after it."""
    if length < _NIBBLE:
        return bytes([_tag(Op.LITERAL, length)])
    width = 1 if length < 256 else 2
    return bytes([_tag(Op.LITERAL_WIDE, width)]) + length.to_bytes(width, "little")


def shifted(length: int) -> bytes:
    """Return the instruction that makes `length` numbers, less than 4096, from two lists."""
    return bytes([_tag(Op.SHIFTED, length >> 8), length & 255])


def encoded(lists: Numbers) -> Code:
    """Return instructions that write numbers, whatever the register holds before.

    Args:
        lists: shape `(n, m)`, both at least 1, `m` less than 4096.
    """
    steps, down, first = _runs(lists)
    heads = np.zeros(len(first), dtype=np.bool_)
    heads[np.searchsorted(first, np.arange(0, lists.size, lists.shape[1]))] = True
    counts = np.diff(first, append=lists.size)
    steps, down = steps[first], down[first]

    still = (steps == 0) & ~heads
    repeated = ~still & (counts > 1)
    widths = _widths(steps)
    widths[~heads & (steps < _NIBBLE)] = 0
    op = np.select(
        [heads, still & (counts < _NIBBLE), still, down & (widths > 0), down, widths > 0],
        [Op.SET, Op.REPEAT, Op.REPEAT_WIDE, Op.SUBTRACT_WIDE, Op.SUBTRACT, Op.ADD_WIDE],
        Op.ADD,
    ).astype(np.uint8)
    widths[op == Op.REPEAT_WIDE] = 1
    operand = np.where(still, counts.astype(np.uint64), steps)
    nibble = np.where(widths > 0, widths, operand).astype(np.uint8)
    wide = np.flatnonzero(op == Op.REPEAT_WIDE)
    nibble[wide] = counts[wide] >> 8

    before = np.where(repeated, np.where(counts < _NIBBLE, 1, 2), 0)
    ends = np.cumsum(before + 1 + widths)
    tags = ends - 1 - widths
    code = np.empty(ends[-1], dtype=np.uint8)
    code[tags] = op << 4 | nibble
    for place in range(8):
        has = np.flatnonzero(widths > place)
        code[tags[has] + 1 + place] = operand[has] >> np.uint64(8 * place)
    short, long = np.flatnonzero(before == 1), np.flatnonzero(before == 2)
    code[tags[short] - 1] = _tag(Op.TIMES, 0) | counts[short]
    code[tags[long] - 2] = _tag(Op.TIMES_WIDE, 0) | counts[long] >> 8
    code[tags[long] - 1] = counts[long] & 255
    begins = tags[heads]  # nothing stands before the first instruction of a list
    return Code(code.data, [*begins.tolist(), len(code)])


def _runs(lists: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_], Counts]:
    """Return the way to each number from the one before, and where another way begins.

    Returns:
        How far, of the first of a list its value; whether downwards; and the places,
        in all lists joined, from which on it is the same. The first two numbers of a
        list always begin anew.
    """
    steps = lists.copy()
    down = np.zeros(lists.shape, dtype=np.bool_)
    np.less(lists[:, 1:], lists[:, :-1], out=down[:, 1:])
    np.subtract(lists[:, 1:], lists[:, :-1], out=steps[:, 1:])
    np.negative(steps, out=steps, where=down)
    new = np.ones(lists.shape, dtype=np.bool_)
    new[:, 2:] = (steps[:, 2:] != steps[:, 1:-1]) | (down[:, 2:] != down[:, 1:-1])
    return steps.ravel(), down.ravel(), np.flatnonzero(new)


def _widths(numbers: Numbers) -> Counts:
    """Return how many bytes each takes as an operand: 1, 2, 4 or 8."""
    widths = np.ones(len(numbers), dtype=np.int64)
    for bits, width in ((8, 2), (16, 4), (32, 8)):
        widths[numbers >> np.uint64(bits) > 0] = width
    return widths


def _tag(op: Op, nibble: int) -> int:
    return op << 4 | nibble
