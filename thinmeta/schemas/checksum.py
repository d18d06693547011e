"""The checksum that opens every metadata block.

Source: `dm_bm_checksum()`, drivers/md/persistent-data/dm-block-manager.c (Linux v6.6);
each structure's salt stands with its schema.
"""

from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.columns import NODE_HEADER
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR

Rows = npt.NDArray[np.uint8]
Salts = npt.NDArray[np.uint32]

CSUM = NODE_HEADER["csum"]
"""It stands at the beginning of every structure that fills a block."""

SALTS = (SUPERBLOCK_CSUM_XOR, BTREE_CSUM_XOR, BITMAP_CSUM_XOR, INDEX_CSUM_XOR)


def checksums(rows: Rows) -> Salts:
    """Return the unsalted checksum of each block.

    Args:
        rows: blocks, shape `(n, 4096)`, C-contiguous.

    Returns:
        CRC-32C of bytes 4..4095 of each row without the final inversion, shape
        `(n,)`; xor a salt to get what the kernel stores in bytes 0..3.
    """
    crc: Any = fastcrc.crc32.iscsi
    inverted = np.fromiter(map(crc, rows[:, CSUM.itemsize :]), dtype=np.uint32, count=len(rows))
    return ~inverted


def salts_of(rows: Rows) -> Salts:
    """Return the salt by which the checksum of each block is right, whatever number that is.

    Args:
        rows: blocks, shape `(n, 4096)`, C-contiguous.
    """
    stored: Salts = rows[:, : CSUM.itemsize].copy().view(CSUM)[:, 0]
    return checksums(rows) ^ stored


def known_salts(rows: Rows) -> Salts:
    """Return which of `SALTS` the checksum of each block is right by, 0 where by none.

    Args:
        rows: blocks, shape `(n, 4096)`, C-contiguous.
    """
    salts = np.zeros(len(rows), dtype=np.uint32)
    used = np.flatnonzero(rows.view(np.uint64).any(axis=1))
    found = salts_of(rows if len(used) == len(rows) else rows[used])
    is_known = (found[:, np.newaxis] == np.array(SALTS, dtype=np.uint32)).any(axis=1)
    salts[used] = np.where(is_known, found, 0)
    return salts


def put_checksums(rows: Rows, salt: int) -> None:
    """Write the checksum of each block into it."""
    rows.view(CSUM)[:, 0] = checksums(rows) ^ np.uint32(salt)
