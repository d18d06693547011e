"""What a pool's metadata is built from: a header, then runs with marks in between.

It is the same whoever brings it: XML, or a pool that is read in spite of damage.
Definitions come before the devices that refer to them; devices may come in any order.
Within a device or definition origin blocks ascend, also over what a reference stands for.
Who brings the stream sees to that, and to data blocks that are inside the pool.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import block_time
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.units import MAX_METADATA_BLOCKS
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import ragged
from thinmeta.walk.runs import Runs

MAX_DATA_BLOCKS = MAX_METADATA_BLOCKS * ENTRIES_PER_BLOCK
"""More data blocks than any metadata has room to count."""

_MAPPINGS_AT_ONCE = 65536


class Header(NamedTuple):
    """What the superblock will say of the pool as a whole.

    `nr_data_blocks` is None where nobody knows: one more than the highest that is mapped,
    which it is at least.
    """

    time: int
    transaction_id: int
    data_block_sectors: int
    nr_data_blocks: int | None


class DeviceBegin(NamedTuple):
    """A device begins; `mapped_blocks` is what somebody said, and is counted anew."""

    device_id: int
    mapped_blocks: int
    transaction_id: int
    creation_time: int
    snap_time: int


class DeviceEnd(NamedTuple):
    """The device ends."""


class SharedBegin(NamedTuple):
    """What several devices share begins, under a name."""

    name: str | int


class SharedEnd(NamedTuple):
    """What several devices share ends."""


class SharedRef(NamedTuple):
    """What is shared under `name` stands here, in a device."""

    name: str | int


Mark = DeviceBegin | DeviceEnd | SharedBegin | SharedEnd | SharedRef


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A piece of the stream.

    Attributes:
        runs: in order.
        marks: what comes between them.
        before: for each mark, how many of `runs` precede it, ascending.
    """

    runs: Runs
    marks: list[Mark]
    before: list[int]


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
