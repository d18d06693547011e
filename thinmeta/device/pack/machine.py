"""Blocks from the instructions of a pack file: many at once, also where each has its own.

Most blocks of a pool are of one shape: the same instructions, with other numbers. Those
that follow one another are run as one, an instruction at a time for all of them. What
has a shape of its own is run with others as columns of instructions.
"""

from typing import NamedTuple

import numpy as np

from thinmeta.device.pack.shapes import Shape
from thinmeta.device.pack.steps import NUMBER_BYTES, Steps, find_steps
from thinmeta.schemas.pack_file import NUMBER, number_at

_ALIKE = 16
"""So many blocks of one shape are worth an instruction at a time."""


class MadeBlocks(NamedTuple):
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


class Machine:
    """What runs the instructions; it remembers the last shape that it met."""

    def __init__(self) -> None:
        """Begin with no shape."""
        self._shape: Shape | None = None

    def run(self, code: bytes, begin: int, most: int) -> MadeBlocks:
        """Unpack up to `most` whole blocks from `begin` on.

        Each is its number in 8 bytes and instructions that write 4096 bytes.
        """
        if (found := self._run_alike(code, begin, most)) is not None:
            return found
        numbers: list[int] = []
        starts: list[int] = []  # of all instructions
        firsts: list[int] = []  # which of them begin a block
        at, wrong, length, nr_alike = begin, None, 0, 1
        while len(numbers) < most and nr_alike < _ALIKE:
            nr_starts = len(starts)
            try:
                end = find_steps(code, at + NUMBER_BYTES, starts)
            except IndexError:  # the code ends within the block
                del starts[nr_starts:]
                break
            if end is None:
                wrong = "instructions that do not make a block"
                del starts[nr_starts:]
                break
            numbers.append(number_at(code, at, NUMBER_BYTES))
            firsts.append(nr_starts)
            nr_alike = nr_alike + 1 if end - at == length else 1
            length, at = end - at, end
            if self._shape is not None and len(self._shape.rows(code, at, _ALIKE)) == _ALIKE:
                break  # these go on alike
        if not numbers:
            return MadeBlocks([], memoryview(b""), at, wrong)
        steps = Steps.of(code[begin:at], np.array(starts) - begin, np.array(firsts))
        sound = steps.nr_sound_blocks()
        if sound < len(numbers):
            del numbers[sound:]
            wrong = "instructions that do not belong together"
            steps = steps.first_blocks(sound)
        elif nr_alike == _ALIKE:
            last = steps.starts[firsts[-1] :] - (at - length - begin)
            self._shape = Shape(Steps.of(code[at - length : at], last, np.zeros(1, dtype=np.int64)))
        return MadeBlocks(numbers, memoryview(steps.content() if sound else b""), at, wrong)

    def _run_alike(self, code: bytes, begin: int, most: int) -> MadeBlocks | None:
        """Unpack blocks of the shape of those before, where enough of them follow."""
        if self._shape is None:
            return None
        rows = self._shape.rows(code, begin, most)
        if len(rows) < _ALIKE:
            return None
        numbers = rows[:, :NUMBER_BYTES].copy().view(NUMBER)[:, 0].tolist()
        return MadeBlocks(numbers, self._shape.content(rows), begin + rows.size, None)
