"""Blocks from the instructions of a pack file: many at once, also where each has its own.

Most blocks of a pool are of one shape: the same instructions, with other numbers. Those
that follow one another are run as one, an instruction at a time for all of them. What
has a shape of its own is run with others as columns of instructions.
"""

from typing import NamedTuple

import numpy as np

from thinmeta.device.pack_shapes import alike, content_of
from thinmeta.device.pack_steps import Steps, find_steps

_ALIKE = 16
"""So many blocks of one shape are worth an instruction at a time."""


class Blocks(NamedTuple):
    """Blocks that were unpacked.

    Attributes:
        numbers: where each belongs.
        content: their bytes, one block after the other.
        end: where in the code the next block begins.
        wrong: why that one cannot be had, however much code follows.
    """

    numbers: list[int]
    content: memoryview
    end: int
    wrong: str | None


def run(code: bytes, begin: int, most: int) -> Blocks:
    """Unpack up to `most` whole blocks from `begin` on.

    Each is its number in 8 bytes and instructions that write 4096 bytes.
    """
    numbers: list[int] = []
    starts: list[int] = []  # of all instructions
    firsts: list[int] = []  # which of them begin a block
    at, wrong, length, nr_alike = begin, None, 0, 0
    while len(numbers) < most and nr_alike < _ALIKE:
        nr_starts = len(starts)
        try:
            end = find_steps(code, at + 8, starts)
        except IndexError:  # the code ends within the block
            del starts[nr_starts:]
            break
        if end is None:
            wrong = "instructions that do not make a block"
            del starts[nr_starts:]
            break
        if not numbers and (found := _run_alike(code, begin, end, starts, most)):
            return found
        numbers.append(int.from_bytes(code[at : at + 8], "little"))
        firsts.append(nr_starts)
        nr_alike = nr_alike + 1 if end - at == length else 0
        length, at = end - at, end
    if not numbers:
        return Blocks([], memoryview(b""), at, wrong)
    steps = Steps.of(code[begin:at], np.array(starts) - begin, np.array(firsts))
    sound = steps.nr_sound_blocks()
    if sound < len(numbers):
        del numbers[sound:]
        wrong = "instructions that do not belong together"
        steps = steps.first_blocks(sound)
    return Blocks(numbers, memoryview(steps.content() if sound else b""), at, wrong)


def _run_alike(code: bytes, begin: int, end: int, starts: list[int], most: int) -> Blocks | None:
    """Unpack blocks of the shape of the first, where enough of them follow one another."""
    length = end - begin
    number = min(most, (len(code) - begin) // length)
    if number < _ALIKE:
        return None
    steps = Steps.of(code[begin:end], np.array(starts) - begin, np.zeros(1, dtype=np.int64))
    rows = np.frombuffer(code, np.uint8, number * length, begin).reshape(number, length)
    rows = rows[: alike(steps, rows)]
    if len(rows) < _ALIKE or not steps.nr_sound_blocks():
        return None
    numbers = rows[:, :8].copy().view("<u8")[:, 0].tolist()
    return Blocks(numbers, content_of(steps, rows), begin + rows.size, None)
