"""The CRC-32C of ext4, which goes on from one structure to the next.

A running sum is what `fastcrc` returns and takes: the kernel's with all bits inverted.

Source: `ext4_chksum()`, fs/ext4/ext4.h (Linux v6.6).
"""

from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import (
    Ext4ChecksumSeed,
)

_INVERTED = 0xFFFFFFFF
_SEED = dtype_of(Ext4ChecksumSeed)

going_on: Any = fastcrc.crc32.iscsi
"""Returns the running sum after `data`, from that before it."""


def stored(running: int) -> int:
    """Return what stands on disk for a running sum; the way back is the same."""
    return running ^ _INVERTED


def inode_seeds(
    seed: int, numbers: npt.NDArray[np.uint64], generations: npt.NDArray[np.uint32]
) -> list[int]:
    """Return with which running sums the checksums of inodes begin, and of what they lead to."""
    rows = np.zeros(len(numbers), dtype=_SEED)
    rows["number"], rows["generation"] = numbers, generations
    data, width = rows.tobytes(), _SEED.itemsize
    return [going_on(data[at : at + width], seed) for at in range(0, len(data), width)]
