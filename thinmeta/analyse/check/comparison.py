"""The counts that a space map stores, held against the references that were counted.

Source: `sm_ll_lookup()`, drivers/md/persistent-data/dm-space-map-common.c (Linux v6.6).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.check.findings import CheckProgress, Finding, Severity
from thinmeta.analyse.check.mismatches import NO_ENTRY, Mismatches, Numbers
from thinmeta.analyse.check.stored_maps import StoredMap
from thinmeta.errors import Damage
from thinmeta.schemas.decode import pack_counts, unpack_counts
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK, OVERFLOW_COUNT
from thinmeta.walk.block_counts import BlockCounts, BlockWindow
from thinmeta.walk.leaves import read_tree
from thinmeta.walk.nodes import REF_COUNTS, Keys, Metadata
from thinmeta.walk.space_map import BLOCKS_AT_ONCE, IndexEntries, read_bitmaps

_BITMAPS_AT_ONCE = 64
_BITMAPS_A_WINDOW = BLOCKS_AT_ONCE // ENTRIES_PER_BLOCK

PackedCounts = npt.NDArray[np.uint8]

# Of the four counts in a byte: each of them, and how many are not 0.
_EVERY_BYTE = np.zeros((1, ENTRIES_PER_BLOCK // 4), dtype=np.uint8)
_EVERY_BYTE[0, :256] = np.arange(256)
_COUNTS = unpack_counts(_EVERY_BYTE)[0, : 4 * 256].reshape(256, 4)
_IN_USE = np.count_nonzero(_COUNTS, axis=1).astype(np.uint8)


class Comparison:
    """Compares one space map, some bitmaps at a time."""

    def __init__(
        self, source: Metadata, stored: StoredMap, counted: BlockCounts, progress: CheckProgress
    ) -> None:
        """Take what is stored and what was counted."""
        self._source = source
        self._stored = stored
        self._counted = counted
        self._progress = progress
        self._fatal = Mismatches(Severity.FATAL)
        self._leaked = Mismatches(Severity.NOT_FATAL)
        self._in_use = 0
        self._bad_bitmaps = 0
        self._number = -1
        self._window: BlockWindow | None = None

    def run(self) -> None:
        """Compare all counts and add what is found to the progress."""
        for first, index in self._pieces():
            self._compare(first, index)
        for mismatches in (self._fatal, self._leaked):
            self._progress.add(mismatches.findings(self._stored.part, self._stored.key_name))
        self._progress.add(self._wrong_total())

    def _pieces(self) -> Iterator[tuple[int, IndexEntries]]:
        """Return first block and index entries of bitmaps that stand in a row."""
        inside = self._stored.numbers < self._stored.nr_bitmaps
        numbers, entries = self._stored.numbers[inside], self._stored.entries[inside]
        begin = 0
        while begin < len(numbers):
            first = int(numbers[begin])
            most = min(_BITMAPS_AT_ONCE, _BITMAPS_A_WINDOW - first % _BITMAPS_A_WINDOW)
            some = numbers[begin : begin + most]
            row = some == np.uint64(first) + np.arange(len(some), dtype=np.uint64)
            length = len(some) if row.all() else int(np.argmin(row))
            yield first * ENTRIES_PER_BLOCK, entries[begin : begin + length]
            begin += length

    def _compare(self, first: int, index: IndexEntries) -> None:
        packed = self._read(first, index)
        counted = self._counts(first, len(index))
        highest = counted.max()
        if not highest:
            expected = np.zeros_like(packed.rows)
        elif highest <= OVERFLOW_COUNT:
            expected = pack_counts(counted.astype(np.uint8, copy=False))
        else:
            expected = pack_counts(np.minimum(counted, OVERFLOW_COUNT).astype(np.uint8))
        stored = packed.rows
        stored[packed.bad] = expected[packed.bad]
        overflows = stored & (stored >> np.uint8(1)) & np.uint8(0x55) != 0
        overflows[packed.bad] = False
        places = np.flatnonzero((stored != expected) | overflows)
        # Elsewhere as many are in use as were counted.
        wrong, right = stored.ravel()[places], expected.ravel()[places]
        self._in_use += int(np.count_nonzero(counted[~packed.bad]))
        self._in_use += int(_IN_USE[wrong].sum(dtype=np.int64))
        self._in_use -= int(_IN_USE[right].sum(dtype=np.int64))
        offsets = (4 * places[:, np.newaxis] + np.arange(4)).ravel()
        self._compare_some(
            first,
            len(index) * ENTRIES_PER_BLOCK,
            offsets,
            _COUNTS[wrong].ravel(),
            counted.ravel()[offsets].astype(np.int64),
        )

    def _compare_some(
        self,
        first: int,
        nr_blocks: int,
        offsets: Numbers,
        in_bitmap: PackedCounts,
        counted: Numbers,
    ) -> None:
        """Compare blocks, of which all others have the count that was counted, below 3."""
        stored = in_bitmap.astype(np.int64)
        large = np.flatnonzero(in_bitmap == OVERFLOW_COUNT)
        keys, values = self._large_counts(first, nr_blocks)
        places = np.searchsorted(keys, offsets[large])
        known = np.zeros(len(large), dtype=np.bool_)
        if len(keys):
            known = keys[np.minimum(places, len(keys) - 1)] == offsets[large]
        stored[large[known]] = values[places[known]]
        stored[large[~known]] = NO_ENTRY
        wrong = stored != counted
        wrong[large[known]] |= stored[large[known]] < OVERFLOW_COUNT
        if self._stored.tree_lost:
            wrong &= stored != NO_ENTRY
        self._tell(first, offsets[wrong], stored[wrong], counted[wrong])
        unused = np.ones(len(keys), dtype=np.bool_)
        unused[places[known]] = False
        self._tell_unused(first, keys[unused], values[unused], nr_blocks)

    def _tell(self, first: int, offsets: Numbers, stored: Numbers, counted: Numbers) -> None:
        if self._progress.lost_references:
            # What is stored may count references that are lost, so it can only be too low.
            sure = stored < counted
            offsets, stored, counted = offsets[sure], stored[sure], counted[sure]
        leaked = (counted == 0) & (stored == 1)
        for mismatches, which in ((self._leaked, leaked), (self._fatal, ~leaked)):
            mismatches.add(offsets[which] + first, stored[which], counted[which])

    def _tell_unused(self, first: int, keys: Numbers, values: Numbers, nr_blocks: int) -> None:
        """Tell of entries in the ref count tree that the bitmaps do not ask for."""
        if not len(keys):
            return
        counted = self._counts(first, nr_blocks // ENTRIES_PER_BLOCK).ravel()[keys]
        wrong = counted.astype(np.int64) != values
        for key, value in zip((keys[wrong] + first).tolist(), values[wrong].tolist(), strict=True):
            what = f"the ref count tree says {value} references, but the bitmap less than 3"
            self._progress.add(
                [
                    Finding(
                        Severity.FATAL,
                        self._stored.part,
                        what,
                        first_key=key,
                        last_key=key,
                        key_name=self._stored.key_name,
                    )
                ]
            )

    def _large_counts(self, first: int, nr_blocks: int) -> tuple[Numbers, Numbers]:
        """Return what the ref count tree has for some blocks, by their offset from `first`."""
        if not self._stored.nr_large:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        end = min(first + nr_blocks, self._stored.root.nr_blocks)

        def overlapping(low: Keys, last: Keys) -> npt.NDArray[np.bool_]:
            return (low < end) & (last >= first)

        keys, values = read_tree(
            self._source,
            self._stored.root.ref_count_root,
            REF_COUNTS,
            on_damage=lambda damage: None,  # noqa: ARG005  # told when the tree was walked
            wanted=overlapping,
        )
        inside = (keys >= first) & (keys < end)
        return (keys[inside] - np.uint64(first)).astype(np.int64), values[inside].astype(np.int64)

    def _counts(self, first: int, nr_bitmaps: int) -> npt.NDArray[np.unsignedinteger]:
        """Return what was counted, a row a bitmap."""
        number = first // BLOCKS_AT_ONCE
        if number != self._number:
            self._number, self._window = number, self._counted.window(number)
        window = self._window
        if window is None:
            return np.zeros((nr_bitmaps, ENTRIES_PER_BLOCK), dtype=np.uint8)
        begin = first % BLOCKS_AT_ONCE
        return window[begin : begin + nr_bitmaps * ENTRIES_PER_BLOCK].reshape(nr_bitmaps, -1)

    def _read(self, first: int, index: IndexEntries) -> "_Bitmaps":
        damages: list[Damage] = []
        rows = np.ascontiguousarray(read_bitmaps(self._source, index, first, damages.append))
        bad = np.zeros(len(index), dtype=np.bool_)
        for damage in damages:
            begin = damage.first_key or 0
            bad[(begin - first) // ENTRIES_PER_BLOCK] = True
            self._bad_bitmaps += 1
            self._progress.add(
                [
                    Finding(
                        Severity.FATAL,
                        self._stored.part,
                        damage.what.partition(";")[0],
                        lost="which of these blocks are in use",
                        block=damage.block,
                        first_key=begin,
                        last_key=min(begin + ENTRIES_PER_BLOCK, self._stored.root.nr_blocks) - 1,
                        key_name=self._stored.key_name,
                    )
                ]
            )
        # Counts past the end of the device mean nothing.
        inside = self._stored.root.nr_blocks - first
        if inside < rows.size * 4:
            flat = rows.reshape(-1)
            whole, rest = divmod(inside, 4)
            flat[whole + bool(rest) :] = 0
            if rest:
                flat[whole] &= np.uint8((1 << 2 * rest) - 1)
        return _Bitmaps(rows, bad)

    def _wrong_total(self) -> Iterator[Finding]:
        root = self._stored.root
        complete = not self._stored.index_lost and not self._bad_bitmaps
        complete = complete and len(self._stored.numbers) >= self._stored.nr_bitmaps
        is_possible = root.nr_allocated <= root.nr_blocks  # else it is told already
        if complete and is_possible and self._in_use != root.nr_allocated:
            yield Finding(
                Severity.NOT_FATAL,
                self._stored.part,
                f"the superblock says that {root.nr_allocated} blocks are in use, "
                f"but the bitmaps {self._in_use}",
            )


class _Bitmaps(NamedTuple):
    """Bitmaps as they are stored, a row each, and which of them cannot be believed."""

    rows: PackedCounts
    bad: npt.NDArray[np.bool_]
