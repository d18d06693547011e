"""Records of extents, taken apart: one as numbers, many as columns."""

from typing import Any, NamedTuple

from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of

RECORD = dtype_of(xfs.BmbtRec)
_MAX_BYTES = 2**63


class ExtentRecords(NamedTuple):
    """What is in a record, or in many; blocks, but for `place` (a byte)."""

    begin: Any
    length: Any
    place: Any
    is_unwritten: Any
    is_sound: Any


def taken_apart(l0: Any, l1: Any, geometry: XfsGeometry) -> ExtentRecords:
    """Take records apart; of one as numbers, of many as columns, dtype uint64.

    Source: `xfs_bmbt_disk_get_all()`, fs/xfs/libxfs/xfs_bmap_btree.c (Linux v6.6).
    """
    begin = l0 >> 9 & ((1 << 54) - 1)
    length = l1 & ((1 << 21) - 1)
    place, is_there = geometry.places((l0 & 511) << 43 | l1 >> 21, length)
    is_in_file = begin + length <= _MAX_BYTES // geometry.block_bytes
    return ExtentRecords(begin, length, place, l0 >> 63, is_there & is_in_file & (length > 0))
