"""How often each block is in use, by range."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thinmeta.errors import Damage, OnDamage
from thinmeta.model.superblock import SpaceMapRoot
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK, MAX_METADATA_BITMAPS
from thinmeta.walk.nodes import Metadata
from thinmeta.walk.space_map import (
    BLOCKS_AT_ONCE,
    Counts,
    IndexEntries,
    data_index,
    metadata_index,
    nr_shared,
    read_bitmaps,
    read_counts,
)

_PIECE_BLOCKS = BLOCKS_AT_ONCE // 8
"""Blocks of a piece: few, for what counts them needs memory of its own."""


@dataclass(frozen=True, slots=True)
class RefCounts:
    """The ref counts that a space map stores.

    A pool can have hundreds of millions of data blocks, so counts are read by
    range and never all at once.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     counts = pool.data_ref_counts
    ...     print(len(counts), counts.read(158, 163).tolist())
    8192 [1, 1, 0, 1, 1]

    Attributes:
        root: where the space map is; has `nr_blocks` and `nr_allocated`.
        is_metadata: whether it counts metadata blocks, else data blocks.
    """

    source: Metadata
    root: SpaceMapRoot
    on_damage: OnDamage
    is_metadata: bool

    def __len__(self) -> int:
        """Return the number of blocks that the space map counts."""
        return self.root.nr_blocks

    def read(self, begin: int, end: int) -> Counts:
        """Return the ref counts of the blocks `begin..end`, half-open, as `(n,)` uint32.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print(pool.metadata_ref_counts.read(0, 4))
        [1 0 0 0]

        Raises:
            IndexError: the range is not within those that the space map counts.
            DamagedMetadataError: a block of the space map is bad, and the pool's
                `on_damage` raises.
        """
        nr_blocks = self.root.nr_blocks
        if not 0 <= begin <= end <= nr_blocks:
            raise IndexError(f"blocks {begin}..{end} are not within 0..{nr_blocks}")
        parts = [np.empty(0, dtype=np.uint32)]
        parts += [
            self._read_some(range(part, min(part + BLOCKS_AT_ONCE, end)))
            for part in range(begin, end, BLOCKS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def chunks(self) -> Iterator[tuple[int, Counts]]:
        """Return all counts in bounded pieces, each with the number of its first block.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
        ...     print([(begin, len(part)) for begin, part in pool.metadata_ref_counts.chunks()])
        [(0, 2048)]

        Raises:
            DamagedMetadataError: see `read`; also where the space map claims more
                blocks than there can be bitmaps for.
        """
        for blocks in self._pieces():
            yield blocks.start, self._read_some(blocks)

    def nr_shared(self) -> int:
        """Return how many blocks have a ref count above 1, which the bitmaps alone tell.

        >>> import thinmeta
        >>> with thinmeta.open_pool("fixtures/docker-direct-lvm-ext4-512k/meta.bin.xz") as pool:
        ...     counts = pool.data_ref_counts
        ...     print(counts.nr_shared() == int((counts.read(0, len(counts)) > 1).sum()))
        True

        Raises:
            DamagedMetadataError: see `chunks`.
        """
        total = 0
        for blocks in self._pieces():
            stored = read_bitmaps(self.source, self._index(blocks), blocks.start, self.on_damage)
            total += nr_shared(stored, len(blocks))
        return total

    def _pieces(self) -> Iterator[range]:
        """Return all blocks in bounded pieces; a claim that no metadata can bear is cut."""
        nr_bitmaps = MAX_METADATA_BITMAPS if self.is_metadata else self.source.device.nr_blocks
        possible = nr_bitmaps * ENTRIES_PER_BLOCK
        if self.root.nr_blocks > possible:
            self.on_damage(
                Damage(
                    f"the {'metadata' if self.is_metadata else 'data'} space map claims "
                    f"{self.root.nr_blocks} blocks; there can be bitmaps for {possible}"
                )
            )
        end = min(self.root.nr_blocks, possible)
        for begin in range(0, end, _PIECE_BLOCKS):
            yield range(begin, min(begin + _PIECE_BLOCKS, end))

    def _index(self, blocks: range) -> IndexEntries:
        """Return the entries of the bitmaps that count `blocks`."""
        read_index = metadata_index if self.is_metadata else data_index
        first, end = blocks.start // ENTRIES_PER_BLOCK, -(-blocks.stop // ENTRIES_PER_BLOCK)
        return read_index(self.source, self.root.bitmap_root, first, end, self.on_damage)

    def _read_some(self, blocks: range) -> Counts:
        index = self._index(blocks)
        return read_counts(self.source, index, self.root.ref_count_root, blocks, self.on_damage)
