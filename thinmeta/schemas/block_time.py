"""A block-time taken apart and put together: a data block, and the pool's clock when it was mapped.

Where the two stand in the 64 bits is read off the schema.
"""

from typing import Any, overload

import numpy as np
import numpy.typing as npt

from thinmeta.schemas.btree_node import BlockTime
from thinmeta.schemas.columns import bit_fields

Values = npt.NDArray[np.uint64]

SHIFT, _HIGHEST = bit_fields(BlockTime)["data_block"]
_, MAX_TIME = bit_fields(BlockTime)["time"]
NR_DATA_BLOCKS = bit_fields(BlockTime)["data_block"][1] + 1
"""How many data blocks a block-time can tell apart."""

NEXT_BLOCK = np.uint64(1 << SHIFT)
"""What a block-time grows by where the next data block was mapped at the same time."""

_SHIFT = np.uint64(SHIFT)
_TIME = np.uint64(MAX_TIME)
_DATA_BLOCK = np.uint64(_HIGHEST << SHIFT)


@overload
def data_block(value: int) -> int: ...
@overload
def data_block(value: Values) -> Values: ...
def data_block(value: Any) -> Any:
    """Return the data block of a block-time, or of each in an array.

    >>> data_block(0x5000002), data_block(np.array([0x5000002, 0x6000002], dtype=np.uint64))
    (5, array([5, 6], dtype=uint64))
    """
    return value >> (SHIFT if isinstance(value, int) else _SHIFT)


@overload
def time(value: int) -> int: ...
@overload
def time(value: Values) -> Values: ...
def time(value: Any) -> Any:
    """Return the time of a block-time, or of each in an array; of a clock what a mapping keeps.

    >>> time(0x5000002), time(np.array([0x5000002, 0x6000003], dtype=np.uint64))
    (2, array([2, 3], dtype=uint64))
    """
    return value & (MAX_TIME if isinstance(value, int) else _TIME)


def packed(data_blocks: Values, times: Values | np.uint64) -> Values:
    """Return block-times.

    >>> packed(np.array([5, 6], dtype=np.uint64), np.uint64(2)).tolist() == [0x5000002, 0x6000002]
    True
    """
    values: Values = data_blocks << _SHIFT
    values |= times
    return values


def range_of(begin: int, end: int) -> tuple[int, int]:
    """Return the lowest and the highest block-time of the data blocks `begin..end`, half-open.

    >>> range_of(5, 6) == (0x5000000, 0x5FFFFFF)
    True
    """
    return begin << SHIFT, (end << SHIFT) - 1


def without_time(values: Values) -> Values:
    """Return block-times with all times 0.

    >>> without_time(np.array([0x5000002], dtype=np.uint64)).tolist() == [0x5000000]
    True
    """
    return values & _DATA_BLOCK


def impossible_time(time: int) -> str | None:
    """Say why no mapping can be of a pool's time; None if one can."""
    if time <= MAX_TIME:
        return None
    return (
        f"the pool's time, {time}, does not fit into the 24 bits that a mapping has for it: the "
        "kernel would write the rest into the number of the data block"
    )
