"""Trees for tests of forests: lists of leaves, grouped into internal nodes, some of them shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from hypothesis import strategies as st

from tests.made_images import Image, mappings
from thinmeta.units import LAST_KEY
from thinmeta.walk.forest import Forest
from thinmeta.walk.level import Level
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS

KEYS_A_LEAF = 100
"""Leaf `n` of an image maps origin blocks `100 * n` and the one after it."""

Shape = int | tuple["Shape", ...]
"""A tree: a leaf by its number, or an internal node by its children."""


def leaf_numbers(tree: Shape) -> list[int]:
    """Return the leaves of a tree, in order."""
    if isinstance(tree, int):
        return [tree]
    return [leaf for child in tree for leaf in leaf_numbers(child)]


def height_of(tree: Shape) -> int:
    return 0 if isinstance(tree, int) else 1 + height_of(tree[0])


def grouped(leaves: Sequence[int], cuts: frozenset[int], height: int) -> Shape:
    """Return a tree of `height` over `leaves`, its nodes cut after the leaves in `cuts`.

    Trees that have leaves in common and the same cuts have nodes in common, as
    snapshots have: where a node ends depends on the leaf and not on the tree.
    """
    level: list[Shape] = list(leaves)
    for step in range(height - 1):
        nodes: list[list[Shape]] = [[]]
        for child in level:
            nodes[-1].append(child)
            if leaf_numbers(child)[-1] >> step in cuts:
                nodes.append([])
        level = [tuple(node) for node in nodes if node]
    return level[0] if height == 0 else tuple(level)


@st.composite
def forests(draw: st.DrawFn) -> list[Shape]:
    """Return trees of ascending leaves, many of which share leaves and internal nodes."""
    universe = list(range(draw(st.integers(1, 12))))
    cuts = draw(st.frozensets(st.integers(0, 12)))
    trees: list[Shape] = []
    for _ in range(draw(st.integers(0, 5))):
        leaves = sorted(draw(st.sets(st.sampled_from(universe), min_size=1)))
        height = draw(st.integers(0 if len(leaves) == 1 else 1, 3))
        trees.append(grouped(leaves, cuts, height))
    return trees


@dataclass(frozen=True)
class Grown:
    """An image with trees in it."""

    image: bytes
    roots: list[int]
    leaf_blocks: dict[int, int]

    def blocks(self, leaves: Sequence[int]) -> list[int]:
        return [self.leaf_blocks[leaf] for leaf in leaves]


def grown(trees: Sequence[Shape]) -> Grown:
    """Write the trees into an image, each distinct node once."""
    image = Image()
    leaf_blocks: dict[int, int] = {}

    @cache
    def block_of(tree: Shape) -> int:
        if isinstance(tree, int):
            begin = KEYS_A_LEAF * tree
            leaf_blocks[tree] = image.leaf(mappings(begin, [1000 + begin, 1001 + begin]))
            return leaf_blocks[tree]
        children = [(KEYS_A_LEAF * leaf_numbers(child)[0], block_of(child)) for child in tree]
        return image.internal(children)

    roots = [block_of(tree) for tree in trees]
    return Grown(b"".join(image.blocks), roots, leaf_blocks)


def some_leaves(blocks: Sequence[int]) -> NodeList:
    """Return sound leaves whose key ranges do not matter."""
    return NodeList(
        np.array(blocks, dtype=np.uint64),
        np.zeros(len(blocks), dtype=np.uint64),
        np.full(len(blocks), LAST_KEY, dtype=np.uint64),
        np.zeros(len(blocks), dtype=np.uint8),
    )


def planted(trees: Sequence[Shape]) -> Forest:
    """Return the forest of `trees` without an image; their leaves may come in any order."""
    heights = [height_of(tree) for tree in trees]
    places: list[dict[Shape, int]] = [{} for _ in range(max(heights, default=0) + 1)]

    def place_of(tree: Shape, height: int) -> int:
        if height:
            for child in tree if isinstance(tree, tuple) else ():
                place_of(child, height - 1)
        return places[height].setdefault(tree, len(places[height]))

    roots = [place_of(tree, height) for tree, height in zip(trees, heights, strict=True)]
    levels = []
    for height, nodes in enumerate(places):
        children = [node if isinstance(node, tuple) else () for node in nodes]
        starts = np.cumsum([0, *(max(0, len(node) - 1) for node in children)])
        blocks = [node if isinstance(node, int) else 0 for node in nodes]
        inner = [places[height - 1][child] for node in children for child in node[:-1]]
        last = [places[height - 1][node[-1]] for node in children if node]
        levels.append(
            Level(
                some_leaves(blocks),
                np.arange(len(last)),
                starts,
                np.array(inner, dtype=np.int64),
                np.array(last, dtype=np.int64),
            )
        )
    return Forest(
        MAPPINGS, levels, np.array(heights, dtype=np.int64), np.array(roots, dtype=np.int64)
    )
