"""What the transactions of an XFS log have logged: regions, joined over records, by transaction."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from thinmeta.files.file_system import FileError
from thinmeta.files.xfs.log_records import LogRecord
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.xfs_log import (
    XFS_LOG,
    XFS_TRANSACTION,
    XLOG_BASIC_BLOCK_BYTES,
    XLOG_COMMIT_TRANS,
    XLOG_CONTINUE_TRANS,
    XLOG_START_TRANS,
    XLOG_UNMOUNT_TRANS,
    XLOG_WAS_CONT_TRANS,
    XfsLogOperation,
    XfsLogWord,
)
from thinmeta.volume.xfs_log import log_block
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import piece_begins

Rows = npt.NDArray[np.uint8]

HEAD_BYTES = 96
"""Of each region, which hold all that tells what it is."""

_SPECIAL = (
    XLOG_START_TRANS
    | XLOG_COMMIT_TRANS
    | XLOG_CONTINUE_TRANS
    | XLOG_WAS_CONT_TRANS
    | XLOG_UNMOUNT_TRANS
)
_MANY_REGIONS = 1 << 14
_WORD = dtype_of(XfsLogWord)
_OPERATION = dtype_of(XfsLogOperation)
_LENGTH_WORD = field_of(XfsLogOperation, "oh_len")[0] // _WORD.itemsize
_OPERATION_WORDS = _OPERATION.itemsize // _WORD.itemsize


class LogError(FileError):
    """What of a log cannot be believed."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions(Columnar):
    """Regions in the order in which they were logged, as columns of shape `(n,)`.

    Attributes:
        head: the first bytes of each, shape `(n, 96)`; zeros after its end.
        length: in bytes, dtype int64.
        place: where it begins in the log, in bytes, dtype int64.
        parts: among those that are in parts its number, dtype int64; -1 if it is in one.
    """

    head: Rows
    length: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]


Part = tuple[int, int]
"""Where a part of a region is in the log, and how long it is, in bytes."""


@dataclass(slots=True)
class Batch:
    """Transactions that were committed one after the other.

    Attributes:
        first: the place of the first one among all.
        lsns: of each the LSN of the record that it begins in.
        counts: of each how many regions it has.
        regions: all of them, the header of each transaction among them.
    """

    first: int = 0
    lsns: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    regions: list[Regions] = field(default_factory=list)

    def singles(self) -> "Iterator[Batch]":
        """Return each of its transactions alone."""
        regions = Regions.joined(self.regions)
        done = 0
        for at, (lsn, count) in enumerate(zip(self.lsns, self.counts, strict=True)):
            yield Batch(self.first + at, [lsn], [count], [regions[done : done + count]])
            done += count


@dataclass(slots=True)
class _Open:
    """A transaction that is not committed yet."""

    lsn: int
    regions: list[Regions] = field(default_factory=list)
    goes_on: bool = False


class _Operations(NamedTuple):
    """Those of a record, as columns of shape `(n,)`; each is a region."""

    tids: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    regions: Regions


class LogTransactions:
    """Joins the operations of records to transactions.

    Attributes:
        nr_transactions: that were committed so far.
        parts: of each region that is in parts.

    Source: `xlog_recover_process_ophdr()`, fs/xfs/xfs_log_recover.c (Linux v6.6).
    """

    def __init__(self, log_bytes: int) -> None:
        """Begin.

        Args:
            log_bytes: of the log, round which regions may go.
        """
        self.nr_transactions = 0
        self.parts: list[list[Part]] = []
        self._log_bytes = log_bytes
        self._open: dict[int, _Open] = {}
        self._batch = Batch()
        self._nr_regions = 0

    def add(self, record: LogRecord) -> Iterator[Batch]:
        """Take the next record; return what has been committed, when it has become much.

        Raises:
            LogError: its operations cannot be believed.
        """
        tids, flags, regions = _operations(record, self._log_bytes)
        for row in np.flatnonzero(regions.place + regions.length > self._log_bytes).tolist():
            begin, length = int(regions.place[row]), int(regions.length[row])
            until = self._log_bytes - begin
            self._split(regions, row, [(begin, until), (0, length - until)])
        is_special = (flags & _SPECIAL) != 0
        breaks = (tids[1:] != tids[:-1]) | is_special[1:] | is_special[:-1]
        first = np.flatnonzero(piece_begins(len(tids), breaks)).tolist()
        for begin, end in zip(first, [*first[1:], len(tids)], strict=True):
            tid, opened = int(tids[begin]), self._open.get(int(tids[begin]))
            if is_special[begin]:
                self._special(record, tid, int(flags[begin]), regions[begin:end])
            elif opened is not None:
                opened.regions.append(regions[begin:end])
                opened.goes_on = False
        if self._nr_regions >= _MANY_REGIONS:
            yield self.rest()

    def rest(self) -> Batch:
        """Return what has been committed and not been returned yet."""
        batch = self._batch
        self._batch = Batch(first=self.nr_transactions)
        self._nr_regions = 0
        return batch

    def _special(self, record: LogRecord, tid: int, flags: int, region: Regions) -> None:
        opened = self._open.get(tid)
        if opened is None:
            # What began before the first record is where it belongs.
            if flags & XLOG_START_TRANS:
                self._open[tid] = _Open(record.lsn)
            return
        if flags & XLOG_COMMIT_TRANS:
            del self._open[tid]
            self._commit(opened)
        elif flags & XLOG_WAS_CONT_TRANS:
            self._go_on(opened, region)
        elif not flags & (XLOG_START_TRANS | XLOG_UNMOUNT_TRANS):
            opened.regions.append(region)
        opened.goes_on = bool(flags & XLOG_CONTINUE_TRANS)

    def _go_on(self, opened: _Open, more: Regions) -> None:
        """Append to the last region of a transaction."""
        if not opened.regions or not opened.goes_on:
            raise LogError("a region of the log goes on that did not begin")
        last = opened.regions[-1]
        begun, added = int(last.length[-1]), int(more.length[0])
        room = max(0, min(HEAD_BYTES - begun, added))
        last.head[-1, begun : begun + room] = more.head[0, :room]
        parts = self._parts_of(last, -1) + self._parts_of(more, 0)
        last.length[-1] += added
        self._split(last, -1, parts)

    def _parts_of(self, regions: Regions, row: int) -> list[Part]:
        number = int(regions.parts[row])
        if number >= 0:
            return self.parts[number]
        return [(int(regions.place[row]), int(regions.length[row]))]

    def _split(self, regions: Regions, row: int, parts: list[Part]) -> None:
        if regions.parts[row] >= 0:
            self.parts[int(regions.parts[row])] = parts
            return
        regions.parts[row] = len(self.parts)
        self.parts.append(parts)

    def _commit(self, opened: _Open) -> None:
        regions = opened.regions
        count = sum(len(each) for each in regions)
        if not count:
            return
        self._batch.lsns.append(opened.lsn)
        self._batch.counts.append(count)
        self._batch.regions += regions
        self._nr_regions += count
        self.nr_transactions += 1


def _operations(record: LogRecord, log_bytes: int) -> _Operations:
    """Return the operations of a record.

    Raises:
        LogError: they cannot be believed.
    """
    content = record.content
    padded = np.zeros(len(content) + HEAD_BYTES, dtype=np.uint8)
    padded[: len(content)] = content
    words = padded[: len(content) & -_WORD.itemsize].view(_WORD).astype(np.uint32)
    begins = np.array(_begins(record, words), dtype=np.int64)
    rows = sliding_window_view(padded, _OPERATION.itemsize)[begins].view(_OPERATION)[:, 0]
    clients = rows["oh_clientid"]
    if not ((clients == XFS_TRANSACTION) | (clients == XFS_LOG)).all():
        raise LogError(f"{_name(record)} has an operation of nobody")
    lengths = rows["oh_len"].astype(np.int64)
    after = begins + _OPERATION.itemsize
    heads = sliding_window_view(padded, HEAD_BYTES)[np.minimum(after, len(content))]
    heads[np.arange(HEAD_BYTES) >= lengths[:, np.newaxis]] = 0
    places = (record.begin * XLOG_BASIC_BLOCK_BYTES + after) % log_bytes
    regions = Regions(heads, lengths, places, np.full(len(rows), -1, dtype=np.int64))
    return _Operations(rows["oh_tid"].astype(np.uint32), rows["oh_flags"], regions)


def _begins(record: LogRecord, words: npt.NDArray[np.uint32]) -> list[int]:
    """Return at which byte of a record's content each operation begins."""
    begins = []
    at, end, word = 0, len(words), words.item
    for _ in range(record.nr_operations):
        if at + _OPERATION_WORDS > end:
            raise LogError(f"{_name(record)} ends within its operations")
        begins.append(at * _WORD.itemsize)
        length = word(at + _LENGTH_WORD)
        at += _OPERATION_WORDS + -(-length // _WORD.itemsize)
    if at > end:
        raise LogError(f"{_name(record)} ends within its operations")
    return begins


def _name(record: LogRecord) -> str:
    return f"the record at block {log_block(record.lsn)} of the log"
