"""What of value a block device or an image holds, by its signatures."""

import os

from thinmeta.schemas.magics import SIGNATURES

_BYTES = 72 << 10


def occupant_of(fd: int) -> str | None:
    """Return what stands at the beginning of an open file or device; None if nothing known does.

    Raises:
        OSError: it cannot be read.
    """
    beginning = os.pread(fd, _BYTES, 0)
    for offset, magic, what in SIGNATURES:
        if beginning[offset : offset + len(magic)] == magic:
            return what
    return None
