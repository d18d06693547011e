"""What of value a block device or an image holds, by its signatures."""

import os

from thinmeta.schemas.magics import SIGNATURES, signatures_at_end


def occupant_of(fd: int) -> str | None:
    """Return what an open file or device holds, by its beginning or its end; None: nothing known.

    Raises:
        OSError: it cannot be read.
    """
    before = os.lseek(fd, 0, os.SEEK_CUR)
    size = os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, before, os.SEEK_SET)
    for offset, magic, what in (*SIGNATURES, *signatures_at_end(size)):
        if os.pread(fd, len(magic), offset) == magic:
            return what
    return None
