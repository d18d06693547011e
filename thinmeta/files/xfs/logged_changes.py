"""All that the transactions of a log change, and what of it is seen in the end."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from thinmeta.files.overlay import is_void, topmost
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.log_inodes import InodeChanges
from thinmeta.files.xfs.log_items import (
    Cancelled,
    Changes,
    RegionPieces,
    buffer_changes,
    buffer_range,
    items_of,
    unfinished,
)
from thinmeta.files.xfs.log_record_checks import StopError
from thinmeta.files.xfs.log_records import LogRecord
from thinmeta.files.xfs.log_transactions import Batch, LogError, LogTransactions
from thinmeta.files.xfs.logged_blocks import lsns_on_disk
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.walk.columnar import GrowingColumn
from thinmeta.walk.ragged import distinct_places

_MANY_CHANGES = 1 << 19
_NONE = np.zeros(0, dtype=np.int64)


class LoggedChanges:
    """Collects what transactions change.

    Attributes:
        nr_transactions: that were taken.
    """

    def __init__(self, geometry: XfsGeometry, volume_bytes: int, log_bytes: int) -> None:
        """Begin with none.

        Args:
            geometry: of the file system.
            volume_bytes: of the volume, in which all changes must be.
            log_bytes: of the log.
        """
        self.nr_transactions = 0
        self._geometry = geometry
        self._volume_bytes = volume_bytes
        self._transactions = LogTransactions(log_bytes)
        self._inodes = InodeChanges(geometry, log_bytes)
        self._changes = Changes(*[_NONE] * 6)
        self._unfinished: set[tuple[int, int]] = set()
        self._new: list[Changes] = []
        self._nr_new = 0
        self._cancelled = [GrowingColumn(np.dtype(np.int64)) for _ in range(2)]
        self._lsns = GrowingColumn(np.dtype(np.uint64))

    @property
    def converted(self) -> bytes:
        """Bytes that the log has in another order, which have places after it."""
        return bytes(self._inodes.converted)

    def read(self, records: Iterable[LogRecord]) -> str | None:
        """Take the transactions of records; return why not all were, if so."""
        fault = None
        try:
            for record in records:
                for batch in self._transactions.add(record):
                    self._take(batch)
        except _ItemError as error:
            return str(error)
        except (StopError, LogError) as error:
            fault = str(error)
        try:
            self._take(self._transactions.rest())
        except _ItemError as error:
            fault = str(error)
        if fault is None and self._unfinished:
            fault = (
                f"{len(self._unfinished)} changes to files or attributes were under way, which the "
                "kernel finishes when it mounts the volume"
            )
        return fault

    def _take(self, batch: Batch) -> None:
        """Take a batch, or what of it comes before the first transaction that is wrong."""
        try:
            self._append(batch)
        except LogError:
            for single in batch.singles():
                try:
                    self._append(single)
                except LogError as error:
                    raise _ItemError(str(error)) from error

    def _append(self, batch: Batch) -> None:
        if not batch.counts:
            return
        items = items_of(batch)
        pieces = RegionPieces(items.regions, self._transactions.parts)
        buffers, cancelled = buffer_changes(items, pieces)
        found = Changes.joined([buffers, self._inodes.of(items, pieces)])
        last = self._volume_bytes - found.length
        if ((found.begin < 0) | (found.begin > last)).any():
            raise LogError("a part of the log belongs where the volume has nothing")
        self._new.append(found[np.argsort(found.transaction, kind="stable")])
        self._nr_new += len(found)
        self._unfinished = unfinished(items, self._unfinished)
        self._cancelled[0].extend(cancelled.buffer)
        self._cancelled[1].extend(cancelled.transaction)
        self._lsns.extend(np.array(batch.lsns, dtype=np.uint64))
        self.nr_transactions += len(batch.counts)
        if self._nr_new > max(_MANY_CHANGES, len(self._changes)):
            self._join()

    def _join(self) -> None:
        """Forget what the same buffer or inode has anew in the same place."""
        changes = Changes.joined([self._changes, *self._new])
        self._new, self._nr_new = [], 0
        keys = (changes.inode, changes.buffer, changes.length, changes.begin)
        order = np.lexsort(keys)
        is_last = np.ones(len(order), dtype=np.bool_)
        is_last[:-1] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
        self._changes = changes[np.sort(order[is_last])]

    def seen(self, cache: Cache) -> Changes:
        """Return what of all changes is seen in the end, in the order of the volume.

        A change is void if its buffer is cancelled then or later, or if the disk has what was
        logged later.

        Args:
            cache: of the volume.
        """
        self._join()
        changes = self._changes
        cancelled = Cancelled(*(column.values() for column in self._cancelled))
        void = is_void(changes.buffer, changes.transaction, cancelled.buffer, cancelled.transaction)
        changes = changes[~void]
        if self._geometry.is_v5 and len(changes):
            changes = changes[~self._is_on_disk(cache, changes)]
        begin, length, row = topmost(changes.begin, changes.length)
        top = changes[row]
        place = top.place + begin - top.begin
        return Changes(begin, length, place, top.transaction, top.buffer, top.inode)

    def _is_on_disk(self, cache: Cache, changes: Changes) -> npt.NDArray[np.bool_]:
        """Tell which changes are older than what the disk has."""
        homes = np.where(changes.inode >= 0, changes.inode, buffer_range(changes.buffer)[0])
        places, which = distinct_places(homes)
        on_disk = lsns_on_disk(cache, self._geometry, places)
        logged = self._lsns.values()[changes.transaction]
        is_older: npt.NDArray[np.bool_] = on_disk[which] > logged
        return is_older


class _ItemError(LogError):
    """What a transaction has logged cannot be believed."""
