"""Mappings joined into runs: neighbours in the device and on the data device, of one time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import block_time
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import Places, piece_begins, ragged

_MAPPINGS_AT_ONCE = 65536


class Run(NamedTuple):
    """Neighbouring mappings: `length` blocks from `origin_begin` on, at `data_begin`.

    >>> import thinmeta
    >>> run = thinmeta.Run(origin_begin=64, data_begin=3, length=2, time=0)
    >>> [(run.origin_begin + block, run.data_begin + block) for block in range(run.length)]
    [(64, 3), (65, 4)]

    Attributes:
        origin_begin: first block in the device.
        data_begin: first block on the data device.
        length: how many blocks.
        time: the pool's clock when they were mapped.
    """

    origin_begin: int
    data_begin: int
    length: int
    time: int


@dataclass(frozen=True, slots=True, eq=False)
class Runs(Columnar):
    """Runs as columns, each of shape `(n,)`, in the order of the device's blocks.

    Attributes:
        origin_begin: first block in the thin device, dtype uint64.
        data_begin: first block on the data device, dtype uint64.
        length: in blocks, dtype uint64.
        time: the pool's clock when they were mapped, dtype uint64.
    """

    origin_begin: Keys
    data_begin: Keys
    length: Keys
    time: Keys

    def __iter__(self) -> Iterator[Run]:
        """Return each run as a tuple of ints."""
        columns = (self.origin_begin, self.data_begin, self.length, self.time)
        return map(Run, *(column.tolist() for column in columns))

    @classmethod
    def none(cls) -> "Runs":
        """Return no runs."""
        empty = np.empty(0, dtype=np.uint64)
        return cls(empty, empty, empty, empty)


def join(keys: Keys, values: npt.NDArray[np.uint64], breaks: Places) -> tuple[Runs, Places]:
    """Join mappings into runs.

    Args:
        keys: origin blocks, ascending between breaks, shape `(n,)`.
        values: packed block-times, shape `(n,)`.
        breaks: places where a run must not go on.

    Returns:
        The runs, and the place where each begins.
    """
    if not len(keys):
        return Runs.none(), np.empty(0, dtype=np.int64)
    # A block-time one higher in the data block and equal in the time; from a block 0
    # nothing goes on, which keeps the sum from wrapping.
    begins = piece_begins(
        len(keys),
        (keys[1:] - keys[:-1] != 1)
        | (values[1:] - values[:-1] != block_time.NEXT_BLOCK)
        | (values[1:] < block_time.NEXT_BLOCK),
    )
    begins[breaks[breaks < len(keys)]] = True
    places = np.flatnonzero(begins)
    return _runs_at(keys, values, places), places


def _runs_at(keys: Keys, values: npt.NDArray[np.uint64], places: Places) -> Runs:
    if len(places) == len(keys):
        first_keys, first_values, length = keys, values, np.ones(len(keys), dtype=np.uint64)
    else:
        first_keys, first_values = keys[places], values[places]
        length = np.diff(places, append=len(keys)).astype(np.uint64)
    return Runs(
        first_keys,
        block_time.data_block(first_values),
        length,
        block_time.time(first_values),
    )


def mappings_of(runs: Runs) -> Iterator[tuple[Keys, npt.NDArray[np.uint64]]]:
    """Return the mappings of `runs` in bounded pieces: origin blocks, and packed block-times."""
    values = block_time.packed(runs.data_begin, runs.time)
    if (runs.length == 1).all():
        yield runs.origin_begin, values
        return
    ends = np.cumsum(runs.length.astype(np.int64))
    begins = ends - runs.length.astype(np.int64)
    for begin in range(0, int(ends[-1]), _MAPPINGS_AT_ONCE):
        end = min(begin + _MAPPINGS_AT_ONCE, int(ends[-1]))
        first = int(np.searchsorted(ends, begin, side="right"))
        part = slice(first, int(np.searchsorted(begins, end)))
        skipped = np.maximum(begin - begins[part], 0)
        taken = np.minimum(ends[part], end) - begins[part] - skipped
        inside = ragged(skipped, taken).astype(np.uint64)
        yield (
            np.repeat(runs.origin_begin[part], taken) + inside,
            np.repeat(values[part], taken) + (inside << np.uint64(block_time.SHIFT)),
        )


class Joiner:
    """Joins mappings that come in pieces; holds back the last run, which may go on."""

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._held = Runs.none()

    def feed(
        self, keys: Keys, values: npt.NDArray[np.uint64], breaks: Places
    ) -> tuple[Runs, Runs, Places]:
        """Take the next mappings and return the runs that are complete.

        Args:
            keys: origin blocks, shape `(n,)`.
            values: packed block-times, shape `(n,)`.
            breaks: places `0..n` where a run must not go on, ascending.

        Returns:
            The run that was held back, if it ends before all these; the runs among
            these; and for each of `breaks` how many of the latter precede it.
        """
        if not len(keys) and not len(breaks):
            return Runs.none(), Runs.none(), breaks
        runs, places = join(keys, values, breaks)
        before = np.searchsorted(places, breaks)
        held = self.close()
        ended = len(breaks) and breaks[0] == 0
        if len(held) and len(runs) and not ended and _goes_on(held, runs):
            runs = replace(runs, origin_begin=runs.origin_begin.copy())  # may be the caller's
            runs.origin_begin[0] = held.origin_begin[0]
            runs.data_begin[0] = held.data_begin[0]
            runs.length[0] += held.length[0]
            held = Runs.none()
        if len(runs) and not (len(breaks) and breaks[-1] == len(keys)):
            self._held, runs = runs[-1:], runs[:-1]
        return held, runs, before

    def close_before(self, key: int) -> Runs:
        """Return the held run unless a mapping of block `key` could still extend it."""
        held = self._held
        if len(held) and int(held.origin_begin[0] + held.length[0]) < key:
            self._held = Runs.none()
            return held
        return Runs.none()

    def close(self) -> Runs:
        """Return the held run."""
        held, self._held = self._held, Runs.none()
        return held


def _goes_on(held: Runs, runs: Runs) -> bool:
    return bool(
        held.origin_begin[0] + held.length[0] == runs.origin_begin[0]
        and held.data_begin[0] + held.length[0] == runs.data_begin[0]
        and held.time[0] == runs.time[0]
    )
