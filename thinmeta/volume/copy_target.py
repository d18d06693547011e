"""What a volume is written to: a new file, in which nothing is a hole, or a block device."""

import errno
import fcntl
import mmap
import os
import struct
from typing import Protocol

BLKZEROOUT = 0x127F  # include/uapi/linux/fs.h

_ZEROS_AT_ONCE = 1 << 30
_BUFFER = 1 << 20


class CopyTarget(Protocol):
    """A place that a volume is written to.

    Attributes:
        fd: a descriptor that can be written at any offset.
        holes: whether what is not written is zeros.
    """

    @property
    def fd(self) -> int:
        """The descriptor."""
        ...

    @property
    def holes(self) -> bool:
        """Whether what is not written is zeros."""
        ...

    def zero(self, begin: int, end: int) -> None:
        """Let a range be zeros.

        Raises:
            OSError: it cannot be written.
        """
        ...


class FileTarget:
    """A file that is all holes to begin with."""

    holes = True

    def __init__(self, fd: int, size: int) -> None:
        """Make the file behind `fd` as large as the volume."""
        self.fd = fd
        os.ftruncate(fd, size)

    def zero(self, begin: int, end: int) -> None:
        """Do nothing: it is zeros."""


class BlockTarget:
    """A block device, whose old content must not shine through."""

    holes = False

    def __init__(self, fd: int, size: int) -> None:
        """Write a volume of `size` bytes to the device behind `fd`.

        Raises:
            OSError: the device is too small (ENOSPC).
        """
        self.fd = fd
        if os.lseek(fd, 0, os.SEEK_END) < size:
            raise OSError(errno.ENOSPC, f"the volume has {size} bytes, more than the device")

    def zero(self, begin: int, end: int) -> None:
        """Let the device make a range zeros, or write them.

        Raises:
            OSError: it cannot be written.
        """
        while begin < end:
            stop = min(begin + _ZEROS_AT_ONCE, end)
            try:
                fcntl.ioctl(self.fd, BLKZEROOUT, struct.pack("=QQ", begin, stop - begin))
            except OSError:  # not aligned
                _write_zeros(self.fd, begin, stop)
            begin = stop


def _write_zeros(fd: int, begin: int, end: int) -> None:
    with mmap.mmap(-1, _BUFFER) as zeros, memoryview(zeros) as view:
        while begin < end:
            with view[: end - begin] as part:
                begin += os.pwrite(fd, part, begin)
