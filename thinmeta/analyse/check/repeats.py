"""Data blocks that one device maps more than once, which no kernel does.

A data block that several devices map stands in all of them at the same origin block, for
that is how snapshots come about. So of blocks that are mapped several times the origin
block is kept, in 32 bits; only those with two of them are looked at more closely.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.check.tree_walker import WalkedTrees, is_among
from thinmeta.device.blocks import Blocks
from thinmeta.schemas import block_time
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.leaves import LeafPiece, leaf_pieces
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Metadata
from thinmeta.walk.ragged import distinct, is_new
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

_MOST_BLOCKS = 1 << 16
_MOST_STEPS = 1 << 20
"""Devices that are asked for each mapping of a suspect block, in all; a pool has none."""

Marks = npt.NDArray[np.uint32]


class Repeat(NamedTuple):
    """Neighbouring data blocks that the same trees map more than once."""

    first: int
    last: int
    trees: tuple[int, ...]


class Repeats:
    """Looks for data blocks at several origin blocks, and then for those of one device."""

    def __init__(self, source: Metadata, walked: WalkedTrees, mapped: BlockCounts) -> None:
        """Look at the mapping trees in `walked`, whose leaves' mappings `mapped` has counted."""
        self._source = source
        self._walked = walked
        self._nr_blocks = mapped.nr_blocks
        self._windows = [
            (number, counts, np.zeros(BLOCKS_AT_ONCE, dtype=np.uint32))
            for number, counts in mapped.repeated()
        ]
        self._suspects = np.empty(0, dtype=np.uint64)

    def found(self) -> Iterator[Repeat]:
        """Return the data blocks that a tree maps more than once, by ascending block.

        What is mapped once only is not read again.
        """
        if not self._windows:
            return
        for piece in self._leaves():
            self._add(piece.entries)
        if not len(self._suspects):
            return
        trees_of = self._trees_by_block(*self._places())
        ascending = sorted(trees_of)
        ends = [
            place
            for place, (block, following) in enumerate(pairwise(ascending))
            if following != block + 1 or trees_of[following] != trees_of[block]
        ]
        begin = 0
        for end in [*ends, len(ascending) - 1] if ascending else ():
            first, last = ascending[begin], ascending[end]
            yield Repeat(first, last, trees_of[first])
            begin = end + 1

    def _leaves(self) -> Iterator[LeafPiece]:
        """Return all sound leaves again, each once, piece by piece."""
        leaves = self._walked.forest.levels[0].nodes[self._walked.codes == 0]
        order = np.argsort(leaves.blocks, kind="stable")
        leaves = leaves[order]
        return leaf_pieces(self._source, leaves[is_new(leaves.blocks)], MAPPINGS)

    def _add(self, entries: Entries) -> None:
        """Keep the origin block of each data block; suspect those that have another already."""
        blocks = block_time.data_block(entries.values)
        numbers = blocks // np.uint64(BLOCKS_AT_ONCE)
        for number, counts, marks in self._windows:
            here = np.flatnonzero((numbers == number) & (blocks < self._nr_blocks))
            if not len(here):
                continue
            places = (blocks[here] - np.uint64(number * BLOCKS_AT_ONCE)).view(np.int64)
            repeated = counts[places] > 1
            here, places = here[repeated], places[repeated]
            own = _marks(entries.keys[here])
            unmarked = marks[places] == 0
            marks[places[unmarked]] = own[unmarked]
            differ = marks[places] != own
            if differ.any() and len(self._suspects) < _MOST_BLOCKS:
                self._suspects = distinct(np.concatenate((self._suspects, blocks[here[differ]])))

    def _places(self) -> tuple[Blocks, Keys, Blocks]:
        """Return data block, origin block and leaf of each mapping of a suspect, by block."""
        suspects = self._suspects[:_MOST_BLOCKS]
        none = np.empty(0, dtype=np.uint64)
        columns: tuple[list[Keys], ...] = ([none], [none], [none])
        for piece in self._leaves():
            entries = piece.entries
            blocks = block_time.data_block(entries.values)
            hit = is_among(blocks, suspects)
            owners = np.repeat(piece.leaves.blocks, np.diff(entries.starts))
            for column, part in zip(columns, (blocks, entries.keys, owners), strict=True):
                column.append(part[hit])
        blocks, keys, owners = (np.concatenate(column) for column in columns)
        order = np.argsort(blocks, kind="stable")
        return blocks[order], keys[order], owners[order]

    def _trees_by_block(
        self, blocks: Blocks, keys: Keys, leaves: Blocks
    ) -> dict[int, tuple[int, ...]]:
        trees_of = _trees_of_leaves(self._walked, leaves)
        steps = 0
        found: dict[int, tuple[int, ...]] = {}
        rows = zip(blocks.tolist(), keys.tolist(), leaves.tolist(), strict=True)
        for block, mappings in groupby(rows, key=lambda row: row[0]):
            key_of: dict[int, int] = {}
            hit: set[int] = set()
            for _, key, leaf in mappings:
                steps += len(trees_of[leaf])
                hit.update(tree for tree in trees_of[leaf] if key_of.setdefault(tree, key) != key)
            if hit:
                found[block] = tuple(sorted(hit))
            if steps > _MOST_STEPS:
                break
        return found


def _marks(keys: Keys) -> Marks:
    """Return 32 bits of each origin block, other than 0; of those below 2^32 - 1 no two alike."""
    folded = ((keys ^ (keys >> np.uint64(32))) + np.uint64(1)).astype(np.uint32)
    folded[folded == 0] = 1
    return folded


def _trees_of_leaves(walked: WalkedTrees, leaves: Blocks) -> dict[int, Sequence[int]]:
    nodes = walked.forest.levels[0].nodes
    wanted = is_among(nodes.blocks, distinct(leaves)) & (walked.codes == 0)
    trees: dict[int, list[int]] = defaultdict(list)
    for place, some in walked.trees_of(wanted).items():
        trees[int(nodes.blocks[place])] += some
    return {leaf: sorted(set(some)) for leaf, some in trees.items()}
