"""What of a file is stored; the rest is holes, which read as zeros."""

import errno
import os
import stat


class Holes:
    """Tells what of a file is stored; what is not is a hole, and need not be read."""

    def __init__(self, fd: int) -> None:
        """Look at an open file; all is taken for stored where nobody can tell, on block devices."""
        self._fd = fd
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._begin = self._end = 0

    def stored(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the ranges of `begin..end` that are stored."""
        if not self._is_file:
            return [(begin, end)]
        found = []
        while begin < end:
            if not self._begin <= begin < self._end:
                try:
                    self._begin = os.lseek(self._fd, begin, os.SEEK_DATA)
                    self._end = os.lseek(self._fd, self._begin, os.SEEK_HOLE)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # a hole up to the end
                        break
                    self._begin, self._end = begin, end
            if self._begin < end:
                found.append((max(begin, self._begin), min(end, self._end)))
            begin = self._end
        return found
