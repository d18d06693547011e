"""Space maps by range: never an array over all blocks of a pool.

Source: `sm_ll_lookup_bitmap()` and `sm_ll_lookup()`,
drivers/md/persistent-data/dm-space-map-common.c (Linux v6.6).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Fault
from thinmeta.errors import Damage, OnDamage
from thinmeta.schemas.checksum import salts_of
from thinmeta.schemas.columns import BITMAP_HEADER, INDEX_ENTRY, METADATA_INDEX
from thinmeta.schemas.decode import unpack_counts
from thinmeta.schemas.space_map import (
    BITMAP_CSUM_XOR,
    ENTRIES_PER_BLOCK,
    INDEX_CSUM_XOR,
    MAX_METADATA_BITMAPS,
    OVERFLOW_COUNT,
)
from thinmeta.units import MAX_METADATA_BLOCKS, MetadataBlock
from thinmeta.walk.children import Wanted
from thinmeta.walk.leaves import read_tree
from thinmeta.walk.nodes import BITMAP_INDEX, REF_COUNTS, Metadata

Counts = npt.NDArray[np.uint32]
IndexEntries = npt.NDArray[Any]

MAX_DATA_BLOCKS = MAX_METADATA_BLOCKS * ENTRIES_PER_BLOCK
"""More data blocks than any metadata has room to count."""

BLOCKS_AT_ONCE = 256 * ENTRIES_PER_BLOCK
"""Counts that are in memory at the same time: those of 256 bitmaps, 16 MiB."""

# Of the four counts in a byte, those of 2 and more: their high bits are 0, 2, 4 and 6.
_SHARED_IN_BYTE = np.array([(byte & 0x55).bit_count() for byte in range(256)], dtype=np.uint8)


def data_index(
    source: Metadata, root: int, begin: int, end: int, on_damage: OnDamage
) -> IndexEntries:
    """Return the index entries of the data space map's bitmaps `begin..end`, half-open.

    Entries that are missing or lost are zeros.
    """
    keys, entries = read_tree(
        source, root, BITMAP_INDEX, on_damage=on_damage, wanted=_overlapping(begin, end)
    )
    found = np.zeros(end - begin, dtype=INDEX_ENTRY)
    inside = (keys >= begin) & (keys < end)
    found[(keys[inside] - np.uint64(begin)).astype(np.int64)] = entries[inside]
    return found


def metadata_index(
    source: Metadata, root: int, begin: int, end: int, on_damage: OnDamage
) -> IndexEntries:
    """Return the index entries of the metadata space map's bitmaps `begin..end`, half-open."""
    at = np.array([root], dtype=np.uint64)
    batch = source.device.read(at)
    index = batch.rows.view(METADATA_INDEX)[0, 0]
    if what := _fault(batch.faults[0], batch.rows, index, root, INDEX_CSUM_XOR):
        on_damage(Damage(f"the metadata space map's index block {what}", MetadataBlock(root)))
        return np.zeros(end - begin, dtype=INDEX_ENTRY)
    found = np.zeros(end - begin, dtype=INDEX_ENTRY)
    held = index["index"][begin : min(end, MAX_METADATA_BITMAPS)]
    found[: len(held)] = held
    return found


def read_bitmaps(
    source: Metadata, index: IndexEntries, first: int, on_damage: OnDamage
) -> npt.NDArray[np.uint8]:
    """Return bitmaps as they are stored, four counts a byte.

    Args:
        source: where to read.
        index: the bitmaps' entries.
        first: the block that the first bitmap begins with.
        on_damage: told of each bad bitmap, which then is all zeros.

    Returns:
        Shape `(len(index), 4080)`.
    """
    at = np.ascontiguousarray(index["blocknr"])
    batch = source.device.read(at)
    headers = batch.rows.view(BITMAP_HEADER)[:, 0]
    stored = batch.rows[:, BITMAP_HEADER.itemsize :]
    doubtful = (batch.faults != Fault.NONE) | (headers["blocknr"] != at)
    doubtful |= salts_of(batch.rows) != BITMAP_CSUM_XOR
    for place in np.flatnonzero(doubtful).tolist():
        row, header = batch.rows[place : place + 1], headers[place]
        if what := _fault(batch.faults[place], row, header, int(at[place]), BITMAP_CSUM_XOR):
            stored[place] = 0
            begin = first + place * ENTRIES_PER_BLOCK
            on_damage(
                Damage(
                    f"the space map's bitmap {what}; its ref counts are lost",
                    MetadataBlock(int(at[place])),
                    first_key=begin,
                    last_key=begin + ENTRIES_PER_BLOCK - 1,
                    key_name="block",
                )
            )
    return stored


def read_counts(
    source: Metadata,
    index: IndexEntries,
    ref_count_root: int,
    blocks: range,
    on_damage: OnDamage,
) -> Counts:
    """Return the ref counts of `blocks`.

    Args:
        source: where to read.
        index: the entries of the bitmaps from that of `blocks.start` on.
        ref_count_root: B-tree of the counts of 3 and more.
        blocks: which, not more than `BLOCKS_AT_ONCE`.
        on_damage: told of each bad bitmap; its counts are taken for 0.

    Returns:
        Shape `(len(blocks),)`.
    """
    first = blocks.start // ENTRIES_PER_BLOCK * ENTRIES_PER_BLOCK
    small = unpack_counts(read_bitmaps(source, index, first, on_damage))
    counts = small.ravel()[blocks.start - first : blocks.stop - first].astype(np.uint32)
    large = np.flatnonzero(counts == OVERFLOW_COUNT)
    if len(large):
        keys, values = read_tree(
            source,
            ref_count_root,
            REF_COUNTS,
            on_damage=on_damage,
            wanted=_overlapping(blocks.start, blocks.stop),
        )
        inside = (keys >= blocks.start) & (keys < blocks.stop)
        counts[(keys[inside] - np.uint64(blocks.start)).astype(np.int64)] = values[inside]
    return counts


def nr_shared(stored: npt.NDArray[np.uint8], nr_blocks: int) -> int:
    """Return how many of the first `nr_blocks` counts in `stored` bitmaps are above 1."""
    whole, rest = divmod(nr_blocks, 4)
    counts = stored.ravel()
    total = int(_SHARED_IN_BYTE[counts[:whole]].sum(dtype=np.int64))
    if rest:
        total += int(_SHARED_IN_BYTE[int(counts[whole]) & ((1 << 2 * rest) - 1)])
    return total


def _overlapping(begin: int, end: int) -> Wanted:
    return lambda low, last: (low < end) & (last >= begin)


def _fault(
    fault: int, row: npt.NDArray[np.uint8], header: Any, block: int, salt: int
) -> str | None:
    if fault == Fault.PAST_END:
        return "is past the end of the file"
    if fault == Fault.READ_ERROR:
        return "cannot be read"
    if salts_of(row)[0] != salt:
        return "has a wrong checksum"
    if header["blocknr"] != block:
        return "was written for another block"
    return None
