"""The checksum of XFS, version 5: CRC-32C of a structure, which has zeros where it stands."""

from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

_CSUM_BYTES = 4


def crc_with_zeros(data: bytes, place: int) -> int:
    """Return the checksum of a structure that has its checksum at `place`."""
    crc: Any = fastcrc.crc32.iscsi
    return int(crc(data[:place] + bytes(_CSUM_BYTES) + data[place + _CSUM_BYTES :]))


def crcs_with_zeros(rows: npt.NDArray[np.uint8], place: int) -> npt.NDArray[np.uint32]:
    """Return the checksums of many, shape `(n,)`.

    Args:
        rows: the structures, shape `(n, size)`.
        place: where the checksum is in each.
    """
    blank = rows.copy()
    blank[:, place : place + _CSUM_BYTES] = 0
    crc: Any = fastcrc.crc32.iscsi
    return np.fromiter(map(crc, blank), dtype=np.uint32, count=len(blank))
