"""Blocks of a pack file that have the same instructions, with other numbers: run together.

The instructions of the first are known to be sound, and those of the others differ in
operands only, so all are.
"""

import numpy as np

from thinmeta.device.pack_steps import (
    HAS_BYTE,
    HAS_OPERAND,
    NUMBER_BYTES,
    SHIFT,
    Bytes,
    Counts,
    Numbers,
    Op,
    Steps,
)
from thinmeta.units import METADATA_BLOCK_BYTES


def alike(steps: Steps, rows: Bytes) -> int:
    """Return how many rows have the instructions of the first, one after another.

    Args:
        steps: of the first row alone.
        rows: code of as many blocks, if all are of its length: shape `(n, length)`.
    """
    control = _control(steps)
    same = (rows[:, control] == rows[0, control]).all(axis=1)
    return len(rows) if same.all() else int(same.argmin())


def _control(steps: Steps) -> Counts:
    """Return where the bytes stand that say what to do, and how often."""
    more = np.isin(steps.op, HAS_BYTE).astype(np.int64)
    wide = np.flatnonzero(steps.op == Op.LITERAL_WIDE)
    more[wide] = steps.nibbles(wide)
    places = [steps.starts[more >= at] + at for at in range(int(more.max()) + 1)]
    return np.concatenate(places)


def content_of(steps: Steps, rows: Bytes) -> memoryview:
    """Return what blocks of one shape are.

    Args:
        steps: of the first row alone.
        rows: the code of each, shape `(n, length)`.

    Returns:
        The bytes of one block after the other.
    """
    numbers = _numbers(steps, rows)
    content = np.empty((len(rows), METADATA_BLOCK_BYTES), dtype=np.uint8)
    written = done = 0
    for op, number, begin, size in steps.copying():
        written = _put(content, written, numbers[:, done:number])
        done = number
        if op == Op.SHIFTED:
            done += size
            numbers[:, done : done + size] |= numbers[:, number:done] << np.uint64(SHIFT)
        else:
            content[:, written : written + size] = rows[:, begin : begin + size]
            written += size
    _put(content, written, numbers[:, done:])
    return content.reshape(-1).data


def _put(content: Bytes, at: int, numbers: Numbers) -> int:
    """Write numbers into each block; return where they end."""
    end: int = at + NUMBER_BYTES * numbers.shape[1]
    content[:, at:end].view("<u8")[...] = numbers
    return end


def _numbers(steps: Steps, rows: Bytes) -> Numbers:
    """Return all numbers that each block puts out, as `Steps` does: shape `(n, numbers)`."""
    numbers = np.empty((len(rows), int(steps.counts.sum())), dtype="<u8")
    register = np.zeros((len(rows), 1), dtype=np.uint64)
    putting = np.flatnonzero(steps.counts)
    end = 0
    for op, begin, width, count in zip(
        steps.op[putting].tolist(),
        (steps.starts[putting] + 1).tolist(),
        steps.nibbles(putting).tolist(),
        steps.counts[putting].tolist(),
        strict=True,
    ):
        some = numbers[:, end : end + count]
        end += count
        if op in (Op.REPEAT, Op.REPEAT_WIDE):
            some[...] = register
            continue
        operand = _operands(rows, begin, width) if op in HAS_OPERAND else np.uint64(width)
        if op == Op.SET:
            some[...] = operand
        else:
            if op in (Op.SUBTRACT, Op.SUBTRACT_WIDE):
                operand = np.negative(operand)
            np.multiply(operand, _places(count), out=some)
            some += register
        register = some[:, -1:].copy()
    return numbers


def _operands(rows: Bytes, begin: int, width: int) -> Numbers:
    """Return the number that each row has there, shape `(n, 1)`."""
    operands: Numbers = rows[:, begin : begin + width].copy().view(f"<u{width}").astype(np.uint64)
    return operands


def _places(count: int) -> Numbers:
    return np.arange(1, count + 1, dtype=np.uint64)
