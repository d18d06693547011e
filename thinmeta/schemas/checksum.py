"""The checksum that opens every metadata block.

Source: `dm_bm_checksum()`, drivers/md/persistent-data/dm-block-manager.c (Linux v6.6);
each structure's salt stands with its schema.
"""

from functools import cache
from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.columns import NODE_HEADER
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR
from thinmeta.units import METADATA_BLOCK_BYTES

Rows = npt.NDArray[np.uint8]
Salts = npt.NDArray[np.uint32]

CSUM = NODE_HEADER["csum"]
"""It stands at the beginning of every structure that fills a block."""

_POLYNOMIAL = 0x82F63B78
"""CRC-32C's, the lowest bit being the highest power."""

_NR_BITS = 8 * (METADATA_BLOCK_BYTES - CSUM.itemsize)

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


def wrong_bits(rows: Rows, salt: int) -> npt.NDArray[np.int64]:
    """Return which bit of each block is wrong, if its checksum is right without that.

    No two bits change the checksum alike, so it tells which. A block of which more is wrong
    looks so once in 131,000 times: what the bit makes of it must make sense, too.

    >>> rows = np.zeros((3, 4096), dtype=np.uint8)
    >>> put_checksums(rows, BTREE_CSUM_XOR)
    >>> rows[1, 2000] ^= 1 << 5
    >>> rows[2, 2000:2002] = 1
    >>> wrong_bits(rows, BTREE_CSUM_XOR).tolist()
    [-1, 16005, -1]

    Args:
        rows: blocks, shape `(n, 4096)`, C-contiguous.
        salt: of what they should be.

    Returns:
        Shape `(n,)`; -1 where no single bit is.
    """
    changes, bits = _changes_by_bits()
    found = salts_of(rows) ^ np.uint32(salt)
    places = np.minimum(np.searchsorted(changes, found), len(changes) - 1)
    wrong: npt.NDArray[np.int64] = np.where(changes[places] == found, bits[places], -1)
    return wrong


def with_bit(row: Rows, bit: int) -> Rows:
    """Return a block with one of its bits changed; bit 0 is the lowest of byte 0."""
    changed = row.copy()
    changed[bit // 8] ^= np.uint8(1 << bit % 8)
    return changed


@cache
def _changes_by_bits() -> tuple[Salts, npt.NDArray[np.int64]]:
    """Return how each bit changes the checksum, ascending, and which bit it is."""
    change, changes = _POLYNOMIAL, [1 << bit for bit in range(8 * CSUM.itemsize)]
    of_content = []
    for _ in range(_NR_BITS):
        of_content.append(change)
        change = change >> 1 ^ (_POLYNOMIAL if change & 1 else 0)
    found = np.array([*changes, *reversed(of_content)], dtype=np.uint32)
    order = np.argsort(found)
    return found[order], order
