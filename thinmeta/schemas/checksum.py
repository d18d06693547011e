"""The checksum that opens every metadata block.

Source: `dm_bm_checksum()`, drivers/md/persistent-data/dm-block-manager.c (Linux v6.6);
each structure's salt stands with its schema.
"""

from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.uint8]


def checksums(rows: Rows) -> npt.NDArray[np.uint32]:
    """Return the unsalted checksum of each block.

    Args:
        rows: blocks, shape `(n, 4096)`, C-contiguous.

    Returns:
        CRC-32C of bytes 4..4095 of each row without the final inversion, shape
        `(n,)`; xor a salt to get what the kernel stores in bytes 0..3.
    """
    crc: Any = fastcrc.crc32.iscsi
    inverted = np.fromiter(map(crc, rows[:, 4:]), dtype=np.uint32, count=len(rows))
    return ~inverted
