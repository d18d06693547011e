"""Where the log of an XFS is, which records it has, and whether the last one is an unmount's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.schemas.columns import dtype_of, fields_at
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.xfs_log import (
    XFS_MAX_LOG_BYTES,
    XLOG_BASIC_BLOCK_BYTES,
    XLOG_HEADER_CYCLE_BYTES,
    XLOG_HEADER_MAGIC_NUM,
    XLOG_UNMOUNT_TRANS,
    XLOG_VERSION_2,
    XfsLogOperation,
    XfsLogRecord,
    XfsLogWord,
)

Read = Callable[[int, int], bytes]
"""Returns bytes of the volume: from where, and how many; zeros for what cannot be had."""

LogRecordHeader = dict[str, Any]
"""The fields of a record's header, by the kernel's names."""

_AT_ONCE = 4 << 20
_WORD = dtype_of(XfsLogWord)
_RECORD = dtype_of(XfsLogRecord)
_BLOCK_BITS = 32


class LogPlace(NamedTuple):
    """Where a log is.

    Attributes:
        begin: in the volume, in bytes.
        size: in bytes.
    """

    begin: int
    size: int

    @property
    def nr_blocks(self) -> int:
        """How many blocks of 512 bytes it has."""
        return self.size // XLOG_BASIC_BLOCK_BYTES

    def is_sound(self) -> bool:
        """Tell whether a log can be as long as that."""
        return 0 < self.size <= XFS_MAX_LOG_BYTES and not self.size % XLOG_BASIC_BLOCK_BYTES


def log_block(lsn: int) -> int:
    """Return the block of 512 bytes at which a record begins, by its LSN."""
    return lsn & ((1 << _BLOCK_BITS) - 1)


def log_cycle(lsn: int) -> int:
    """Return how often the log had been written round, by a record's LSN."""
    return lsn >> _BLOCK_BITS


def lsn_of(cycle: int, block: int) -> int:
    """Return the LSN of a record."""
    return cycle << _BLOCK_BITS | block


def record_lsns(read: Read, log: LogPlace) -> npt.NDArray[np.uint64]:
    """Return the LSNs of all records in a log, ascending; they may be of any age.

    Only a record's header begins with the magic: in all other basic blocks the log keeps
    the cycle there.
    """
    found = [np.zeros(0, dtype=np.uint64)]
    for done in range(0, log.size, _AT_ONCE):
        part = read(log.begin + done, min(_AT_ONCE, log.size - done))
        rows = np.frombuffer(part, dtype=np.uint8).reshape(-1, XLOG_BASIC_BLOCK_BYTES)
        words = rows[:, : _WORD.itemsize].copy().view(_WORD)[:, 0]
        places = np.flatnonzero(words == XLOG_HEADER_MAGIC_NUM)
        lsns = rows[places, : _RECORD.itemsize].view(_RECORD)[:, 0]["h_lsn"].astype(np.uint64)
        blocks = (places + done // XLOG_BASIC_BLOCK_BYTES).astype(np.uint64)
        found.append(lsns[lsns & np.uint64((1 << _BLOCK_BITS) - 1) == blocks])
    return np.sort(np.concatenate(found))


def record_header(read: Read, log: LogPlace, lsn: int) -> LogRecordHeader:
    """Return the header of the record of this LSN."""
    at = log.begin + log_block(lsn) * XLOG_BASIC_BLOCK_BYTES
    return fields_at(_RECORD, read(at, XLOG_BASIC_BLOCK_BYTES))


def header_blocks(header: LogRecordHeader) -> int:
    """Return how many blocks of 512 bytes the header of a record takes."""
    if not int(header["h_version"]) & XLOG_VERSION_2:
        return 1
    return max(1, -(-int(header["h_size"]) // XLOG_HEADER_CYCLE_BYTES))


def is_unmount(read: Read, log: LogPlace, header: LogRecordHeader) -> bool:
    """Tell whether a record is that of an unmount.

    Source: `xlog_check_unmount_rec()`, fs/xfs/xfs_log_recover.c (Linux v6.6).
    """
    if int(header["h_num_logops"]) != 1:
        return False
    block = log_block(int(header["h_lsn"])) + header_blocks(header)
    at = log.begin + block % log.nr_blocks * XLOG_BASIC_BLOCK_BYTES  # the log may go round here
    operation = parsed(XfsLogOperation, read(at, XLOG_BASIC_BLOCK_BYTES))
    return bool(int(operation["oh_flags"]) & XLOG_UNMOUNT_TRANS)


def is_clean(read: Read, log: LogPlace) -> bool:
    """Tell whether the record that was written last is that of an unmount."""
    lsns = record_lsns(read, log)
    return len(lsns) > 0 and is_unmount(read, log, record_header(read, log, int(lsns[-1])))
