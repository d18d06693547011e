"""The bytes of a log as they were logged, and those that replaying it changes beyond that."""

from collections.abc import Iterator
from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.files.reading import ByteSource, Missing
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.xfs_log import XFS_LOG_DINODES, XLOG_BASIC_BLOCK_BYTES, XfsLogWord
from thinmeta.volume.xfs_log import LogPlace

Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint8]

_crc32c: Any = fastcrc.crc32.iscsi
_WORD = dtype_of(XfsLogWord)


class LogBytes:
    """A log without the cycles in it, and what was converted after it.

    Attributes:
        name: of the volume.
        size: in bytes.
    """

    def __init__(self, source: ByteSource, log: LogPlace, words: Rows, converted: bytes) -> None:
        """Read from `source`.

        Args:
            source: the volume.
            log: where in it the log is.
            words: what each basic block begins with, shape `(n, 4)`.
            converted: more bytes, which have places after the log.
        """
        self.name = source.name
        self.size = log.size + len(converted)
        self._source = source
        self._log = log
        self._words = words
        self._converted = converted

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        in_log = max(0, min(len(view), self._log.size - begin))
        shift = -self._log.begin
        if in_log:
            part = view[:in_log]
            for missing in self._source.fill(part, self._log.begin + begin):
                yield missing.moved(missing.begin, missing.end, shift)
            self._put_words(part, begin)
        after = begin + in_log - self._log.size
        view[in_log:] = self._converted[after : after + len(view) - in_log]

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        """Return what of `begin..end` is known to be lost; see `ByteSource.lost()`."""
        shift = self._log.begin
        for missing in self._source.lost(begin + shift, min(end, self._log.size) + shift):
            yield missing.moved(missing.begin, missing.end, -shift)

    def _put_words(self, view: memoryview, begin: int) -> None:
        size, width = XLOG_BASIC_BLOCK_BYTES, _WORD.itemsize
        data = np.frombuffer(view, dtype=np.uint8)
        first, last = begin // size, -(-(begin + len(view)) // size)
        at = np.arange(first, last) * size - begin
        places = at[:, np.newaxis] + np.arange(width)
        inside = (places >= 0) & (places < len(data))
        data[places[inside]] = self._words[first:last][inside]


def _order(layout: np.dtype[Any]) -> npt.NDArray[np.intp]:
    """Return where each byte of an inode on disk is in the log, where numbers are turned."""
    order = np.arange(layout.itemsize)
    for kind, at in (field[:2] for field in (layout.fields or {}).values()):
        width = kind.base.itemsize
        if kind.base.kind != "V":
            own = order[at : at + kind.itemsize].reshape(-1, width)
            own[:] = own[:, ::-1].copy()
    return order


_DINODE = XFS_LOG_DINODES[False, False]
_ORDERS = {flags: _order(dtype_of(layout)) for flags, layout in XFS_LOG_DINODES.items()}
_FLAGS2_AT = field_of(_DINODE, "di_flags2")[0]
_BIG_TIMES, _BIG_COUNTS = xfs.XFS_DIFLAG2_BIGTIME, xfs.XFS_DIFLAG2_NREXT64


def put_in_order(rows: Rows) -> Rows:
    """Return inodes as they are on disk.

    Args:
        rows: as they are in the log, shape `(n, 176)` or, in version 4, `(n, 96)`.
    """
    width = rows.shape[1]
    if width <= _FLAGS2_AT:
        return rows[:, _ORDERS[False, False][:width]]
    flags = rows[:, _FLAGS2_AT]
    turned = np.empty_like(rows)
    for (has_big_times, has_big_counts), order in _ORDERS.items():
        own = ((flags & _BIG_TIMES) != 0) == has_big_times
        own &= ((flags & _BIG_COUNTS) != 0) == has_big_counts
        turned[own] = rows[own][:, order]
    return turned
