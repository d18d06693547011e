"""Many B-trees walked together, level by level, each shared node decoded once.

Snapshots share subtrees, so the trees of a pool are one forest. Levels are counted
from the leaves up (a leaf has height 0), because trees of different height share
nodes at the same distance from the leaves. The leaves are listed and not read.

A node stands in the forest once for each key range that a parent gives it, so that
a wrong parent harms its own tree only. Of a node's children only the last one's range
depends on the node's own; the others stand once for each block, so that a forest is not
larger than all the entries that were read. A node that cannot be believed stands among
the leaves, for all that it should have held.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.units import LAST_KEY
from thinmeta.walk.level import Level
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import REACHED_TWICE, Keys, TreeKind
from thinmeta.walk.ragged import Places, distinct_places, ragged, starts_of

_LEAVES_AT_ONCE = 1 << 14


class Forest:
    """Trees that were grown together.

    A place in a level is that of one of its `n` nodes, or `n + i` for the `i`th of the
    nodes that cannot be believed, which are the last of the leaves.

    Attributes:
        kind: what the leaves hold.
        levels: by height; `levels[0]` are the leaves.
        heights: of each tree, shape `(n,)`.
        roots: each tree's root as a place in its level, shape `(n,)`.
        nr_bad: nodes that cannot be believed.

    Two trees with the leaves 10, 11, 12 and 10, 11, 13:

    >>> from thinmeta.walk.nodes import MAPPINGS
    >>> leaves = NodeList.roots(np.arange(10, 14, dtype=np.uint64), np.zeros(4, np.uint8))
    >>> nodes = NodeList.roots(np.array([20, 21], dtype=np.uint64), np.zeros(2, np.uint8))
    >>> bodies, starts, inner = np.array([0, 0]), np.array([0, 2]), np.array([0, 1])
    >>> levels = [Level.of_leaves(leaves), Level(nodes, bodies, starts, inner, np.array([2, 3]))]
    >>> forest = Forest(MAPPINGS, levels, heights=np.array([1, 1]), roots=np.array([0, 1]))
    >>> [found.tolist() for found in forest.leaf_places_of(np.array([0, 1]))]
    [[0, 1, 2, 0, 1, 3], [0, 0, 0, 1, 1, 1]]
    >>> forest.totals(np.array([7, 5, 3, 1])).tolist()
    [15, 13]
    >>> forest.spread(np.array([1, 1]), np.add, 0).tolist()
    [2, 2, 1, 1]
    >>> [places.tolist() for places in forest.marked(np.array([False, False, True, False]))]
    [[False, False, True, False], [True, False]]
    """

    def __init__(
        self, kind: TreeKind, levels: list[Level], heights: Places, roots: Places, nr_bad: int = 0
    ) -> None:
        """Take what was grown."""
        self.kind = kind
        self.levels = levels
        self.heights = heights
        self.roots = roots
        self.nr_bad = nr_bad

    def leaves(self, tree: int) -> NodeList:
        """Return the leaves of one tree, in key order."""
        return self.leaves_at(self.leaf_places(tree))

    def leaves_at(self, places: Places) -> NodeList:
        """Return the leaves of one tree, given its `leaf_places`, or what is left of them."""
        found = self.levels[0].nodes[places]
        order = np.argsort(found.blocks, kind="stable")
        ascending = found.blocks[order]
        twice = order[1:][ascending[1:] == ascending[:-1]]
        codes = found.codes.copy()
        codes[twice[codes[twice] == 0]] = REACHED_TWICE
        return NodeList(found.blocks, found.low, found.last, codes)

    def leaf_places(self, tree: int) -> Places:
        """Return the leaves of one tree as places in `levels[0]`, in key order."""
        if tree not in self._ahead:
            # Who asks for one tree goes on with those after it; small ones are walked together.
            self._ahead.clear()
            self._ahead.update(
                self.leaf_places_by_tree(_few_from(tree, *self._every_tree, _LEAVES_AT_ONCE))
            )
        return self._ahead[tree]

    @cached_property
    def _ahead(self) -> dict[int, Places]:
        """The leaves of the trees from the one on that was asked for last."""
        return {}

    @cached_property
    def _every_tree(self) -> tuple[Places, Places]:
        """Return all trees, and how many leaves they have up to each."""
        return np.arange(len(self.roots)), np.cumsum(self.nr_leaves())

    def few_at_once(self, trees: Places, nr_leaves: int = _LEAVES_AT_ONCE) -> Iterator[Places]:
        """Cut `trees` so that some have so many leaves together, or are a single one."""
        ends = np.cumsum(self.nr_leaves()[trees])
        begin = 0
        while begin < len(trees):
            some = _few_from(begin, trees, ends, nr_leaves)
            yield some
            begin += len(some)

    def leaf_places_by_tree(
        self, trees: Places, marks: list[npt.NDArray[np.bool_]] | None = None
    ) -> dict[int, Places]:
        """Return the leaves of some trees as places in `levels[0]`, each in key order."""
        places, owners = self.leaf_places_of(trees, marks)
        cuts = np.searchsorted(owners, np.arange(1, len(trees)))
        return dict(zip(trees.tolist(), np.split(places, cuts), strict=True))

    def leaf_places_of(
        self, trees: Places, marks: list[npt.NDArray[np.bool_]] | None = None
    ) -> tuple[Places, Places]:
        """Return the leaves of some trees, tree by tree in key order.

        Args:
            trees: ascending or not.
            marks: by height, the places to follow; None follows all. See `marked`.

        Returns:
            Places in `levels[0]`; and for each the element of `trees` that has it.
        """
        places, owners = self.roots[trees], np.arange(len(trees), dtype=np.int64)
        heights = self.heights[trees]
        for height in range(int(heights.max(initial=0)), -1, -1):
            deeper = heights[owners] >= height
            if marks is not None:
                kept = ~deeper
                kept[deeper] = marks[height][places[deeper]]
                places, owners, deeper = places[kept], owners[kept], deeper[kept]
                if not len(places):
                    break
            if height:
                places, owners = self._below(height, places, owners, deeper)
        return places, owners

    def _below(
        self, height: int, places: Places, owners: Places, deeper: npt.NDArray[np.bool_]
    ) -> tuple[Places, Places]:
        """Return the children of those of `places` that go `deeper`, the others as they are."""
        level, nr_nodes = self.levels[height], len(self.levels[height].nodes)
        is_node = deeper & (places < nr_nodes)
        if is_node.all():
            children, counts = level.children(places)
            return children, np.repeat(owners, counts)
        children, of_nodes = level.children(places[is_node])
        counts = np.ones(len(places), dtype=np.int64)
        counts[is_node] = of_nodes
        starts = starts_of(counts)
        below = np.empty(int(starts[-1]), dtype=np.int64)
        below[ragged(starts[:-1][is_node], of_nodes)] = children
        bad = deeper & ~is_node
        below[starts[:-1][bad]] = places[bad] - nr_nodes + self._nr_nodes(height - 1)
        below[starts[:-1][~deeper]] = places[~deeper]
        return below, np.repeat(owners, counts)

    def blocks(self, height: int) -> Blocks:
        """Return the block of each place in a level."""
        blocks = self.levels[height].nodes.blocks
        bad = self.levels[0].nodes.blocks[self._nr_nodes(0) :]
        return np.concatenate((blocks, bad)) if height else blocks

    def bad_places(self, height: int) -> Places:
        """Return the places in a level of the nodes that cannot be believed."""
        return np.arange(self.nr_bad) + self._nr_nodes(height)

    def _nr_nodes(self, height: int) -> int:
        nr_nodes = len(self.levels[height].nodes)
        return nr_nodes if height else nr_nodes - self.nr_bad

    def nr_leaves(self) -> Places:
        """Return how many leaves each tree has, shape `(n,)`."""
        return self.totals(np.ones(len(self.levels[0].nodes), dtype=np.int64))

    def totals(self, of_leaves: Places) -> Places:
        """Return each tree's sum over its leaves, shape `(n,)`.

        Args:
            of_leaves: what each leaf counts, by its place in `levels[0]`.
        """
        totals = np.zeros(len(self.roots), dtype=np.int64)
        for height, sums in enumerate(self._sums(of_leaves)):
            here = self.heights == height
            totals[here] = sums[self.roots[here]]
        return totals

    def highest(self, of_leaves: Keys) -> Keys:
        """Return the highest number that a leaf of each tree has; 0 for a tree without leaves."""
        highest = np.zeros(len(self.roots), dtype=np.uint64)
        of_bad = of_leaves[self._nr_nodes(0) :]
        below = of_leaves
        for height, level in enumerate(self.levels):
            if height:
                below = np.append(below, np.uint64(0))  # for NOWHERE
                of_bodies = np.zeros(len(level.starts) - 1, dtype=np.uint64)
                filled = np.flatnonzero(np.diff(level.starts))
                if len(filled):
                    begins = level.starts[filled]
                    of_bodies[filled] = np.maximum.reduceat(below[level.inner], begins)
                of_nodes = np.maximum(of_bodies[level.bodies], below[level.last])
                below = np.concatenate((of_nodes, of_bad))
            here = self.heights == height
            highest[here] = below[self.roots[here]]
        return highest

    def marked(self, leaves: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.bool_]]:
        """Return by height which places lead to marked leaves."""
        return [sums > 0 for sums in self._sums(leaves.astype(np.int64))]

    def _sums(self, of_leaves: Places) -> Iterator[Places]:
        """Return by height each place's sum over the leaves below it."""
        below = of_leaves
        yield below
        of_bad = of_leaves[self._nr_nodes(0) :]
        for level in self.levels[1:]:
            below = np.append(below, 0)  # for NOWHERE
            of_inner = starts_of(below[level.inner])[level.starts]
            below = np.concatenate(
                ((of_inner[1:] - of_inner[:-1])[level.bodies] + below[level.last], of_bad)
            )
            yield below

    def spread(self, of_trees: npt.NDArray[Any], join: np.ufunc, nothing: Any) -> npt.NDArray[Any]:
        """Return for each leaf what its trees have together, once for each time they have it.

        Args:
            of_trees: what each tree has, shape `(n,)`.
            join: what joins two of these, such as `np.add` or `np.minimum`.
            nothing: what changes nothing when it is joined.
        """
        of_bad = np.full(self.nr_bad, nothing, dtype=of_trees.dtype)
        above: npt.NDArray[Any] = np.empty(0, dtype=of_trees.dtype)
        for height in range(len(self.levels) - 1, -1, -1):
            nr_nodes = self._nr_nodes(height)
            here = np.full(nr_nodes + self.nr_bad + 1, nothing, dtype=of_trees.dtype)
            roots = self.heights == height
            join.at(here, self.roots[roots], of_trees[roots])
            if height + 1 < len(self.levels):
                level = self.levels[height + 1]
                of_bodies = np.full(len(level.starts) - 1, nothing, dtype=of_trees.dtype)
                join.at(of_bodies, level.bodies, above)
                join.at(here, level.inner, np.repeat(of_bodies, np.diff(level.starts)))
                join.at(here, level.last, above)
            above = here[:nr_nodes]
            of_bad = join(of_bad, here[nr_nodes:-1])
        return np.concatenate((above, of_bad))

    def doubtful_blocks(self) -> Blocks:
        """Return the leaves that some tree cannot believe, each once and ascending.

        Either a node above one is bad, or it stands in two places that exclude each other.
        """
        nodes = self.levels[0].nodes
        blocks, identity = distinct_places(nodes.blocks)
        low = np.zeros(len(blocks), dtype=np.uint64)
        last = np.full(len(blocks), LAST_KEY, dtype=np.uint64)
        np.maximum.at(low, identity, nodes.low)
        np.minimum.at(last, identity, nodes.last)
        is_doubtful = low > last
        is_doubtful[identity[nodes.codes != 0]] = True
        return blocks[is_doubtful]


def _few_from(begin: int, trees: Places, ends: Places, nr_leaves: int) -> Places:
    before = int(ends[begin - 1]) if begin else 0
    end = int(np.searchsorted(ends, before + nr_leaves, side="right"))
    return trees[begin : max(end, begin + 1)]
