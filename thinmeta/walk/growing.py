"""Forests are grown from their roots down: the nodes of a level, then those below them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.walk.children import SharedChildren, Wanted, children_of, shared_children
from thinmeta.walk.forest import Forest
from thinmeta.walk.heights import roots_of
from thinmeta.walk.level import NOWHERE, Level
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import Metadata, TreeKind, read_nodes
from thinmeta.walk.ragged import Places, distinct_places, is_new, starts_of


def grow(
    source: Metadata, roots: Blocks, kind: TreeKind, *, wanted: Wanted | None = None
) -> Forest:
    """Walk the trees at `roots` down to the list of their leaves.

    The cost follows the number of distinct nodes above the leaves.

    Args:
        source: where to read.
        roots: root nodes, shape `(n,)`; may repeat.
        kind: what the leaves hold.
        wanted: follow only these children; None follows all.

    Returns:
        The forest; nodes that cannot be believed are in it, with their codes.
    """
    distinct_roots, which = distinct_places(roots)
    trees, heights, sure = roots_of(source, distinct_roots, kind)
    growing = _Growing(len(trees))
    for height in range(int(heights.max(initial=0)), -1, -1):
        here = np.flatnonzero(heights == height)
        nodes = growing.add(trees[here], here)
        if height and wanted is None:
            growing.follow(nodes, shared_children(source, nodes, kind))
        elif height:
            growing.follow_apart(nodes, *children_of(source, nodes, kind, wanted))
    forest = growing.forest(kind, heights, nodes)
    _mark_bad_leaves(source, forest, ~sure)
    return Forest(kind, forest.levels, heights[which], forest.roots[which], forest.nr_bad)


class _Growing:
    """A forest, from the highest level down."""

    def __init__(self, nr_trees: int) -> None:
        self._roots = np.empty(nr_trees, dtype=np.int64)
        self._levels: list[Level] = []
        self._bad = [NodeList.none()]
        self._nr_bad = 0
        self._above = NodeList.none()  # the children of the lowest level
        self._where = self._here = np.empty(0, dtype=np.int64)

    def add(self, roots: NodeList, trees: Places) -> NodeList:
        """Begin the next level: the children of the one above, and the roots of some trees."""
        nodes, self._where = _distinct(NodeList.joined([self._above, roots]))
        self._here = trees
        return nodes

    def follow(self, nodes: NodeList, children: SharedChildren) -> None:
        """End a level whose nodes share their children."""
        good = children.codes == 0
        nr_good = int(np.count_nonzero(good))
        places = np.empty(len(nodes), dtype=np.int64)
        places[good] = np.arange(nr_good)
        bad = replace(nodes[~good], codes=children.codes[~good])
        places[~good] = np.arange(len(bad)) + nr_good + self._nr_bad
        self._settle(places)
        self._bad.append(bad)
        self._nr_bad += len(bad)
        self._end(nodes[good], children.bodies[good], children.starts)
        self._above = NodeList.joined([children.inner, children.last])

    def follow_apart(self, nodes: NodeList, children: NodeList, counts: Places) -> None:
        """End a level each of whose nodes has children of its own, a bad one itself."""
        self._settle(np.arange(len(nodes)))
        self._end(nodes, np.arange(len(nodes)), starts_of(counts))
        self._above = children

    def forest(self, kind: TreeKind, heights: Places, leaves: NodeList) -> Forest:
        """End with the leaves."""
        self._settle(np.arange(len(leaves)))
        levels = [*self._levels, Level.of_leaves(NodeList.joined([leaves, *self._bad]))]
        return Forest(kind, levels[::-1], heights, self._roots, self._nr_bad)

    def _settle(self, places: Places) -> None:
        """Say where in their level the nodes are that were added last."""
        found = places[self._where]
        if self._levels:
            level = self._levels[-1]
            nr_inner, nr_children = int(level.starts[-1]), len(self._above)
            last = found[nr_inner:nr_children] if nr_children > nr_inner else level.last
            self._levels[-1] = level._replace(inner=found[:nr_inner], last=last)
        self._roots[self._here] = found[len(self._above) :]

    def _end(self, nodes: NodeList, bodies: Places, starts: Places) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self._levels.append(Level(nodes, bodies, starts, nothing, np.full(len(nodes), NOWHERE)))


def _mark_bad_leaves(source: Metadata, forest: Forest, trees: npt.NDArray[np.bool_]) -> None:
    """Give bad leaves of `trees` their codes, for they may be nodes above the leaves."""
    if not trees.any():
        return
    places = np.flatnonzero(forest.spread(trees, np.logical_or, nothing=False))
    leaves = forest.levels[0].nodes
    blocks, where = distinct_places(leaves.blocks[places])
    codes = np.zeros(len(blocks), dtype=np.uint8)
    for begin in range(0, len(blocks), NODES_AT_ONCE):
        some = slice(begin, begin + NODES_AT_ONCE)
        _, codes[some] = read_nodes(source, blocks[some], forest.kind, internal=False)
    leaves.codes[places] = np.where(leaves.codes[places], leaves.codes[places], codes[where])


def _distinct(nodes: NodeList) -> tuple[NodeList, Places]:
    """Return the nodes without repeats, and where each of `nodes` is among them."""
    order = np.argsort(nodes.blocks, kind="stable")
    ascending = nodes.blocks[order]
    if not (ascending[1:] == ascending[:-1]).any():
        return nodes, np.arange(len(nodes), dtype=np.int64)
    order = np.lexsort((nodes.codes, nodes.last, nodes.low, nodes.blocks))
    ordered = nodes[order]
    new = is_new(ordered.blocks, ordered.low, ordered.last, ordered.codes)
    where = np.empty(len(nodes), dtype=np.int64)
    where[order] = np.cumsum(new) - 1
    return ordered[new], where
