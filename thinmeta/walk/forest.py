"""Many B-trees walked together, level by level, each shared node decoded once.

Snapshots share subtrees, so the trees of a pool are one forest. Levels are counted
from the leaves up (a leaf has height 0), because trees of different height share
nodes at the same distance from the leaves. The leaves are listed and not read.

A node stands in the forest once for each key range that a parent gives it, so that
a wrong parent spoils its own tree only. A node that cannot be believed is carried
down to the leaves, where it stands for all that it should have held.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.schemas.columns import CHILD
from thinmeta.units import LAST_KEY
from thinmeta.walk.heights import roots_of
from thinmeta.walk.leaf_list import NODES_AT_ONCE, Leaves
from thinmeta.walk.nodes import (
    REACHED_TWICE,
    Keys,
    Kind,
    Metadata,
    checked_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct, distinct_places, ragged, starts_of


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The nodes of one height, and for each its children in the level below.

    Attributes:
        nodes: distinct by block and key range.
        starts: where each node's children begin in `children`, shape `(n + 1,)`.
        children: places in the level below, in key order.
    """

    nodes: Leaves
    starts: Places
    children: Places


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees that were grown together.

    Attributes:
        kind: what the leaves hold.
        levels: by height; `levels[0]` are the leaves.
        heights: of each tree, shape `(n,)`.
        roots: each tree's root as a place in its level, shape `(n,)`.
    """

    kind: Kind
    levels: list[Level]
    heights: Places
    roots: Places

    def leaves(self, tree: int) -> Leaves:
        """Return the leaves of one tree, in key order."""
        return self.leaves_at(self.leaf_places(tree))

    def leaves_at(self, places: Places) -> Leaves:
        """Return the leaves of one tree, given all its `leaf_places`."""
        found = self.levels[0].nodes[places]
        order = np.argsort(found.blocks, kind="stable")
        ascending = found.blocks[order]
        twice = order[1:][ascending[1:] == ascending[:-1]]
        codes = found.codes.copy()
        codes[twice[codes[twice] == 0]] = REACHED_TWICE
        return Leaves(found.blocks, found.low, found.last, codes)

    def leaf_places(self, tree: int) -> Places:
        """Return the leaves of one tree as places in `levels[0]`, in key order."""
        places = self.roots[tree : tree + 1]
        for height in range(int(self.heights[tree]), 0, -1):
            level = self.levels[height]
            begin = level.starts[places]
            places = level.children[ragged(begin, level.starts[places + 1] - begin)]
        return places

    def nr_leaves(self) -> Places:
        """Return how many leaves each tree has, shape `(n,)`."""
        return self.totals(np.ones(len(self.levels[0].nodes), dtype=np.int64))

    def totals(self, of_leaves: Places) -> Places:
        """Return each tree's sum over its leaves, shape `(n,)`.

        Args:
            of_leaves: what each leaf counts, by its place in `levels[0]`.
        """
        below = of_leaves
        totals = np.zeros(len(self.roots), dtype=np.int64)
        for height, level in enumerate(self.levels):
            if height:
                sums = starts_of(below[level.children])
                below = sums[level.starts[1:]] - sums[level.starts[:-1]]
            here = self.heights == height
            totals[here] = below[self.roots[here]]
        return totals

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


Wanted = Callable[[Keys, Keys], npt.NDArray[np.bool_]]
"""Given children's lowest and highest keys, which of them to follow."""


def grow(source: Metadata, roots: Blocks, kind: Kind, *, wanted: Wanted | None = None) -> Forest:
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
    trees, heights, sure = roots_of(source, roots, kind)
    places = np.empty(len(roots), dtype=np.int64)
    levels: list[Level] = []
    above = Leaves.none()
    for height in range(int(heights.max(initial=0)), -1, -1):
        here = np.flatnonzero(heights == height)
        nodes, where = _distinct(Leaves.joined([above, trees[here]]))
        if levels:
            levels[-1] = Level(levels[-1].nodes, levels[-1].starts, where[: len(above)])
        places[here] = where[len(above) :]
        if height:
            above, counts = children_of(source, nodes, kind, wanted)
            starts = starts_of(counts)
        else:
            starts = np.zeros(len(nodes) + 1, dtype=np.int64)
        levels.append(Level(nodes, starts, np.empty(0, dtype=np.int64)))
    forest = Forest(kind, levels[::-1], heights, places)
    _mark_bad_leaves(source, forest, np.flatnonzero(~sure))
    return forest


def _mark_bad_leaves(source: Metadata, forest: Forest, trees: Places) -> None:
    """Give bad leaves of `trees` their codes, for they may be nodes above the leaves."""
    if not len(trees):
        return
    places = distinct(np.concatenate([forest.leaf_places(tree) for tree in trees.tolist()]))
    leaves = forest.levels[0].nodes
    for begin in range(0, len(places), NODES_AT_ONCE):
        part = places[begin : begin + NODES_AT_ONCE]
        _, codes = read_nodes(source, leaves.blocks[part], forest.kind, internal=False)
        leaves.codes[part] = np.where(leaves.codes[part], leaves.codes[part], codes)


def children_of(
    source: Metadata, nodes: Leaves, kind: Kind, wanted: Wanted | None = None
) -> tuple[Leaves, Places]:
    """Return the children of `nodes`, and how many each has; a bad node is its own child."""
    parts = [Leaves.none()]
    counts = [np.empty(0, dtype=np.int64)]
    for begin in range(0, len(nodes), NODES_AT_ONCE):
        part, nr_children = _children_of_few(
            source, nodes[begin : begin + NODES_AT_ONCE], kind, wanted
        )
        parts.append(part)
        counts.append(nr_children)
    return Leaves.joined(parts), np.concatenate(counts)


def _children_of_few(
    source: Metadata, nodes: Leaves, kind: Kind, wanted: Wanted | None
) -> tuple[Leaves, Places]:
    read, found = read_nodes(source, nodes.blocks, kind, internal=True)
    codes = np.where(nodes.codes != 0, nodes.codes, found)
    entries = checked_entries(read, codes, nodes.low, nodes.last, CHILD)
    own = np.diff(entries.starts)
    counts = np.where(codes == 0, own, 1)
    starts = starts_of(counts)
    total = int(starts[-1])
    held = ragged(starts[:-1], own)  # the places of sound nodes' children among all
    blocks = np.empty(total, dtype=np.uint64)
    low = np.empty(total, dtype=np.uint64)
    blocks[held], low[held] = entries.values, entries.keys
    bad = np.flatnonzero(codes)
    blocks[starts[bad]], low[starts[bad]] = nodes.blocks[bad], nodes.low[bad]
    last = np.empty(total, dtype=np.uint64)
    last[:-1] = low[1:] - np.uint64(1)
    last[starts[1:] - 1] = nodes.last
    children = Leaves(blocks, low, last, np.repeat(codes, counts))
    if wanted is None:
        return children, counts
    keep = wanted(children.low, children.last)
    kept = starts_of(keep.astype(np.int64))
    return children[keep], kept[starts[1:]] - kept[starts[:-1]]


def _distinct(nodes: Leaves) -> tuple[Leaves, Places]:
    """Return the nodes without repeats, and where each of `nodes` is among them."""
    order = np.argsort(nodes.blocks, kind="stable")
    ascending = nodes.blocks[order]
    if not (ascending[1:] == ascending[:-1]).any():
        return nodes, np.arange(len(nodes), dtype=np.int64)
    order = np.lexsort((nodes.codes, nodes.last, nodes.low, nodes.blocks))
    ordered = nodes[order]
    new = np.ones(len(nodes), dtype=np.bool_)
    new[1:] = (
        (ordered.blocks[1:] != ordered.blocks[:-1])
        | (ordered.low[1:] != ordered.low[:-1])
        | (ordered.last[1:] != ordered.last[:-1])
        | (ordered.codes[1:] != ordered.codes[:-1])
    )
    where = np.empty(len(nodes), dtype=np.int64)
    where[order] = np.cumsum(new) - 1
    return ordered[new], where
