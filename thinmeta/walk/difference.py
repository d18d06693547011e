"""Two mapping trees side by side: only what they do not share, as mappings in key order."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage, OnDamage
from thinmeta.units import LAST_KEY, MetadataBlock
from thinmeta.walk.children import children_of
from thinmeta.walk.heights import roots_of
from thinmeta.walk.leaves import damage_of, read_leaves
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Metadata

Values = npt.NDArray[np.uint64]


class TwoTreeWindow(NamedTuple):
    """All mappings of two trees within a range of keys; arrays are empty where there are none.

    Attributes:
        left_keys, left_values: mappings of one tree, shape `(n,)`.
        right_keys, right_values: of the other, shape `(m,)`.
        lost: ranges of keys, inclusive, that one of the trees has lost.
    """

    left_keys: Keys
    left_values: Values
    right_keys: Keys
    right_values: Values
    lost: tuple[tuple[int, int], ...] = ()


def unshared_leaves(
    source: Metadata, roots: tuple[MetadataBlock | None, MetadataBlock | None], *, prune: bool
) -> tuple[NodeList, NodeList]:
    """Return the leaves of two trees without those that both have.

    Two trees that both have a node agree on all of its keys, so nothing below it
    is read: the cost follows what differs.

    Args:
        source: where to read.
        roots: of the two trees; None is a tree without leaves.
        prune: False returns all leaves.
    """
    places = np.array([root for root in roots if root is not None], dtype=np.uint64)
    trees, heights, _ = roots_of(source, places, MAPPINGS)
    starts = iter(zip((trees[:1], trees[1:]), heights.tolist(), strict=False))
    above = [next(starts) if root is not None else (NodeList.none(), 0) for root in roots]
    sides = [NodeList.none(), NodeList.none()]
    for height in range(max(start for _, start in above), -1, -1):
        for side, (root, start) in enumerate(above):
            if start == height:
                sides[side] = root
        if prune:
            sides = list(_pruned(sides[0], sides[1]))
        if height:
            sides = [children_of(source, side, MAPPINGS)[0] for side in sides]
    return sides[0], sides[1]


def _pruned(left: NodeList, right: NodeList) -> tuple[NodeList, NodeList]:
    """Return both without the sound nodes that stand in both."""
    order = np.argsort(right.blocks, kind="stable")
    if not len(left) or not len(order):
        return left, right
    ascending = right.blocks[order]
    at = np.minimum(np.searchsorted(ascending, left.blocks), len(order) - 1)
    shared = (ascending[at] == left.blocks) & (left.codes == 0) & (right.codes[order[at]] == 0)
    gone = np.zeros(len(right), dtype=np.bool_)
    gone[order[at[shared]]] = True
    return left[~shared], right[~gone]


def windows(
    source: Metadata, left: NodeList, right: NodeList, on_damage: tuple[OnDamage, OnDamage]
) -> Iterator[TwoTreeWindow]:
    """Read two lists of leaves in step, in windows that hold the same range of keys.

    Args:
        source: where to read.
        left: leaves of one tree, in key order.
        right: leaves of the other.
        on_damage: told of bad leaves on either side, after all that precedes them.
    """
    sides = _Side(source, left, on_damage[0]), _Side(source, right, on_damage[1])
    while not all(side.is_done for side in sides):
        behind = min(sides, key=lambda side: side.covered)
        behind.fill()
        limit = min(side.covered for side in sides)
        lost = (*sides[0].lost, *sides[1].lost)
        taken = [side.take(limit) for side in sides]
        if len(taken[0][0]) or len(taken[1][0]):
            yield TwoTreeWindow(*taken[0], *taken[1], lost)


class _Side:
    """One tree's mappings, read as far as they are needed.

    Attributes:
        covered: the highest key up to which all mappings have been read.
        lost: ranges of keys that were told of as lost, and are not taken yet.
    """

    def __init__(self, source: Metadata, leaves: NodeList, on_damage: OnDamage) -> None:
        self._source = source
        self._leaves = leaves
        self._piece = NodeList.none()  # of which some leaves were taken, and some perhaps not
        self._done = 0
        nothing = np.empty(0, dtype=np.uint64)
        self._entries = Entries(nothing, nothing, np.zeros(1, dtype=np.int64))
        self._codes = np.empty(0, dtype=np.uint8)
        self._bad: list[int] = []
        self._on_damage = on_damage
        self._damage: Damage | None = None
        self._keys = np.empty(0, dtype=np.uint64)
        self._values = np.empty(0, dtype=np.uint64)
        # -1: nothing yet; a tree without leaves is covered to its end.
        self.covered = -1 if len(leaves) else LAST_KEY
        self.lost: list[tuple[int, int]] = []

    @property
    def is_done(self) -> bool:
        return self.covered == LAST_KEY and not len(self._keys) and self._damage is None

    def fill(self) -> None:
        """Read on: the next piece, up to a bad leaf, of which is told when it is next in turn."""
        if self._damage is not None:
            damage, self._damage = self._damage, None
            self._on_damage(damage)
            assert damage.first_key is not None
            assert damage.last_key is not None
            self.lost.append((damage.first_key, damage.last_key))
        if self._done == len(self._piece):
            self._piece, self._leaves = self._leaves[:NODES_AT_ONCE], self._leaves[NODES_AT_ONCE:]
            self._done = 0
            if not len(self._piece):
                self.covered = LAST_KEY
                return
            self._entries, self._codes = read_leaves(self._source, self._piece, MAPPINGS)
            self._bad = np.flatnonzero(self._codes).tolist()[::-1]
        piece, starts, begin = self._piece, self._entries.starts, self._done
        self._done = len(piece)
        if self._bad:
            self._done = self._bad.pop() + 1
            self._damage = damage_of(piece, self._codes, self._done - 1, MAPPINGS)
        some = slice(int(starts[begin]), int(starts[self._done]))
        self._keys = np.concatenate((self._keys, self._entries.keys[some]))
        self._values = np.concatenate((self._values, self._entries.values[some]))
        if self._damage is not None:
            self.covered = int(piece.low[self._done - 1]) - 1
        else:
            self.covered = int(self._leaves.low[0]) - 1 if len(self._leaves) else LAST_KEY

    def take(self, limit: int) -> tuple[Keys, Values]:
        """Return the mappings up to the key `limit`, and forget them."""
        # Below 0 nothing has been read yet, and uint64 knows no such key.
        end = 0 if limit < 0 else int(np.searchsorted(self._keys, np.uint64(limit), side="right"))
        taken = self._keys[:end], self._values[:end]
        self.lost = [each for each in self.lost if each[1] > limit]
        self._keys, self._values = self._keys[end:], self._values[end:]
        return taken
