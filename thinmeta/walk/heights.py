"""Heights of trees: known from the nodes on the way down, for nothing else tells them."""

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.schemas.btree_node import MAX_SPINE_DEPTH
from thinmeta.schemas.columns import CHILD
from thinmeta.units import LAST_KEY
from thinmeta.walk.leaf_list import NODES_AT_ONCE, Leaves
from thinmeta.walk.nodes import Kind, Metadata, Nodes, checked_entries, read_nodes
from thinmeta.walk.ragged import Places, distinct_places

_MAX_PROBES = 1000


def roots_of(
    source: Metadata, roots: Blocks, kind: Kind
) -> tuple[Leaves, Places, npt.NDArray[np.bool_]]:
    """Return the roots as nodes, each tree's height, and whether a sound leaf shows it.

    Where none does, what is taken for leaves may as well be nodes above them.
    """
    distinct, where = distinct_places(roots)
    heights = np.zeros(len(distinct), dtype=np.int64)
    bad = np.zeros(len(distinct), dtype=np.uint8)
    sure = np.zeros(len(distinct), dtype=np.bool_)
    probe = _Probe(source, kind)
    for begin in range(0, len(distinct), NODES_AT_ONCE):
        at = distinct[begin : begin + NODES_AT_ONCE]
        active = np.arange(begin, begin + len(at))
        for depth in range(MAX_SPINE_DEPTH):
            nodes, codes = read_nodes(source, at, kind, internal=None)
            if not depth:
                bad[active] = codes
            for tree in active[codes != 0].tolist():
                heights[tree], sure[tree] = probe.height(int(distinct[tree]))
            sure[active[(codes == 0) & ~nodes.level]] = True
            deeper = (codes == 0) & nodes.level
            active, at = active[deeper], _first_children(nodes, deeper)
            heights[active] += 1
            if not len(active):
                break
    return Leaves.roots(roots, bad[where]), heights[where], sure[where]


def _first_children(nodes: Nodes, which: npt.NDArray[np.bool_]) -> Blocks:
    rooms = nodes.headers["max_entries"][which].astype(np.int64)
    words = nodes.rows.view(CHILD)[which]
    value = 4 + rooms  # the header is as large as 4 keys, the values follow the keys
    first: Blocks = words[np.arange(len(words)), value]
    return first


class _Probe:
    """Heights of trees some of whose first children are bad; no node is read for two of them."""

    def __init__(self, source: Metadata, kind: Kind) -> None:
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
        is_leaf = (codes == 0) & ~nodes.level
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
