"""What is told of many inodes at once, by their fields."""

import stat
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of

Rows = npt.NDArray[np.uint8]

_DEVICE = dtype_of(xfs.DeviceNumber)


def devices_of(rows: Rows, mode: npt.NDArray[np.uint16], begin: int) -> list[tuple[int, int]]:
    """Return major and minor numbers of inodes, zeros of what is no device.

    Args:
        rows: their bytes, one a row.
        mode: of each.
        begin: where in a row the data begins.
    """
    devices = [(0, 0)] * len(rows)
    kind = mode & 0o170000
    places = np.flatnonzero((kind == stat.S_IFCHR) | (kind == stat.S_IFBLK))
    if len(places):
        raw = rows[places, begin : begin + _DEVICE.itemsize].view(_DEVICE)[:, 0].tolist()
        for place, number in zip(places.tolist(), raw, strict=True):
            minor = number & ((1 << xfs.XFS_MINOR_BITS) - 1)
            devices[place] = (number >> xfs.XFS_MINOR_BITS, minor)
    return devices


def have_blocks_of_attributes(fields: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which inodes have blocks of attributes."""
    form, count = fields["di_aformat"], fields["di_anextents"]
    if "di_flags2" in (fields.dtype.names or ()):
        is_big = (fields["di_flags2"] & np.uint64(xfs.XFS_DIFLAG2_NREXT64)) != 0
        count = np.where(is_big, fields["di_nextents"], count)
    has_blocks = (form == xfs.XFS_DINODE_FMT_BTREE) | (
        (form == xfs.XFS_DINODE_FMT_EXTENTS) & (count > 0)
    )
    found: npt.NDArray[np.bool_] = (fields["di_forkoff"] != 0) & has_blocks
    return found
