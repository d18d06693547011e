"""The children of internal nodes: of each node by itself, or once for all places of a node."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.schemas.columns import CHILD
from thinmeta.walk.gaps import with_gaps
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import (
    KEYS_OUT_OF_RANGE,
    Codes,
    Keys,
    Metadata,
    TreeKind,
    checked_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct_places, nr_marked_before, ragged, starts_of

Wanted = Callable[[Keys, Keys], npt.NDArray[np.bool_]]
"""Given children's lowest and highest keys, which of them to follow."""


class SharedChildren(NamedTuple):
    """The children of nodes, those that do not depend on a node's key range once for a block.

    Attributes:
        codes: of each node, an index of `REASONS`; one with a code has no children.
        bodies: which body each node has; without a meaning where it has a code.
        starts: where each body's children begin in `inner`, shape `(m + 1,)`.
        inner: all children of the bodies but the last ones.
        last: of each node that has no code, in their order.
    """

    codes: Codes
    bodies: Places
    starts: Places
    inner: NodeList
    last: NodeList


def shared_children(source: Metadata, nodes: NodeList, kind: TreeKind) -> SharedChildren:
    """Return the children of `nodes`; each distinct block is read once.

    Two nodes that lie in one block differ in their highest key only, and so do their
    last children: 2 nodes of 100 children each have 101 children together.
    """
    blocks, where = distinct_places(nodes.blocks)
    read = _DistinctNodes(blocks)
    parts = [NodeList.none()]
    counts = [np.empty(0, dtype=np.int64)]
    for begin in range(0, len(blocks), NODES_AT_ONCE):
        inner, nr_inner = read.read(source, kind, slice(begin, begin + NODES_AT_ONCE))
        parts.append(inner)
        counts.append(nr_inner)
    codes = np.where(nodes.codes != 0, nodes.codes, read.codes[where])
    outside = (read.first_key[where] < nodes.low) | (read.last_key[where] > nodes.last)
    codes[outside & (codes == 0)] = KEYS_OUT_OF_RANGE
    good = np.flatnonzero(codes == 0)
    of = where[good]
    last = NodeList(read.last_child[of], read.last_key[of], nodes.last[good], read.last_code[of])
    nr_inner = np.concatenate(counts)
    used = np.zeros(len(blocks), dtype=np.bool_)
    used[of] = True
    inner = NodeList.joined(parts)
    if not used.all():  # none but the places of bad nodes: what is below is not followed
        inner = inner[np.repeat(used, nr_inner)]
        nr_inner[~used] = 0
    return SharedChildren(codes, where, starts_of(nr_inner), inner, last)


class _DistinctNodes:
    """What distinct internal nodes are like, whatever key ranges their parents give them."""

    def __init__(self, blocks: Blocks) -> None:
        self.codes = np.zeros(len(blocks), dtype=np.uint8)
        self.first_key, self.last_key, self.last_child = np.zeros((3, len(blocks)), dtype=np.uint64)
        self.last_code = np.zeros(len(blocks), dtype=np.uint8)
        self._blocks = blocks

    def read(self, source: Metadata, kind: TreeKind, some: slice) -> tuple[NodeList, Places]:
        """Read some of the nodes; return all their children but the last, and how many."""
        blocks = self._blocks[some]
        nodes, codes = read_nodes(source, blocks, kind, internal=True)
        whole = NodeList.roots(blocks, codes)
        found = checked_entries(nodes, codes, whole.low, whole.last, CHILD)
        entries, child_codes = with_gaps(source.gaps, blocks, found)
        counts = np.diff(entries.starts)
        full = np.flatnonzero(counts)
        begins, ends = entries.starts[full], entries.starts[full + 1] - 1
        self.codes[some] = codes
        self.first_key[some][full] = entries.keys[begins]
        self.last_key[some][full] = entries.keys[ends]
        self.last_child[some][full] = entries.values[ends]
        self.last_code[some][full] = child_codes[ends]
        is_inner = np.ones(len(entries.keys), dtype=np.bool_)
        is_inner[ends] = False
        places = np.flatnonzero(is_inner)
        inner = NodeList(
            entries.values[places],
            entries.keys[places],
            entries.keys[places + 1] - np.uint64(1),
            child_codes[places],
        )
        return inner, np.maximum(counts - 1, 0)


def children_of(
    source: Metadata, nodes: NodeList, kind: TreeKind, wanted: Wanted | None = None
) -> tuple[NodeList, Places]:
    """Return the children of `nodes`, and how many each has; a bad node is its own child."""
    parts = [NodeList.none()]
    counts = [np.empty(0, dtype=np.int64)]
    for begin in range(0, len(nodes), NODES_AT_ONCE):
        part, nr_children = _children_of_few(
            source, nodes[begin : begin + NODES_AT_ONCE], kind, wanted
        )
        parts.append(part)
        counts.append(nr_children)
    return NodeList.joined(parts), np.concatenate(counts)


def _children_of_few(
    source: Metadata, nodes: NodeList, kind: TreeKind, wanted: Wanted | None
) -> tuple[NodeList, Places]:
    read, found = read_nodes(source, nodes.blocks, kind, internal=True)
    codes = np.where(nodes.codes != 0, nodes.codes, found)
    entries = checked_entries(read, codes, nodes.low, nodes.last, CHILD)
    entries, child_codes = with_gaps(source.gaps, nodes.blocks, entries)
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
    of_children = np.repeat(codes, counts)
    of_children[held] = child_codes
    children = NodeList(blocks, low, last, of_children)
    if wanted is None:
        return children, counts
    keep = wanted(children.low, children.last)
    return children[keep], np.diff(nr_marked_before(keep, starts))
