"""Which nodes make trees: kinds and heights from the leaves up, and which links still hold.

A block that was used again is most often a sound node of another place in another tree.
So a child counts only where it has the kind, the height and the keys that its parent asks
for; any other is lost. A lost child takes nothing from its siblings.

All goes height by height, so nodes that lead in a circle end nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import NODE_CLASSES, BlockClass, Classes
from thinmeta.analyse.recover.node_facts import Counts, NodeFacts
from thinmeta.analyse.recover.survey import Survey
from thinmeta.schemas.btree_node import MAX_SPINE_DEPTH
from thinmeta.units import LAST_KEY
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places, ragged, starts_of

_LEAF_KINDS = (
    BlockClass.MAPPINGS,
    BlockClass.DEVICE_ROOTS,
    BlockClass.DETAILS,
    BlockClass.BITMAP_INDEX,
    BlockClass.REF_COUNTS,
)


_IS_METADATA = np.isin(np.arange(256), [*NODE_CLASSES, BlockClass.INDEX, BlockClass.BITMAP])


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Every sound node, and the links between them.

    Attributes:
        nodes: `n` nodes, ascending by block.
        kinds: `BlockClass` of the leaves below each; `INTERNAL` where none is left.
        heights: 0 for a leaf, -1 where no leaf is left.
        starts: where each node's links begin, shape `(n + 1,)`; there are `m`.
        keys: the lowest key that each link's child may hold, shape `(m,)`.
        lasts: the highest, as far as the node itself can tell, shape `(m,)`.
        targets: the block that each leads to, shape `(m,)`, dtype uint32.
        children: the node that is there; 0 if it is not sound. Shape `(m,)`.
        is_there: which lead to a sound node, whether it fits or not, shape `(m,)`.
        is_metadata: which lead to sound metadata of whatever kind, shape `(m,)`.
        is_sound: which lead to a child that fits, shape `(m,)`. A device root fits
            wherever there are mappings.
        is_child: which nodes are children by a sound link of an internal node.
        is_device_root: which are named by a leaf of device roots.
    """

    nodes: NodeFacts
    kinds: Classes
    heights: Counts
    starts: Places
    keys: Keys
    lasts: Keys
    targets: npt.NDArray[np.uint32]
    children: Places
    is_there: Mask
    is_metadata: Mask
    is_sound: Mask
    is_child: Mask
    is_device_root: Mask

    def place_of(self, block: int) -> int | None:
        """Return which node stands in `block`."""
        place = int(np.searchsorted(self.nodes.blocks, np.uint64(block)))
        there = place < len(self.nodes) and int(self.nodes.blocks[place]) == block
        return place if there else None

    def links_of(self, places: Places) -> Places:
        """Return the links of nodes, one node after the other."""
        begin = self.starts[places]
        return ragged(begin, self.starts[places + 1] - begin)

    def above_leaves(self, kind: BlockClass) -> list[Places]:
        """Return the internal nodes of a kind, those of each height, lowest first."""
        of_kind = np.flatnonzero((self.kinds == kind) & (self.heights > 0))
        top = int(self.heights[of_kind].max(initial=0))
        return [of_kind[self.heights[of_kind] == height] for height in range(1, top + 1)]


class Below:
    """What stands below some nodes, each of which has a link: sums over their children.

    A node in block 4 with two children, of which the second does not fit any more:

    >>> classes = np.array([BlockClass.INTERNAL, *2 * [BlockClass.MAPPINGS]], dtype=np.uint8)
    >>> blocks, none = np.array([4, 5, 6], dtype=np.uint64), np.zeros(3, np.bool_)
    >>> nodes = NodeFacts.blank(blocks, classes, nr_entries=np.array([2, 9, 8]))
    >>> starts, keys = np.array([0, 2, 2, 2]), np.array([0, 50], dtype=np.uint64)
    >>> links = {"children": np.array([1, 2]), "is_sound": np.array([True, False])}
    >>> links |= {"targets": np.array([5, 6], np.uint32), "is_there": np.array([True, True])}
    >>> links["is_metadata"] = links["is_there"]
    >>> marks = {"is_child": none, "is_device_root": none}
    >>> links |= {"keys": keys, "lasts": keys}
    >>> trees = Trees(nodes, classes, np.array([1, 0, 0]), starts, **links, **marks)
    >>> below = Below(trees, np.array([0]))
    >>> below.total(nodes.nr_entries), below.total(nodes.nr_entries, lost=1), below.nr_reused()
    (array([9]), array([10]), array([1]))
    """

    def __init__(self, trees: Trees, parents: Places) -> None:
        """Look at the children of `parents`."""
        links = trees.links_of(parents)
        self.parents = parents
        self._children = trees.children[links]
        self._is_sound = trees.is_sound[links]
        self._is_reused = trees.is_metadata[links] & ~self._is_sound
        counts = trees.starts[parents + 1] - trees.starts[parents]
        self._owners = np.repeat(np.arange(len(parents)), counts)
        self._begins = starts_of(counts)[:-1]

    def total(self, column: npt.NDArray[Any], lost: int = 0) -> npt.NDArray[Any]:
        """Return each parent's sum; a lost child counts `lost`."""
        values = np.where(self._is_sound, column[self._children], column.dtype.type(lost))
        return np.add.reduceat(values, self._begins)

    def nr_reused(self) -> Counts:
        """Return how many children of each parent are lost since their blocks hold others now."""
        return np.add.reduceat(self._is_reused, self._begins, dtype=np.int64)

    def highest(self, column: npt.NDArray[Any], lost: int = 0) -> npt.NDArray[Any]:
        """Return each parent's highest value; a lost child counts `lost`."""
        values = np.where(self._is_sound, column[self._children], column.dtype.type(lost))
        return np.maximum.reduceat(values, self._begins)

    def total_where(self, column: Counts, ranks: Counts, own: Counts) -> Counts:
        """Return each parent's sum over the children whose rank is its own."""
        has_rank = self._is_sound & (ranks[self._children] == own[self._owners])
        values = np.where(has_rank, column[self._children], 0)
        return np.add.reduceat(values, self._begins)


def find_trees(survey: Survey) -> Trees:
    """Find the trees among the nodes of a device."""
    nodes = survey.nodes
    starts = starts_of(np.where(nodes.has_links, nodes.nr_entries, 0))
    keys = survey.links.keys
    place_of = np.full(len(survey.classes) + 1, -1, dtype=np.int64)
    place_of[nodes.blocks.astype(np.int64)] = np.arange(len(nodes), dtype=np.int64)
    children = place_of[np.minimum(survey.links.targets, len(survey.classes))]
    lasts = np.empty(len(keys), dtype=np.uint64)
    lasts[:-1] = keys[1:] - np.uint64(1)
    lasts[starts[1:][starts[1:] > starts[:-1]] - 1] = LAST_KEY
    fits = (children >= 0) & (nodes.first[children] >= keys) & (nodes.last[children] <= lasts)
    kinds, heights = _kinds_and_heights(nodes, starts, children, fits)
    is_root = children >= 0
    is_root[is_root] = kinds[children[is_root]] == BlockClass.MAPPINGS
    trees = Trees(
        nodes=nodes,
        kinds=kinds,
        heights=heights,
        starts=starts,
        keys=keys,
        lasts=lasts,
        targets=survey.links.targets,
        children=np.where(children < 0, 0, children),
        is_there=children >= 0,
        is_metadata=_IS_METADATA[
            survey.classes[np.minimum(survey.links.targets, max(len(survey.classes), 1) - 1)]
        ],
        is_sound=is_root,
        is_child=np.zeros(len(nodes), dtype=np.bool_),
        is_device_root=np.zeros(len(nodes), dtype=np.bool_),
    )
    trees.is_sound[trees.links_of(np.flatnonzero(nodes.classes == BlockClass.INTERNAL))] = False
    links = trees.links_of(np.flatnonzero(nodes.classes == BlockClass.DEVICE_ROOTS))
    trees.is_device_root[trees.children[links[trees.is_sound[links]]]] = True
    _link_down(trees, fits)
    return trees


def _kinds_and_heights(
    nodes: NodeFacts, starts: Places, children: Places, fits: Mask
) -> tuple[Classes, Counts]:
    """Give each internal node the kind and height that most of its children ask for.

    A node waits for as long as more of its children have no height than agree on one.
    """
    kinds = nodes.classes.copy()
    open_nodes = np.flatnonzero(kinds == BlockClass.INTERNAL)
    heights = np.zeros(len(nodes), dtype=np.int64)
    heights[open_nodes] = -1
    for height in range(1, MAX_SPINE_DEPTH):
        counts = starts[open_nodes + 1] - starts[open_nodes]
        begins = starts_of(counts)[:-1]
        links = ragged(starts[open_nodes], counts)
        if not len(links):
            break
        below = heights[children[links]]
        kinds_below = kinds[children[links]]
        is_next = fits[links] & (below == height - 1)
        most = np.add.reduceat(fits[links] & (below < 0), begins, dtype=np.int64)
        most = np.maximum(most - 1, 0)
        found = np.full(len(open_nodes), BlockClass.INTERNAL, dtype=np.uint8)
        for kind in _LEAF_KINDS:
            votes = np.add.reduceat(is_next & (kinds_below == kind), begins, dtype=np.int64)
            found[votes > most] = kind
            most = np.maximum(most, votes)
        is_found = found != BlockClass.INTERNAL
        if not is_found.any():
            break
        kinds[open_nodes[is_found]] = found[is_found]
        heights[open_nodes[is_found]] = height
        open_nodes = open_nodes[~is_found]
    return kinds, heights


def _link_down(trees: Trees, fits: Mask) -> None:
    """Tell which links of internal nodes hold, from the highest nodes down.

    The last child of a node ends where the node does, which only what is above can tell.
    """
    upper = np.full(len(trees.nodes), LAST_KEY, dtype=np.uint64)
    for height in range(int(trees.heights.max(initial=0)), 0, -1):
        parents = np.flatnonzero(trees.heights == height)
        links = trees.links_of(parents)
        owners = np.repeat(parents, trees.starts[parents + 1] - trees.starts[parents])
        below = trees.children[links]
        last = np.minimum(trees.lasts[links], upper[owners])
        sound = (
            fits[links]
            & (trees.kinds[below] == trees.kinds[owners])
            & (trees.heights[below] == height - 1)
            & (trees.nodes.last[below] <= last)
        )
        trees.is_sound[links] = sound
        below, last = below[sound], last[sound]
        upper[below[~trees.is_child[below]]] = 0
        trees.is_child[below] = True
        np.maximum.at(upper, below, last)
