"""Entries of trees that are checked together, kept to be had tree by tree, none read twice."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.check.tree_walker import WalkedTrees
from thinmeta.device.blocks import Blocks
from thinmeta.errors import Damage
from thinmeta.walk.leaves import combined, damage_of
from thinmeta.walk.nodes import Entries, Keys, TreeKind
from thinmeta.walk.ragged import Places, ragged, starts_of


class KeptEntries:
    """The entries of distinct leaves, in the order of their blocks."""

    def __init__(self, kind: TreeKind) -> None:
        """Begin with nothing; `kind` is what the leaves hold."""
        self._kind = kind
        self._blocks: list[Blocks] = [np.empty(0, dtype=np.uint64)]
        self._keys: list[Keys] = [np.empty(0, dtype=np.uint64)]
        self._values: list[npt.NDArray[Any]] = [np.empty(0, dtype=kind.values)]
        self._counts: list[Places] = [np.empty(0, dtype=np.int64)]

    def add(self, blocks: Blocks, entries: Entries) -> None:
        """Take the entries of some leaves, whose blocks are above all those before."""
        self._blocks.append(blocks)
        self._keys.append(entries.keys)
        self._values.append(entries.values)
        self._counts.append(np.diff(entries.starts))

    def of_tree(
        self, walked: WalkedTrees, tree: int
    ) -> tuple[Keys, npt.NDArray[Any], tuple[Damage, ...]]:
        """Return the keys of a tree, ascending, its values, and what is lost of it."""
        places = walked.forest.leaf_places(tree)
        leaves = walked.forest.leaves_at(places)
        codes = combined(leaves.codes, walked.codes[places])
        at = np.searchsorted(np.concatenate(self._blocks), leaves.blocks[codes == 0])
        counts = np.concatenate(self._counts)
        which = ragged(starts_of(counts)[at], counts[at])
        lost = (
            damage_of(leaves, codes, place, self._kind) for place in np.flatnonzero(codes).tolist()
        )
        keys, values = np.concatenate(self._keys), np.concatenate(self._values)
        return keys[which], values[which], tuple(lost)
