"""The instructions that `steps` reads, for many lists of numbers at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.pack.steps import Bytes, Counts, Numbers
from thinmeta.schemas.pack_file import NIBBLE_MASK, OP_SHIFT, Op, number_bytes, tag

_NIBBLE = NIBBLE_MASK + 1


class Code(NamedTuple):
    """Instructions, those of one list after those of another.

    Attributes:
        code: of all lists.
        bounds: where those of each list begin; one more than lists, the last is the end.
    """

    code: Bytes
    bounds: Counts


def literal(length: int) -> bytes:
    """Return the instruction that copies the `length` bytes, less than 2**16, after it."""
    if length < _NIBBLE:
        return bytes([tag(Op.LITERAL, length)])
    width = 1 if length < 256 else 2
    return bytes([tag(Op.LITERAL_WIDE, width)]) + number_bytes(length, width)


def shifted(length: int) -> bytes:
    """Return the instruction that makes `length` numbers, less than 4096, from two lists."""
    return bytes([tag(Op.SHIFTED, length >> 8), length & 255])


def encoded(lists: Numbers) -> Code:
    """Return instructions that write numbers, whatever the register holds before.

    Args:
        lists: shape `(n, m)`, both at least 1, `m` less than 4096.
    """
    steps, down, first = _runs(lists)
    heads = first % lists.shape[1] == 0
    counts = np.diff(first, append=lists.size)
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
    code[tags] = op << OP_SHIFT | nibble
    for place in range(8):
        has = np.flatnonzero(widths > place)
        code[tags[has] + 1 + place] = operand[has] >> np.uint64(8 * place)
    short, long = np.flatnonzero(before == 1), np.flatnonzero(before == 2)
    code[tags[short] - 1] = tag(Op.TIMES, 0) | counts[short]
    code[tags[long] - 2] = tag(Op.TIMES_WIDE, 0) | counts[long] >> 8
    code[tags[long] - 1] = counts[long] & 255
    # Nothing stands before the first instruction of a list.
    return Code(code, np.append(tags[heads], len(code)))


def _runs(lists: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_], Counts]:
    """Return where another way from a number to the next begins, and each such way.

    Returns:
        How far, of the first of a list its value; whether downwards; and the places, in
        all lists joined, from which on it is the same. The first two numbers of a list
        always begin anew.
    """
    new = np.ones(lists.shape, dtype=np.bool_)
    ways = lists[:, 1:] - lists[:, :-1]
    np.not_equal(ways[:, 1:], ways[:, :-1], out=new[:, 2:])
    first = np.flatnonzero(new)
    numbers = lists.reshape(-1)
    steps, before = numbers[first], numbers[first - 1]
    is_step = first % lists.shape[1] > 0
    down = is_step & (steps < before)
    steps[is_step] -= before[is_step]
    np.negative(steps, out=steps, where=down)
    return steps, down, first


def _widths(numbers: Numbers) -> Counts:
    """Return how many bytes each takes as an operand: 1, 2, 4 or 8."""
    widths = np.ones(len(numbers), dtype=np.int64)
    for bits, width in ((8, 2), (16, 4), (32, 8)):
        widths[numbers >> np.uint64(bits) > 0] = width
    return widths
