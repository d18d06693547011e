"""Heights of trees: known from the nodes on the way down, for nothing else tells them."""

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.schemas.btree_node import MAX_SPINE_DEPTH
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import first_children
from thinmeta.units import LAST_KEY
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import Codes, Metadata, Nodes, TreeKind, checked_entries, read_nodes
from thinmeta.walk.ragged import Places, distinct

_MAX_PROBES = 1000


def roots_of(
    source: Metadata, roots: Blocks, kind: TreeKind
) -> tuple[NodeList, Places, npt.NDArray[np.bool_]]:
    """Return the roots as nodes, each tree's height, and whether a sound leaf shows it.

    Where none does, what is taken for leaves may as well be nodes above them.
    """
    spine = _Spine(source, kind)
    spine.follow(roots)
    heights, ends_badly = spine.heights()
    at = np.searchsorted(spine.blocks, roots)
    heights, sure = heights[at], heights[at] < MAX_SPINE_DEPTH
    probe = _Probe(source, kind)
    for tree in np.flatnonzero(ends_badly[at]).tolist():
        heights[tree], sure[tree] = probe.height(int(roots[tree]))
    return NodeList.roots(roots, spine.codes[at]), heights, sure


class _Spine:
    """All nodes on the ways down from some roots by the first children, each read once.

    Attributes:
        blocks: where they are, ascending.
        codes: of each, an index of `REASONS`.
    """

    def __init__(self, source: Metadata, kind: TreeKind) -> None:
        self.blocks = np.empty(0, dtype=np.uint64)
        self.codes = np.empty(0, dtype=np.uint8)
        self._first = np.empty(0, dtype=np.uint64)
        self._is_leaf = np.empty(0, dtype=np.bool_)
        self._source = source
        self._kind = kind

    def follow(self, roots: Blocks) -> None:
        """Read from the roots down, as far as a kernel would."""
        new = distinct(roots)
        for _ in range(MAX_SPINE_DEPTH):
            if not len(new):
                return
            parts = [self._read(new[at : at + NODES_AT_ONCE]) for at in _steps(len(new))]
            codes, first, is_leaf = (np.concatenate(column) for column in zip(*parts, strict=True))
            self._add(new, codes, first, is_leaf)
            below = distinct(first[(codes == 0) & ~is_leaf])
            new = below[~_is_among(below, self.blocks)]

    def heights(self) -> tuple[Places, npt.NDArray[np.bool_]]:
        """Return each node's height, and whether a bad node is why it is not known.

        It is `MAX_SPINE_DEPTH` then, and where there is no end within as many nodes.
        """
        is_inner = np.flatnonzero((self.codes == 0) & ~self._is_leaf)
        below = np.searchsorted(self.blocks, self._first[is_inner])
        there = _is_among(self._first[is_inner], self.blocks)
        is_inner, below = is_inner[there], below[there]
        to_leaf, to_bad = np.full((2, len(self.blocks)), MAX_SPINE_DEPTH, dtype=np.int64)
        to_leaf[(self.codes == 0) & self._is_leaf] = 0
        to_bad[self.codes != 0] = 0
        for steps in (to_leaf, to_bad):
            for _ in range(MAX_SPINE_DEPTH):
                found = np.minimum(steps[below] + 1, MAX_SPINE_DEPTH)
                if (found == steps[is_inner]).all():
                    break
                steps[is_inner] = found
        return to_leaf, to_bad < MAX_SPINE_DEPTH

    def _read(self, blocks: Blocks) -> tuple[Codes, Blocks, npt.NDArray[np.bool_]]:
        nodes, codes = read_nodes(self._source, blocks, self._kind, internal=None)
        first = np.zeros(len(blocks), dtype=np.uint64)
        deeper = (codes == 0) & nodes.is_internal
        first[deeper] = _first_children(nodes, deeper)
        return codes, first, ~nodes.is_internal

    def _add(
        self, blocks: Blocks, codes: Codes, first: Blocks, is_leaf: npt.NDArray[np.bool_]
    ) -> None:
        at = np.searchsorted(self.blocks, blocks)
        self.blocks = np.insert(self.blocks, at, blocks)
        self.codes = np.insert(self.codes, at, codes)
        self._first = np.insert(self._first, at, first)
        self._is_leaf = np.insert(self._is_leaf, at, is_leaf)


def _steps(number: int) -> range:
    return range(0, number, NODES_AT_ONCE)


def _is_among(blocks: Blocks, ascending: Blocks) -> npt.NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(ascending, blocks), max(0, len(ascending) - 1))
    found: npt.NDArray[np.bool_] = ascending[places] == blocks
    return found


def _first_children(nodes: Nodes, which: npt.NDArray[np.bool_]) -> Blocks:
    max_entries = nodes.headers["max_entries"][which].astype(np.int64)
    return first_children(nodes.rows[which], max_entries)


class _Probe:
    """Heights of trees some of whose first children are bad; no node is read for two of them."""

    def __init__(self, source: Metadata, kind: TreeKind) -> None:
        self._source = source
        self._kind = kind
        self._left = 0
        self._known: dict[int, tuple[int, bool]] = {}

    def height(self, block: int) -> tuple[int, bool]:
        """Return a node's height, and whether a sound leaf shows it.

        Goes down to a sound leaf by whatever way there is; a tree that shows none
        within a thousand nodes is taken for as high as what was seen of it.
        """
        self._left = _MAX_PROBES
        self._look([block], 0)
        return self._known.get(block, (0, False))

    def _look(self, blocks: list[int], depth: int) -> None:
        new = [block for block in dict.fromkeys(blocks) if block not in self._known]
        del new[self._left :]
        self._left -= len(new)
        if not new:
            return
        at = np.array(new, dtype=np.uint64)
        nodes, codes = read_nodes(self._source, at, self._kind, internal=None)
        is_leaf = (codes == 0) & ~nodes.is_internal
        self._known |= {block: (0, leaf) for block, leaf in zip(new, is_leaf.tolist(), strict=True)}
        if is_leaf.any() or depth > MAX_SPINE_DEPTH:
            return
        bounds = np.zeros(len(new), np.uint64), np.full(len(new), LAST_KEY, np.uint64)
        entries = checked_entries(nodes, codes, *bounds, CHILD)
        for place in np.flatnonzero(codes == 0).tolist():
            children = entries.values[entries.starts[place] : entries.starts[place + 1]].tolist()
            self._look(children, depth + 1)
            found = [self._known.get(child, (0, False)) for child in children]
            height, sure = next((each for each in found if each[1]), max(found))
            self._known[new[place]] = (height + 1, sure)
            if sure:
                return
