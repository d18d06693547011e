"""How often each block is in use, by range."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thinmeta.errors import OnDamage
from thinmeta.model.superblock import SpaceMapRoot
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.walk.nodes import Metadata
from thinmeta.walk.space_map import BLOCKS_AT_ONCE, Counts, data_index, metadata_index, read_counts


@dataclass(frozen=True, slots=True)
class RefCounts:
    """The ref counts that a space map stores.

    A pool can have hundreds of millions of data blocks, so counts are read by
    range and never all at once.

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

        Raises:
            IndexError: the range is not within `0..len(self)`.
            DamagedMetadataError: a block of the space map is bad, and the pool's
                `on_damage` raises.
        """
        if not 0 <= begin <= end <= len(self):
            raise IndexError(f"blocks {begin}..{end} are not within 0..{len(self)}")
        parts = [np.empty(0, dtype=np.uint32)]
        parts += [
            self._read_some(range(part, min(part + BLOCKS_AT_ONCE, end)))
            for part in range(begin, end, BLOCKS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def chunks(self) -> Iterator[tuple[int, Counts]]:
        """Return all counts in bounded pieces, each with the number of its first block."""
        for begin in range(0, len(self), BLOCKS_AT_ONCE):
            yield begin, self._read_some(range(begin, min(begin + BLOCKS_AT_ONCE, len(self))))

    def _read_some(self, blocks: range) -> Counts:
        first = blocks.start // ENTRIES_PER_BLOCK
        end = -(-blocks.stop // ENTRIES_PER_BLOCK)
        read_index = metadata_index if self.is_metadata else data_index
        index = read_index(self.source, self.root.bitmap_root, first, end, self.on_damage)
        return read_counts(self.source, index, self.root.ref_count_root, blocks, self.on_damage)
