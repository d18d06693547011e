"""What inodes of XFS say of files that are kept in one piece, for many at once: most files are."""

import stat
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.outline import Outline
from thinmeta.files.xfs.extent_records import RECORD, taken_apart
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.schemas import xfs


def outlines_of(
    rows: npt.NDArray[np.uint8], fields: npt.NDArray[Any], geometry: XfsGeometry
) -> list[Outline]:
    """Return which files are in one piece, or empty, and where; and what has attributes.

    Args:
        rows: the bytes of the inodes, shape `(n, size)`.
        fields: with which they begin.
        geometry: of their file system.
    """
    begin, size = fields.dtype.itemsize, fields["di_size"].astype(np.uint64)
    nr_extents = fields["di_nextents"].astype(np.uint64)
    if geometry.is_v5:
        is_big = (fields["di_flags2"] & np.uint64(xfs.XFS_DIFLAG2_NREXT64)) != 0
        nr_extents[is_big] = fields["di_big_nextents"][is_big]
    record = rows[:, begin : begin + RECORD.itemsize].copy().view(RECORD)[:, 0]
    l0, l1 = record["l0"].astype(np.uint64), record["l1"].astype(np.uint64)
    extent = taken_apart(l0, l1, geometry)
    room = fields["di_forkoff"].astype(np.int64) * 8
    has_room = (room == 0) | (room >= RECORD.itemsize)
    is_one_piece = (
        (nr_extents == 1)
        & has_room
        & extent.is_sound
        & (extent.begin == 0)
        & (extent.is_unwritten == 0)
        & (size <= extent.length * np.uint64(geometry.block_bytes))
    )
    is_listed = (
        (fields["di_format"] == xfs.XFS_DINODE_FMT_EXTENTS)
        & (fields["di_mode"] >> 12 == stat.S_IFREG >> 12)
        & ((fields["di_flags"] & xfs.XFS_DIFLAG_REALTIME) == 0)
        & (begin + room < geometry.inode_bytes)
    )
    is_known = is_listed & (is_one_piece | ((nr_extents == 0) & (size == 0)))
    places = np.where(is_one_piece, extent.place, np.uint64(0)).tolist()
    columns = (is_known.tolist(), places, (room > 0).tolist())
    return [
        Outline(place if known else None, has_xattrs)
        for known, place, has_xattrs in zip(*columns, strict=True)
    ]
