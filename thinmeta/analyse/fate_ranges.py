"""What became of blocks, and where they are: ranges of neighbours, in bounded pieces."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import block_time
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import Places

AT_ONCE = 1 << 16
"""Mappings of the past device that are looked at together."""


class Fate(IntEnum):
    """What became of a data block that a device of a past state maps."""

    KEPT = 0
    """The same device maps it now, by the same mapping; it may have been rewritten in place."""
    SHARED = 1
    """Another device maps it now, by the same mapping; likewise."""
    TAKEN = 2
    """A device maps it now, by a mapping that was made since: the content is lost."""
    HELD = 3
    """No device maps it, and it is in use: by a metadata snapshot, or it has leaked."""
    FREE = 4
    """Nothing uses it now: as it was unless it was discarded, or reused and freed."""
    UNKNOWN = 5
    """No device is known to map it, and what would tell is damaged."""
    PAST_END = 6
    """There is no such block: it is past the end of the data device."""


@dataclass(frozen=True, slots=True, eq=False)
class FateRanges(Columnar):
    """Neighbouring blocks of one fate, as columns of shape `(n,)`, in the device's order.

    Attributes:
        origin_begin: first block in the past device, dtype uint64.
        data_begin: first block on the data device, dtype uint64.
        length: in blocks, dtype uint64.
        fate: values of `Fate`, dtype uint8.
    """

    origin_begin: Keys
    data_begin: Keys
    length: Keys
    fate: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """What became of a past device's blocks.

    Attributes:
        counts: blocks of each fate.
        is_complete: whether nothing that was to be read is damaged. Else there may be
            more blocks, and nobody knows of those that are `UNKNOWN`.
        keys: its origin blocks, ascending, shape `(n,)`, dtype uint64.
        values: the block-time of each, shape `(n,)`, dtype uint64.
        fate: values of `Fate`, shape `(n,)`, dtype uint8.
    """

    counts: Mapping[Fate, int]
    is_complete: bool
    keys: Keys
    values: Keys
    fate: npt.NDArray[np.uint8]

    def changed(self, fate: npt.NDArray[np.uint8]) -> Self:
        """Return the same mappings with other fates."""
        counts = {each: int(np.count_nonzero(fate == each)) for each in Fate}
        return replace(self, counts=counts, fate=fate)

    @property
    def ranges(self) -> FateRanges:
        """Where the blocks are, all at once."""
        nothing = np.empty(0, dtype=np.uint64)
        none = FateRanges(nothing, nothing, nothing, np.empty(0, dtype=np.uint8))
        return FateRanges.joined([none, *self.pieces()])

    def pieces(self) -> Iterator[FateRanges]:
        """Return where the blocks are, in bounded pieces."""
        keys, values, fate = self.keys, self.values, self.fate
        last = np.empty(0, dtype=np.int64)  # where the last range begins, which may go on
        for begin in range(0, len(keys), AT_ONCE):
            end = min(begin + AT_ONCE, len(keys))
            before = slice(max(begin - 1, 0), end)
            begins = np.ones(end - begin, dtype=np.bool_)
            begins[begin == 0 :] = (
                (np.diff(keys[before]) != 1)
                | (np.diff(block_time.data_block(values[before])) != 1)
                | (fate[before][1:] != fate[before][:-1])
            )
            places = np.concatenate((last, np.flatnonzero(begins) + begin))
            yield self._from(places, int(places[-1]))
            last = places[-1:]
        yield self._from(last, len(keys))

    def _from(self, places: Places, end: int) -> FateRanges:
        """Return the ranges that begin at some places, the last of which ends at `end`."""
        length = np.diff(places, append=end).astype(np.uint64)
        some = places[length > 0]
        data = block_time.data_block(self.values[some])
        return FateRanges(self.keys[some], data, length[length > 0], self.fate[some])
