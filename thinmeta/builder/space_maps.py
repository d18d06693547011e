"""Both space maps, from the counts that were made while the trees were built.

Source: `struct disk_index_entry` and `sm_ll_insert()`,
drivers/md/persistent-data/dm-space-map-common.c (Linux v6.6).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.builder.store import Store
from thinmeta.builder.tree import NewTree
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    INDEX_ENTRY,
    METADATA_INDEX,
    REF_COUNT,
)
from thinmeta.schemas.decode import pack_counts
from thinmeta.schemas.space_map import (
    BITMAP_CSUM_XOR,
    ENTRIES_PER_BLOCK,
    INDEX_CSUM_XOR,
    OVERFLOW_COUNT,
)
from thinmeta.units import METADATA_BLOCK_BYTES
from thinmeta.walk.block_counts import BlockCounts, BlockWindow
from thinmeta.walk.space_map import BLOCKS_AT_ONCE


class WrittenSpaceMap(NamedTuple):
    """What the superblock has to say of a space map, in the order of `disk_sm_root`."""

    nr_blocks: int
    nr_allocated: int
    bitmap_root: int
    ref_count_root: int


def nr_bitmaps(nr_blocks: int) -> int:
    """Return how many bitmaps count `nr_blocks` blocks."""
    return -(-nr_blocks // ENTRIES_PER_BLOCK)


def require_space_map(store: Store, nr_data_blocks: int) -> None:
    """Refuse far more data blocks than metadata of that size can count.

    Raises:
        OutputError: the bitmaps alone have no room.
    """
    store.require(nr_bitmaps(nr_data_blocks), f"{nr_data_blocks} data blocks")


def write_data_space_map(store: Store, counts: BlockCounts, nr_blocks: int) -> WrittenSpaceMap:
    """Write the space map of the data device.

    Raises:
        OutputError: there are more blocks than can be counted.
    """
    require_space_map(store, nr_blocks)
    index = NewTree(store, INDEX_ENTRY)
    large = NewTree(store, REF_COUNT)
    nr_allocated = 0
    for begin in range(0, nr_blocks, BLOCKS_AT_ONCE):
        size = min(BLOCKS_AT_ONCE, nr_blocks - begin)
        first = store.allocate(nr_bitmaps(size))
        window = counts.window(begin // BLOCKS_AT_ONCE)
        if window is None:
            entries = _write_empty_bitmaps(store, first, nr_bitmaps(size))
        else:
            _add_large(large, window[:size], begin)
            entries = _write_bitmaps(store, first, window[:size])
        store.refer_to(entries["blocknr"])
        nr_allocated += _nr_allocated(entries)
        keys = np.arange(len(entries), dtype=np.uint64) + np.uint64(begin // ENTRIES_PER_BLOCK)
        index.add(keys, entries)
    root = WrittenSpaceMap(nr_blocks, nr_allocated, index.root(), large.root())
    store.refer_to(np.array([root.bitmap_root, root.ref_count_root], dtype=np.uint64))
    return root


def write_metadata_ref_counts(store: Store) -> int:
    """Write the tree of the metadata's counts of 3 and more; return its root.

    No block that comes after it has such a count.
    """
    large = NewTree(store, REF_COUNT)
    _add_large(large, store.references(store.nr_blocks), 0)
    root = large.root()
    store.refer_to(np.array([root], dtype=np.uint64))
    return root


def write_metadata_space_map(store: Store, nr_blocks: int, ref_count_root: int) -> WrittenSpaceMap:
    """Write the space map that counts the metadata's blocks, its own among them.

    Args:
        store: has room for the index block and the bitmaps, and nothing else is to come.
        nr_blocks: of the metadata device.
        ref_count_root: from `write_metadata_ref_counts`.
    """
    index_block = store.allocate(1)
    first = store.allocate(nr_bitmaps(nr_blocks))
    store.refer_to(np.arange(index_block, store.nr_blocks, dtype=np.uint64))
    entries = _write_bitmaps(store, first, store.references(nr_blocks))
    row = np.zeros((1, METADATA_BLOCK_BYTES), dtype=np.uint8)
    index = row.view(METADATA_INDEX)[0, 0]
    index["blocknr"] = index_block
    index["index"][: len(entries)] = entries
    store.write(index_block, row, INDEX_CSUM_XOR)
    return WrittenSpaceMap(nr_blocks, _nr_allocated(entries), index_block, ref_count_root)


def _add_large(tree: NewTree, counts: BlockWindow, begin: int) -> None:
    at = np.flatnonzero(counts >= OVERFLOW_COUNT)
    if len(at):
        tree.add(at.astype(np.uint64) + np.uint64(begin), counts[at].astype(REF_COUNT))


def _nr_allocated(entries: npt.NDArray[Any]) -> int:
    return len(entries) * ENTRIES_PER_BLOCK - int(entries["nr_free"].sum(dtype=np.int64))


def _write_bitmaps(store: Store, first: int, counts: BlockWindow) -> npt.NDArray[Any]:
    """Write the bitmaps of `counts`; return their index entries.

    What is past the last count is free, as in the kernel's.
    """
    number = nr_bitmaps(len(counts))
    small = np.zeros((number, ENTRIES_PER_BLOCK), dtype=np.uint8)
    np.minimum(counts, OVERFLOW_COUNT, out=small.reshape(-1)[: len(counts)], casting="unsafe")
    entries = _write_packed(store, first, pack_counts(small))
    free = small == 0
    entries["nr_free"] = np.count_nonzero(free, axis=1)
    some_free = entries["nr_free"] > 0
    entries["none_free_before"] = np.where(some_free, free.argmax(axis=1), ENTRIES_PER_BLOCK)
    return entries


def _write_empty_bitmaps(store: Store, first: int, number: int) -> npt.NDArray[Any]:
    """Write bitmaps of blocks that are all free; return their index entries."""
    entries = _write_packed(store, first, np.zeros((number, 1), dtype=np.uint8))
    entries["nr_free"] = ENTRIES_PER_BLOCK
    return entries


def _write_packed(store: Store, first: int, packed: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Write bitmaps as they are stored; return index entries that know where each is."""
    rows = np.zeros((len(packed), METADATA_BLOCK_BYTES), dtype=np.uint8)
    entries = np.zeros(len(packed), dtype=INDEX_ENTRY)
    entries["blocknr"] = np.arange(first, first + len(packed))
    rows.view(BITMAP_HEADER)[:, 0]["blocknr"] = entries["blocknr"]
    rows[:, BITMAP_HEADER.itemsize :] = packed
    store.write(first, rows, BITMAP_CSUM_XOR)
    return entries
