"""A B-tree, packed from below: leaves as the entries come, the nodes above them at the end.

A node other than the root is at least a third full: the kernel's `dm_btree_remove()`
counts on it, and thin_check asks for it. Nodes are filled up, and the last two of a
row share what is left, so that they are at least half full.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.builder.store import Store
from thinmeta.schemas import block_time
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import Places, starts_of


class NewTree:
    """One tree under construction, or the leaves of a definition.

    Attributes:
        nr_entries: entries so far.
        nr_open: those of them that are in no leaf yet.
    """

    def __init__(
        self, store: Store, values: np.dtype[Any], data_counts: BlockCounts | None = None
    ) -> None:
        """Begin with no entries.

        Args:
            store: where the nodes go.
            values: the dtype of a value.
            data_counts: told of the data blocks of each mapping that comes into a leaf here.
        """
        self.nr_entries = 0
        self.nr_open = 0
        self._store = store
        self._values = values
        self._max_entries = max_entries_of(values)
        self._data_counts = data_counts
        self._open: list[tuple[Keys, npt.NDArray[Any]]] = []
        self._leaves: list[tuple[Keys, Keys]] = []

    def add(self, keys: Keys, values: npt.NDArray[Any]) -> None:
        """Take the next entries, by ascending key."""
        if self._data_counts is not None:
            self._data_counts.add(block_time.data_block(values))
        self._open.append((keys, values))
        self.nr_entries += len(keys)
        self.nr_open += len(keys)
        if self.nr_open >= 2 * self._max_entries:
            # What stays open is enough for two leaves that are half full.
            nr_leaves = self.nr_open // self._max_entries - 1
            self._write_open(np.full(nr_leaves, self._max_entries, dtype=np.int64))

    def add_leaves(self, first_keys: Keys, blocks: Keys, nr_entries: int) -> None:
        """Take leaves that are written already and that other trees have, too.

        Entries before them that are too few for a leaf of their own are joined with a
        copy of the first.
        """
        self.nr_entries += nr_entries
        if 0 < self.nr_open < self._max_entries // 3:
            self._add_copy(blocks[:1])
            first_keys, blocks = first_keys[1:], blocks[1:]
        if len(blocks):
            self._close()
            self._leaves.append((first_keys, blocks))

    def open_entries(self) -> tuple[Keys, npt.NDArray[Any]]:
        """Return the entries that are in no leaf yet."""
        keys = [keys for keys, _ in self._open] or [np.empty(0, dtype=np.uint64)]
        values = [values for _, values in self._open] or [np.empty(0, dtype=self._values)]
        return np.concatenate(keys), np.concatenate(values)

    def leaves(self) -> tuple[Keys, Keys]:
        """Put the last entries into leaves; return first key and block of each leaf."""
        if 0 < self.nr_open < self._max_entries // 3 and self._leaves:
            self._join_last()
        self._close()
        keys, blocks = zip(*self._leaves, strict=True) if self._leaves else ((), ())
        none = np.empty(0, dtype=np.uint64)
        return np.concatenate([none, *keys]), np.concatenate([none, *blocks])

    def root(self) -> int:
        """Write all that is left to write; return the root's block."""
        keys, children = self.leaves()
        if not len(children):
            none = np.zeros(1, dtype=np.int64)
            empty = np.empty(0, dtype=self._values)
            children = self._store.write_nodes(keys, empty, none)
        while len(children) > 1:
            counts = _packed(len(children), max_entries_of(CHILD))
            self._store.refer_to(children)
            parents = self._store.write_nodes(keys, children, counts, internal=True)
            keys, children = keys[starts_of(counts)[:-1]], parents
        return int(children[0])

    def _add_copy(self, block: Keys) -> None:
        entries = self._store.read_leaves(block)
        self.nr_entries -= len(entries.keys)
        self.add(entries.keys, entries.values)

    def _join_last(self) -> None:
        """Put a copy of the last leaf, which is shared, before the entries that are open."""
        first_keys, blocks = self._leaves.pop()
        if len(blocks) > 1:
            self._leaves.append((first_keys[:-1], blocks[:-1]))
        open_ = self._open
        self._open = []
        self._add_copy(blocks[-1:])
        self._open += open_

    def _close(self) -> None:
        if self.nr_open:
            self._write_open(_packed(self.nr_open, self._max_entries))

    def _write_open(self, counts: Places) -> None:
        """Write leaves of the first open entries."""
        starts = starts_of(counts)
        keys, values = self.open_entries()
        end = int(starts[-1])
        blocks = self._store.write_nodes(keys[:end], values[:end], counts)
        self._leaves.append((keys[starts[:-1]], blocks))
        self._open = [(keys[end:], values[end:])]
        self.nr_open -= end


def _packed(nr_entries: int, max_entries: int) -> Places:
    """Return how many entries each node gets: all full but the last two, which share alike."""
    nr_nodes = -(-nr_entries // max_entries)
    counts = np.full(nr_nodes, max_entries, dtype=np.int64)
    if nr_nodes > 1:
        left = nr_entries - max_entries * (nr_nodes - 2)
        counts[-2:] = (left + 1) // 2, left // 2
    else:
        counts[:] = nr_entries
    return counts
