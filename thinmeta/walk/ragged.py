"""Arrays of pieces of unequal length, without a loop over the pieces."""

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


def ragged(starts: Places, counts: Places) -> Places:
    """Return `starts[0], starts[0]+1, ...` for `counts[0]` places, then those of the next.

    >>> ragged(np.array([10, 50]), np.array([3, 2])).tolist()
    [10, 11, 12, 50, 51]
    """
    ends = np.cumsum(counts)
    if not ends.size:
        return np.empty(0, dtype=np.int64)
    shifts: Places = np.repeat(starts - (ends - counts), counts)
    return np.arange(ends[-1], dtype=np.int64) + shifts


def starts_of(counts: Places) -> Places:
    """Return where each piece begins when pieces of `counts` stand one after the other.

    The result has one element more than `counts`: the last is the total.
    """
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts
