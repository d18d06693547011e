"""Whether a record of an XFS log is whole; and if not, whether a crash leaves it so.

Each basic block tells by its cycle whether it is of this round: what is not was not written
yet when the machine stopped. What is of this round and wrong was damaged since.
"""

from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.xfs_log import (
    XLOG_CYCLES_A_BLOCK,
    XLOG_EXTENSION_BYTES,
    XLOG_HEADER_CYCLE_BYTES,
    XLOG_HEADER_MAGIC_NUM,
    XLOG_RECORD_BYTES,
    XfsLogRecord,
    XfsLogRecordExtension,
    XfsLogWord,
)
from thinmeta.volume.xfs_log import LogRecordHeader, log_block, log_cycle

Rows = npt.NDArray[np.uint8]

_crc32c: Any = fastcrc.crc32.iscsi
_WORD = dtype_of(XfsLogWord)
_CRC_AT, _CRC = field_of(XfsLogRecord, "h_crc")
_CYCLES_AT = field_of(XfsLogRecord, "h_cycle_data")[0]
_MORE_CYCLES_AT = field_of(XfsLogRecordExtension, "xh_cycle_data")[0]
_CYCLES_BYTES = XLOG_CYCLES_A_BLOCK * _WORD.itemsize


class StopError(Exception):
    """No whole record begins where one would.

    Attributes:
        lsn: that it would have.
        is_damage: whether a crash does not leave it so.
    """

    def __init__(self, lsn: int, why: str, *, is_damage: bool) -> None:
        """Say where and why."""
        super().__init__(f"the record at block {log_block(lsn)} of the log {why}")
        self.lsn = lsn
        self.is_damage = is_damage


def check_header(lsn: int, header: LogRecordHeader) -> None:
    """Check that a header is of this place and this round.

    Raises:
        StopError: it is not.
    """
    cycle = log_cycle(lsn)
    if header["h_magicno"] != XLOG_HEADER_MAGIC_NUM:
        is_old = header["h_magicno"] < cycle  # which is what other blocks have there
        raise StopError(lsn, "is missing", is_damage=not is_old)
    if header["h_cycle"] != cycle or header["h_lsn"] != lsn:
        is_old = log_cycle(header["h_lsn"]) == header["h_cycle"] < cycle
        raise StopError(lsn, "is of another round", is_damage=not is_old)


def next_cycle(cycle: int) -> int:
    """Return the cycle of the next round; the magic is none."""
    return cycle + 2 if cycle + 1 == XLOG_HEADER_MAGIC_NUM else cycle + 1


def check_cycles(lsn: int, data: Rows, cycle: int, until_end: int) -> None:
    """Check that all blocks of a record but the first are of its round.

    Args:
        lsn: of the record.
        data: the blocks.
        cycle: of the record.
        until_end: how many of them are before the end of the log.

    Raises:
        StopError: some are not.
    """
    words = data[:, : _WORD.itemsize].copy().view(_WORD)[:, 0].astype(np.uint32)
    expected = np.where(np.arange(len(words)) < until_end, cycle, next_cycle(cycle))
    wrong = words != expected
    if wrong.any():
        is_old = (words < expected) | (words == XLOG_HEADER_MAGIC_NUM)
        raise StopError(lsn, "is not whole", is_damage=not is_old[wrong].all())


def check_sum(lsn: int, header: LogRecordHeader, data: Rows, nr_header: int, nr_bytes: int) -> None:
    """Check the checksum of a record; those of old kernels have none.

    Raises:
        StopError: it is wrong.

    Source: `xlog_cksum()`, fs/xfs/xfs_log.c.
    """
    if not header["h_crc"]:
        return
    first = data[0].tobytes()
    after = _CRC_AT + _CRC.sizeof()
    extensions = min(nr_header, -(-nr_bytes // XLOG_HEADER_CYCLE_BYTES))
    rest = data[1:extensions, :XLOG_EXTENSION_BYTES].tobytes()
    body = data[nr_header:].reshape(-1)[:nr_bytes].data
    for size in XLOG_RECORD_BYTES:
        head = first[:_CRC_AT] + bytes(_CRC.sizeof()) + first[after:size]
        if _crc32c(body, _crc32c(head + rest)) == header["h_crc"]:
            return
    raise StopError(lsn, "is not as its checksum says", is_damage=True)


def cycle_data(data: Rows, nr_header: int) -> Rows:
    """Return what the blocks of a record's content began with, shape `(n, 4)`."""
    width = _WORD.itemsize
    first = data[0, _CYCLES_AT : _CYCLES_AT + _CYCLES_BYTES].reshape(-1, width)
    if nr_header == 1:
        return first
    more = data[1:nr_header, _MORE_CYCLES_AT : _MORE_CYCLES_AT + _CYCLES_BYTES]
    return np.concatenate([first, more.reshape(-1, width)])
