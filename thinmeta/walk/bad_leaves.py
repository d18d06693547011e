"""Leaves that cannot be believed, as damage: told once, for the first tree that has them."""

from collections.abc import Iterator

import numpy as np

from thinmeta.errors import Damage
from thinmeta.units import DeviceId
from thinmeta.walk.forest import Forest
from thinmeta.walk.leaves import combined, damage_of
from thinmeta.walk.nodes import Codes, Keys
from thinmeta.walk.ragged import distinct


class BadLeaves:
    """The bad leaves of a forest, by tree; most often there are none."""

    def __init__(self, forest: Forest, ids: Keys, codes: Codes) -> None:
        """Find out which trees have bad leaves.

        Args:
            forest: the trees.
            ids: the device that each is of, shape `(n,)`.
            codes: of each of its leaves, once they were read.
        """
        self._forest = forest
        self._ids = ids
        self._codes = codes
        self._first = np.empty(0, dtype=np.int64)
        self._trees: frozenset[int] = frozenset()
        if codes.any():
            numbers = np.arange(len(forest.roots))
            self._first = forest.spread(numbers, np.minimum, len(numbers))
            self._trees = frozenset(distinct(self._first[codes != 0]).tolist())

    @property
    def trees(self) -> frozenset[int]:
        """Those of which `of` returns something."""
        return self._trees

    def __iter__(self) -> Iterator[Damage]:
        """Return the bad leaves of all trees, tree by tree."""
        for tree in sorted(self._trees):
            yield from self.of(tree)

    def of(self, tree: int) -> Iterator[Damage]:
        """Return the bad leaves of a tree that no tree before it has, in key order."""
        if tree not in self._trees:
            return
        places = self._forest.leaf_places(tree)
        leaves = self._forest.leaves_at(places)
        codes = combined(leaves.codes, self._codes[places])
        for bad in np.flatnonzero((codes != 0) & (self._first[places] == tree)).tolist():
            damage = damage_of(leaves, codes, bad, self._forest.kind)
            yield damage._replace(device_id=DeviceId(int(self._ids[tree])))
