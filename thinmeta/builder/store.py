"""Metadata blocks under construction: a sparse file, and how often each block is referred to."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import BlockDevice
from thinmeta.errors import NoRoomError
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.checksum import Rows, put_checksums
from thinmeta.schemas.columns import BLOCK_TIME
from thinmeta.schemas.node_layout import headers_of, keys_of, max_entries_of, values_of
from thinmeta.units import LAST_KEY, MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Metadata, checked_entries, read_nodes
from thinmeta.walk.ragged import Places
from thinmeta.walk.space_map import Counts

_SOON_COUNTED = 1 << 16
"""So many blocks beyond the limit are built at once, though not written, to tell how many."""


class Store:
    """Blocks that are handed out from 1 on, and written to a file.

    Attributes:
        nr_blocks: how many are handed out, with the superblock.
        limit: how many the metadata may have; what is beyond is counted, not written.
    """

    def __init__(self, fd: int, limit: int | None, name: str) -> None:
        """Write to `fd`, an empty file that stays the caller's and will be `name`."""
        self.nr_blocks = 1
        self.limit = MAX_METADATA_BLOCKS if limit is None else limit
        self._name = name
        self._fd = fd
        self._references = np.zeros(1024, dtype=np.uint32)

    def allocate(self, count: int) -> int:
        """Hand out `count` blocks; return the first.

        Raises:
            NoRoomError: no metadata can have so many.
        """
        first = self.nr_blocks
        if first + count > MAX_METADATA_BLOCKS:
            raise self._too_many(first + count, "")
        self.nr_blocks += count
        return first

    def require(self, count: int, what: str) -> None:
        """Refuse at once what needs `count` blocks more, where that is far beyond the limit.

        What is only a little beyond goes on: at the end one knows how much is needed.

        Args:
            count: how many at least.
            what: needs them.

        Raises:
            NoRoomError: there is no room.
        """
        needed = self.nr_blocks + count
        if needed > max(self.limit, _SOON_COUNTED) or needed > MAX_METADATA_BLOCKS:
            raise self._too_many(needed, f" for {what}")

    def _too_many(self, needed: int, what: str) -> NoRoomError:
        room = min(self.limit, MAX_METADATA_BLOCKS)
        most = ", the most that metadata can have" if room == MAX_METADATA_BLOCKS else ""
        return NoRoomError(
            f"{self._name}: has room for {room} metadata blocks{most}, but at least {needed} "
            f"are needed{what}: {needed * METADATA_BLOCK_BYTES} bytes"
        )

    def write(self, first: int, rows: Rows, salt: int) -> None:
        """Put checksums into `rows` and write them to the blocks from `first` on."""
        put_checksums(rows, salt)
        kept = rows[: max(0, self.limit - first)].reshape(-1)
        written = 0
        while written < len(kept):
            at = first * METADATA_BLOCK_BYTES + written
            written += os.pwrite(self._fd, kept[written:].data, at)

    def fill_up(self, nr_blocks: int) -> None:
        """Make the file as large as `nr_blocks` blocks; what was not written is a hole."""
        os.ftruncate(self._fd, nr_blocks * METADATA_BLOCK_BYTES)

    def write_nodes(
        self, keys: Keys, values: npt.NDArray[Any], counts: Places, *, internal: bool = False
    ) -> npt.NDArray[np.uint64]:
        """Write nodes of one kind; return their blocks.

        Args:
            keys: of all nodes, one node after the other.
            values: likewise; their dtype tells how many entries a node has room for.
            counts: how many entries each node has.
            internal: they are no leaves.
        """
        first = self.allocate(len(counts))
        blocks = np.arange(first, first + len(counts), dtype=np.uint64)
        rows = made_nodes(blocks, keys, values, counts, internal=internal)
        self.write(first, rows, BTREE_CSUM_XOR)
        return blocks

    def read_leaves(self, blocks: npt.NDArray[np.uint64]) -> Entries:
        """Return the mappings of leaves that were written; none of those beyond the limit."""
        device = BlockDevice(os.dup(self._fd), "the metadata under construction")
        try:
            nodes, codes = read_nodes(
                Metadata(device, self.nr_blocks), blocks, MAPPINGS, internal=False
            )
            low = np.zeros(len(blocks), dtype=np.uint64)
            return checked_entries(nodes, codes, low, low + np.uint64(LAST_KEY), BLOCK_TIME)
        finally:
            device.close()

    def refer_to(self, blocks: npt.NDArray[np.uint64]) -> None:
        """Count a reference to each of `blocks`."""
        if self.nr_blocks > len(self._references):
            more = max(self.nr_blocks, 2 * len(self._references)) - len(self._references)
            self._references = np.concatenate((self._references, np.zeros(more, np.uint32)))
        np.add.at(self._references, blocks.astype(np.int64), 1)

    def references(self, nr_blocks: int) -> Counts:
        """Return how often each of the first `nr_blocks` blocks is referred to."""
        counts = np.zeros(nr_blocks, dtype=np.uint32)
        known = self._references[:nr_blocks]
        counts[: len(known)] = known
        return counts


def made_nodes(
    blocks: npt.NDArray[np.uint64],
    keys: Keys,
    values: npt.NDArray[Any],
    counts: Places,
    *,
    internal: bool = False,
) -> Rows:
    """Return nodes of one kind but for their checksums, shape `(n, 4096)`.

    Args:
        blocks: for which they are made, shape `(n,)`.
        keys: of all nodes, one node after the other.
        values: likewise; their dtype tells how many entries a node has room for.
        counts: how many entries each node has, shape `(n,)`.
        internal: they are no leaves.
    """
    room = max_entries_of(values.dtype)
    rows = np.zeros((len(counts), METADATA_BLOCK_BYTES), dtype=np.uint8)
    header = headers_of(rows)
    header["flags"] = INTERNAL_NODE if internal else LEAF_NODE
    header["blocknr"] = blocks
    header["nr_entries"] = counts
    header["max_entries"] = room
    header["value_size"] = values.dtype.itemsize
    stored_keys, stored = keys_of(rows, room), values_of(rows, room, values.dtype)
    if (counts == room).all():
        stored_keys[...] = keys.reshape(-1, room)
        stored[...] = values.reshape(-1, room)
    else:
        in_use = np.arange(room) < counts[:, np.newaxis]
        stored_keys[in_use] = keys
        stored[in_use] = values
    return rows
