"""The records of an XFS log that must be replayed: from the tail to the last one that is whole.

A record is written in one go, and several may be on their way at once: after a crash one may
lack a part, and later ones may be there. Each basic block tells by its cycle whether it is of
this round, so what was torn is told from what was damaged since.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.files.reading import ByteSource
from thinmeta.files.xfs.log_record_checks import (
    StopError,
    check_cycles,
    check_header,
    check_sum,
    cycle_data,
    next_cycle,
)
from thinmeta.schemas.columns import dtype_of, field_of, fields_at
from thinmeta.schemas.xfs_log import (
    XLOG_BASIC_BLOCK_BYTES,
    XLOG_CYCLES_A_BLOCK,
    XLOG_HEADER_CYCLE_BYTES,
    XLOG_MAX_ICLOGS,
    XLOG_MAX_RECORD_BYTES,
    XfsLogRecord,
    XfsLogRecordExtension,
    XfsLogWord,
)
from thinmeta.volume.xfs_log import (
    LogPlace,
    header_blocks,
    is_unmount,
    log_block,
    log_cycle,
    lsn_of,
    record_header,
    record_lsns,
)

Rows = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]

_crc32c: Any = fastcrc.crc32.iscsi
_BLOCK = XLOG_BASIC_BLOCK_BYTES
_WORD, _RECORD = dtype_of(XfsLogWord), dtype_of(XfsLogRecord)
_CRC_AT, _CRC = field_of(XfsLogRecord, "h_crc")
_CYCLES_AT = field_of(XfsLogRecord, "h_cycle_data")[0]
_MORE_CYCLES_AT = field_of(XfsLogRecordExtension, "xh_cycle_data")[0]
_CYCLES_BYTES = XLOG_CYCLES_A_BLOCK * _WORD.itemsize
_MOST_TRIES = 2 * XLOG_MAX_ICLOGS


class LogRecord(NamedTuple):
    """A record that is whole.

    Attributes:
        lsn: its cycle and block.
        tail: the LSN from which on records had to be replayed when it was written.
        begin: block at which its content begins.
        content: its bytes, as they were before the log put cycles into them.
        nr_operations: in it.
        end: the LSN of what comes after it.
    """

    lsn: int
    tail: int
    begin: int
    content: Rows
    nr_operations: int
    end: int


@dataclass(frozen=True, slots=True)
class LogRange:
    """Records that must be replayed.

    Attributes:
        tail: the LSN of the first one; None if there is nothing to replay.
        last: that of the last one.
        fault: why no later one is believed; None if there is none, or it was torn.
    """

    tail: int | None
    last: int
    fault: str | None


class LogRecords:
    """Reads the records of a log.

    Attributes:
        place: where the log is.
        words: of each basic block read so far, what it began with before the log put the cycle
            there, shape `(n, 4)`.
    """

    def __init__(self, source: ByteSource, place: LogPlace) -> None:
        """Read from `source`."""
        self.place = place
        self.words = np.zeros((place.nr_blocks, _WORD.itemsize), dtype=np.uint8)
        self._source = source
        self._whole: set[int] = set()

    def find(self) -> LogRange:
        """Find the records that must be replayed.

        Source: `xlog_find_head()`, `xlog_find_tail()` and `xlog_verify_head()`,
        fs/xfs/xfs_log_recover.c (Linux v6.6).
        """
        lsns = record_lsns(self._read, self.place)
        if not len(lsns):
            return LogRange(None, 0, "no record can be found in the log")
        last, fault = int(lsns[-1]), None
        for _ in range(_MOST_TRIES):
            good = None
            try:
                tail = self._tail(last)
                for record in self.between(last if tail is None else tail, last):
                    good = record
                return LogRange(tail, last, fault or self._damage_after(record))
            except StopError as stop:
                whole_end = stop.lsn if good is None else good.lsn + 1
                fault = fault or self._fault(stop, lsns[lsns >= whole_end])
            before = lsns[lsns < whole_end]
            if not len(before):
                break
            last = int(before[-1])
        return LogRange(None, 0, fault or "no record of the log can be believed")

    def _tail(self, last: int) -> int | None:
        """Return the tail that a record tells; None if it is an unmount's.

        Raises:
            StopError: it is not whole.
        """
        header = record_header(self._read, self.place, last)
        return None if is_unmount(self._read, self.place, header) else self._record(last).tail

    def _damage_after(self, record: LogRecord) -> str | None:
        """Return what is wrong with the record after the last one, if a crash leaves none so."""
        try:
            self._record(record.end)
        except StopError as stop:
            return str(stop) if stop.is_damage else None
        return None

    def between(self, tail: int, last: int) -> Iterator[LogRecord]:
        """Return the records from one to another.

        Raises:
            StopError: one that is not whole is among them.
        """
        lsn = tail
        done = 0
        while True:
            record = self._record(lsn)
            yield record
            if lsn == last:
                return
            done += (log_block(record.end) - log_block(lsn)) % self.place.nr_blocks
            if record.end > last or done > self.place.nr_blocks:
                raise StopError(record.end, "is not where the last one is", is_damage=True)
            lsn = record.end

    def _fault(self, stop: StopError, later: npt.NDArray[np.uint64]) -> str | None:
        """Return what is wrong if a crash does not leave a log like that."""
        is_torn = not stop.is_damage and len(later) <= XLOG_MAX_ICLOGS
        return None if is_torn else str(stop)

    def _record(self, lsn: int) -> LogRecord:
        place, block, cycle = self.place, log_block(lsn), log_cycle(lsn)
        if not 0 <= block < place.nr_blocks:
            raise StopError(lsn, "is not in the log", is_damage=True)
        first = self._blocks(lsn, block, 1)
        header = fields_at(_RECORD, first.tobytes())
        check_header(lsn, header)
        nr_header, nr_bytes = header_blocks(header), int(header["h_len"])
        nr_blocks = nr_header + -(-nr_bytes // _BLOCK)
        if nr_bytes > XLOG_MAX_RECORD_BYTES or nr_blocks > place.nr_blocks or not nr_bytes:
            raise StopError(lsn, f"cannot have {nr_bytes} bytes", is_damage=True)
        if nr_header * XLOG_HEADER_CYCLE_BYTES < nr_bytes:
            raise StopError(lsn, "has no room for its cycles", is_damage=True)
        data = self._blocks(lsn, block, nr_blocks)
        if lsn not in self._whole:
            check_cycles(lsn, data[1:], cycle, place.nr_blocks - block - 1)
            check_sum(lsn, header, data, nr_header, nr_bytes)
            self._whole.add(lsn)
        begin = (block + nr_header) % place.nr_blocks
        content = data[nr_header:]
        places = (begin + np.arange(len(content))) % place.nr_blocks
        words = cycle_data(data, nr_header)[: len(content)]
        content[:, : _WORD.itemsize] = words
        self.words[places] = words
        end = block + nr_blocks
        return LogRecord(
            lsn=lsn,
            tail=int(header["h_tail_lsn"]),
            begin=begin,
            content=content.reshape(-1)[:nr_bytes],
            nr_operations=int(header["h_num_logops"]),
            end=lsn_of(next_cycle(cycle), end - place.nr_blocks)
            if end >= place.nr_blocks
            else lsn_of(cycle, end),
        )

    def _blocks(self, lsn: int, block: int, count: int) -> Rows:
        """Return basic blocks, round the log, shape `(count, 512)`.

        Raises:
            StopError: a part of them cannot be had.
        """
        buffer = bytearray(count * _BLOCK)
        view = memoryview(buffer)
        until = min(count, self.place.nr_blocks - block) * _BLOCK
        parts = [(view[:until], block), (view[until:], 0)]
        for part, at in parts:
            if part:
                for missing in self._source.fill(part, self.place.begin + at * _BLOCK):
                    raise StopError(lsn, f"cannot be read: {missing.cause}", is_damage=True)
        return np.frombuffer(buffer, dtype=np.uint8).reshape(count, _BLOCK)

    def _read(self, begin: int, size: int) -> bytes:
        buffer = bytearray(size)
        for _ in self._source.fill(memoryview(buffer), begin):
            pass  # it is zeros, which are no record; who needs one asks again
        return bytes(buffer)
