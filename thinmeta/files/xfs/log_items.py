"""What logged items change: buffers in chunks of 128 bytes, and inodes.

Buffers come first in each transaction, as in the kernel. Those of inodes are left out, since
inodes are logged for themselves; those of quotas are, since nobody reads them here.

Source: `xlog_recover_do_reg_buffer()`, fs/xfs/xfs_buf_item_recover.c, and
`xlog_recover_inode_commit_pass2()`, fs/xfs/xfs_inode_item_recover.c (Linux v6.6).
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.xfs.log_transactions import Batch, LogError, Part, Regions
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.xfs_log import (
    XFS_BLF_CANCEL,
    XFS_BLF_CHUNK,
    XFS_BLF_DQUOT_BUFS,
    XFS_BLF_INODE_BUF,
    XFS_INTENTS,
    XFS_LI_BUF,
    XFS_LI_FIRST,
    XFS_LI_LAST,
    XFS_TRANS_HEADER_MAGIC,
    XLOG_BASIC_BLOCK_BYTES,
    XfsBufLogFormat,
    XfsIntentLogFormat,
    XfsLogItem,
    XfsTransHeader,
)
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import starts_of

Places = npt.NDArray[np.int64]

_ITEM = dtype_of(XfsLogItem)
_BUFFER = dtype_of(XfsBufLogFormat)
_INTENT = dtype_of(XfsIntentLogFormat)
_TRANSACTION = dtype_of(XfsTransHeader)

_WORD_BITS = 32
LENGTH_BITS = 16
"""Of a buffer's key, which is the block of 512 bytes that it begins at, and how many it has."""


@dataclass(frozen=True, slots=True, eq=False)
class Changes(Columnar):
    """Parts of the volume that transactions change, in order, as columns of shape `(n,)`.

    Attributes:
        begin: in the volume, in bytes, dtype int64.
        length: in bytes, dtype int64.
        place: where the new bytes are in the log, in bytes, dtype int64.
        transaction: the place of the transaction among all, dtype int64.
        buffer: the key of the buffer that they are in, dtype int64.
        inode: first byte of the inode that they are in, dtype int64; -1: the buffer is no inodes'.
    """

    begin: Places
    length: Places
    place: Places
    transaction: Places
    buffer: Places
    inode: Places


@dataclass(frozen=True, slots=True, eq=False)
class Cancelled(Columnar):
    """Buffers of which earlier changes are void, as columns of shape `(n,)`, dtype int64.

    Attributes:
        buffer: its key.
        transaction: the place among all of the transaction that says so.
    """

    buffer: Places
    transaction: Places


class Items(NamedTuple):
    """The items of a batch.

    Attributes:
        regions: of all transactions.
        transaction: of each region the place of its transaction among all.
        first: the first region of each item, shape `(k,)`.
        kind: what it changes, shape `(k,)`.
        nr_regions: of each, shape `(k,)`.
    """

    regions: Regions
    transaction: Places
    first: Places
    kind: Places
    nr_regions: Places

    def of(self, kind: int) -> tuple[Places, Places]:
        """Return first regions and counts of the items of one kind."""
        chosen = self.kind == kind
        return self.first[chosen], self.nr_regions[chosen]


def heads_as(regions: Regions, rows: Places, layout: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return what regions begin with, as structures."""
    heads = np.ascontiguousarray(regions.head[rows, : layout.itemsize])
    structures: npt.NDArray[Any] = heads.view(layout)[:, 0]
    return structures


def items_of(batch: Batch) -> Items:
    """Tell which regions are an item.

    Raises:
        LogError: they cannot be believed.
    """
    batch.regions = [Regions.joined(batch.regions)]
    regions = batch.regions[0]
    counts = np.array(batch.counts, dtype=np.int64)
    starts = starts_of(counts)[:-1]
    if (heads_as(regions, starts, _TRANSACTION)["th_magic"] != XFS_TRANS_HEADER_MAGIC).any():
        raise LogError("a transaction of the log has no header")
    transaction = np.repeat(batch.first + np.arange(len(counts)), counts)
    every = np.arange(len(regions))
    about = heads_as(regions, every, _ITEM)
    sizes = about["size"].tolist()
    first = []
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        at, end = start + 1, start + count
        while at < end:
            first.append(at)
            at += sizes[at] or count
        if at != end:
            raise LogError("an item of the log has not as many regions as it says")
    found = np.array(first, dtype=np.int64)
    kind = about["type"][found].astype(np.int64)
    unknown = kind[(kind < XFS_LI_FIRST) | (kind > XFS_LI_LAST)]
    if len(unknown):
        raise LogError(f"an item of the log is of the unknown kind {unknown[0]:#x}")
    return Items(regions, transaction, found, kind, about["size"][found].astype(np.int64))


def unfinished(items: Items, before: Set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return what is begun and not done: operations that the kernel goes on with when it mounts.

    Args:
        items: in order.
        before: what was begun and not done before them.

    Source: `xlog_recover_process_intents()`, fs/xfs/xfs_log_recover.c (Linux v6.6).
    """
    found = set(before)
    chosen = np.isin(items.kind, [*XFS_INTENTS, *(kind + 1 for kind in XFS_INTENTS)])
    ids = heads_as(items.regions, items.first[chosen], _INTENT)["id"].tolist()
    for kind, number in zip(items.kind[chosen].tolist(), ids, strict=True):
        if kind in XFS_INTENTS:
            found.add((kind, number))
        else:
            found.discard((kind - 1, number))
    return found


def buffer_key(block: Places, nr_blocks: Places) -> Places:
    """Return the keys of buffers."""
    return block << LENGTH_BITS | nr_blocks


def buffer_range(keys: Places) -> tuple[Places, Places]:
    """Return where the buffers of some keys begin, and how long they are, in bytes."""
    lengths = (keys & ((1 << LENGTH_BITS) - 1)) * XLOG_BASIC_BLOCK_BYTES
    return (keys >> LENGTH_BITS) * XLOG_BASIC_BLOCK_BYTES, lengths


class RegionPieces:
    """Finds where parts of regions are in the log."""

    def __init__(self, regions: Regions, parts: list[list[Part]]) -> None:
        """Take the regions, and the parts of those that have some."""
        self._regions = regions
        self._parts = parts

    def changes(self, rows: Places, skip: Places, change: Changes) -> Changes:
        """Return changes with the places of their bytes.

        Args:
            rows: of each the region, which are all there.
            skip: how many bytes of the region come before.
            change: all but the places.
        """
        is_whole = self._regions.parts[rows] < 0
        found = Changes(
            change.begin,
            change.length,
            self._regions.place[rows] + skip,
            change.transaction,
            change.buffer,
            change.inode,
        )
        if is_whole.all():
            return found
        order, parts = [np.flatnonzero(is_whole)], [found[is_whole]]
        for at in np.flatnonzero(~is_whole).tolist():
            split = self._split(int(rows[at]), int(skip[at]), change[at : at + 1])
            order.append(np.full(len(split), at))
            parts.append(split)
        return Changes.joined(parts)[np.argsort(np.concatenate(order), kind="stable")]

    def _split(self, region: int, skip: int, change: Changes) -> Changes:
        rows = []
        begin, end = skip, skip + int(change.length[0])
        done = 0
        for place, length in self._parts[int(self._regions.parts[region])]:
            low, high = max(begin, done), min(end, done + length)
            if low < high:
                rows.append((low - begin, high - low, place + low - done))
            done += length
        at, lengths, places = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        same = [
            np.repeat(each, len(rows)) for each in (change.transaction, change.buffer, change.inode)
        ]
        return Changes(change.begin[0] + at, lengths, places, *same)


def buffer_changes(items: Items, pieces: RegionPieces) -> tuple[Changes, Cancelled]:
    """Return what buffers change, and which are cancelled.

    Raises:
        LogError: an item cannot be believed.
    """
    first, count = items.of(XFS_LI_BUF)
    formats = heads_as(items.regions, first, _BUFFER)
    transaction = items.transaction[first]
    key = buffer_key(formats["blf_blkno"], formats["blf_len"].astype(np.int64))
    flags = formats["blf_flags"]
    is_void = (flags & XFS_BLF_CANCEL) != 0
    cancelled = Cancelled(key[is_void], transaction[is_void])
    chosen = np.flatnonzero(
        (flags & (XFS_BLF_CANCEL | XFS_BLF_INODE_BUF | XFS_BLF_DQUOT_BUFS)) == 0
    )
    runs = _runs(items.regions, formats[chosen], first[chosen], count[chosen])
    item, bit, chunks, region = runs
    which = chosen[item]
    change = Changes(
        formats["blf_blkno"][which] * XLOG_BASIC_BLOCK_BYTES + bit * XFS_BLF_CHUNK,
        chunks * XFS_BLF_CHUNK,
        np.zeros(len(which), dtype=np.int64),
        transaction[which],
        key[which],
        np.full(len(which), -1, dtype=np.int64),
    )
    return pieces.changes(region, np.zeros(len(which), dtype=np.int64), change), cancelled


def _runs(
    regions: Regions, formats: npt.NDArray[Any], first: Places, count: Places
) -> npt.NDArray[np.int64]:
    """Return for each region of buffers: item, first chunk, number of chunks, region; `(4, n)`.

    A region has a run of chunks of the buffer's map, or the beginning of what is left of one.
    """
    maps = np.ascontiguousarray(formats["blf_data_map"]).view(np.uint8).reshape(len(formats), -1)
    bits = np.unpackbits(maps, axis=1, bitorder="little")
    nr_bits = formats["blf_map_size"].astype(np.int64) * _WORD_BITS
    bits[np.arange(bits.shape[1]) >= nr_bits[:, np.newaxis]] = 0
    edges = np.diff(bits.astype(np.int8), axis=1, prepend=0, append=0)
    item, begin = np.nonzero(edges == 1)
    chunks = np.nonzero(edges == -1)[1] - begin
    region = first[item] + 1 + np.arange(len(item)) - np.searchsorted(item, item)
    room = regions.length[np.minimum(region, len(regions) - 1)] // XFS_BLF_CHUNK
    is_plain = np.bincount(item, minlength=len(formats)) == count - 1
    is_plain[item[room < chunks]] = False
    kept = is_plain[item]
    found = [np.stack([item, begin, chunks, region])[:, kept]]
    for odd in np.flatnonzero(~is_plain).tolist():
        own = item == odd
        places = range(int(first[odd]) + 1, int(first[odd] + count[odd]))
        runs = zip(begin[own].tolist(), chunks[own].tolist(), strict=True)
        rows = [(odd, bit, length, place) for bit, length, place in _cut(runs, places, regions)]
        found.append(np.array(rows, dtype=np.int64).reshape(-1, 4).T)
    columns: npt.NDArray[np.int64] = np.concatenate(found, axis=1)
    return columns[:, np.argsort(columns[3], kind="stable")]


def _cut(
    runs: Iterable[tuple[int, int]], places: Iterable[int], regions: Regions
) -> Iterator[tuple[int, int, int]]:
    """Return the pieces of runs that regions have: first chunk, number of chunks, region."""
    more = iter(places)
    for run, chunks in runs:
        bit, end = run, run + chunks
        while bit < end:
            place = next(more, None)
            room = 0 if place is None else int(regions.length[place]) // XFS_BLF_CHUNK
            if place is None or not room:
                raise LogError("a buffer of the log lacks a region of its map")
            yield bit, min(room, end - bit), place
            bit += room
