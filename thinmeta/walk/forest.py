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
from thinmeta.schemas.btree_node import MAX_SPINE_DEPTH
from thinmeta.schemas.columns import CHILD
from thinmeta.units import LAST_KEY
from thinmeta.walk.leaf_list import NODES_AT_ONCE, Leaves
from thinmeta.walk.nodes import (
    REACHED_TWICE,
    Keys,
    Kind,
    Metadata,
    Nodes,
    checked_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct_places, ragged, starts_of

_MAX_PROBES = 1000


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
        found = self.levels[0].nodes[self.leaf_places(tree)]
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

    def spoiled(self) -> bool:
        """Tell whether a node above the leaves cannot be believed."""
        return bool(self.levels[0].nodes.codes.any())


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
    trees, heights = roots_of(source, roots, kind)
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
    return Forest(kind, levels[::-1], heights, places)


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
    children = Leaves(blocks, low, last, np.repeat(np.where(codes, codes, 0), counts))
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


def roots_of(source: Metadata, roots: Blocks, kind: Kind) -> tuple[Leaves, Places]:
    """Return the roots as nodes, and each tree's height, found along first children."""
    distinct, where = distinct_places(roots)
    heights = np.zeros(len(distinct), dtype=np.int64)
    bad = np.zeros(len(distinct), dtype=np.uint8)
    for begin in range(0, len(distinct), NODES_AT_ONCE):
        at = distinct[begin : begin + NODES_AT_ONCE]
        active = np.arange(begin, begin + len(at))
        for depth in range(MAX_SPINE_DEPTH):
            nodes, codes = read_nodes(source, at, kind, internal=None)
            if not depth:
                bad[active] = codes
            for tree in active[codes != 0].tolist():
                heights[tree] = _height_past_damage(source, distinct[tree : tree + 1], kind)
            deeper = (codes == 0) & nodes.level
            active, at = active[deeper], _first_children(nodes, deeper)
            heights[active] += 1
            if not len(active):
                break
    return Leaves.roots(roots, bad[where]), heights[where]


def _first_children(nodes: Nodes, which: npt.NDArray[np.bool_]) -> Blocks:
    rooms = nodes.headers["max_entries"][which].astype(np.int64)
    words = nodes.rows.view(CHILD)[which]
    value = 4 + rooms  # the header is as large as 4 keys, the values follow the keys
    first: Blocks = words[np.arange(len(words)), value]
    return first


def _height_past_damage(source: Metadata, root: Blocks, kind: Kind) -> int:
    """Return the height of a tree some of whose first children are bad.

    Goes down to the first sound leaf by whatever way there is; a tree that shows
    none within a thousand nodes is taken for as high as what was seen of it.
    """
    highest = 0
    seen: set[int] = set()
    ahead: list[tuple[int, int]] = [(int(root[0]), 0)]
    while ahead and len(seen) < _MAX_PROBES:
        block, depth = ahead.pop()
        highest = max(highest, depth)
        if block in seen or depth > MAX_SPINE_DEPTH:
            continue
        seen.add(block)
        at = np.array([block], dtype=np.uint64)
        nodes, codes = read_nodes(source, at, kind, internal=None)
        if codes[0]:
            continue
        if not nodes.level[0]:
            return depth
        bounds = np.zeros(1, np.uint64), np.full(1, LAST_KEY, np.uint64)
        children = checked_entries(nodes, codes, *bounds, CHILD).values
        ahead += [(child, depth + 1) for child in children[::-1].tolist()]
    return highest
