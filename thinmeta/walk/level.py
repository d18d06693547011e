"""One level of trees that are walked together: its nodes, and where their children are."""

from typing import NamedTuple

import numpy as np

from thinmeta.walk.node_list import NodeList
from thinmeta.walk.ragged import Places, ragged

NOWHERE = -1
"""The place of a child that is not there."""


class Level(NamedTuple):
    """The nodes of one height, and for each its children in the level below.

    Attributes:
        nodes: distinct by block and key range.
        bodies: which body each node has, shape `(n,)`.
        starts: where each body's children begin in `inner`, shape `(m + 1,)`.
        inner: the bodies' children: places in the level below, in key order.
        last: each node's last child, which follows those of its body; or `NOWHERE`.

    Two nodes of one body, so of one block, which differ in their last child:

    >>> nodes = NodeList.roots(np.array([20, 20], dtype=np.uint64), np.zeros(2, np.uint8))
    >>> bodies, starts, inner = np.array([0, 0]), np.array([0, 2]), np.array([0, 1])
    >>> level = Level(nodes, bodies, starts, inner, last=np.array([2, 3]))
    >>> [found.tolist() for found in level.children(np.array([1, 0]))]
    [[0, 1, 3, 0, 1, 2], [3, 3]]
    """

    nodes: NodeList
    bodies: Places
    starts: Places
    inner: Places
    last: Places

    @classmethod
    def of_leaves(cls, nodes: NodeList) -> "Level":
        """Return a level without one below."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(nodes, nothing, np.zeros(1, dtype=np.int64), nothing, nothing)

    def children(self, places: Places) -> tuple[Places, Places]:
        """Return the children of some nodes, one after the other, and how many each has."""
        bodies, last = self.bodies[places], self.last[places]
        begins = self.starts[bodies]
        nr_inner = self.starts[bodies + 1] - begins
        has_last = last != NOWHERE
        counts = nr_inner + has_last
        ends = np.cumsum(counts)
        children = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
        children[ragged(ends - counts, nr_inner)] = self.inner[ragged(begins, nr_inner)]
        children[ends[has_last] - 1] = last[has_last]
        return children, counts
