"""B-trees held against every promise: each node read once, its references counted once.

Source: `node_check()`, drivers/md/persistent-data/dm-btree-spine.c; the balance of
nodes, drivers/md/persistent-data/dm-btree-remove.c (Linux v6.6).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.check.findings import CheckProgress, Finding, Part, Severity
from thinmeta.device.blocks import Blocks
from thinmeta.units import LAST_KEY, MetadataBlock, OnProgress
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import (
    KEYS_OUT_OF_RANGE,
    REASONS,
    Codes,
    Entries,
    Keys,
    Mask,
    Metadata,
    Nodes,
    TreeKind,
    checked_entries,
    most_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct, distinct_places, is_new

OnEntries = Callable[[Blocks, Entries], None]
"""Given some leaves' blocks and their entries; each leaf is given once."""


class WalkedTrees(NamedTuple):
    """Trees that were walked together.

    Attributes:
        forest: the trees.
        codes: of each leaf by its place, an index of `REASONS`; other than 0 where the
            leaf, or a node above it, cannot be believed.
        nr_entries: of each leaf by its place.
    """

    forest: Forest
    codes: Codes
    nr_entries: Places

    def entries_by_tree(self) -> Places:
        """Return how many entries each tree has that can be read, shape `(n,)`."""
        return self.forest.totals(np.where(self.codes == 0, self.nr_entries, 0))

    def damaged_trees(self) -> Mask:
        """Tell of each tree whether entries are lost, shape `(n,)`."""
        return self.forest.totals((self.codes != 0).astype(np.int64)) > 0

    def trees_of(self, leaves: Mask) -> dict[int, list[int]]:
        """Return which trees each of some leaves belongs to, by the leaf's place.

        Leaves that the same trees have share one list: there may be very many of both.
        """
        if not leaves.any():
            return {}
        # The same trees have the same sum of numbers drawn for them, and hardly any others.
        drawn = np.random.default_rng(1).integers(0, 1 << 63, len(self.forest.roots), np.uint64)
        sums = self.forest.spread(drawn, np.add, np.uint64(0))
        found = np.flatnonzero(leaves)
        _, which = distinct_places(sums[found])
        stand_for = np.zeros(int(which.max()) + 1, dtype=np.int64)
        stand_for[which[::-1]] = found[::-1]
        alike: dict[int, list[int]] = {place: [] for place in stand_for.tolist()}
        wanted = np.zeros(len(leaves), dtype=np.bool_)
        wanted[stand_for] = True
        marks = self.forest.marked(wanted)
        hit = np.flatnonzero(self.forest.totals(wanted.astype(np.int64)))
        for some in self.forest.few_at_once(hit):
            for tree, places in self.forest.leaf_places_by_tree(some, marks).items():
                for place in distinct(places).tolist():
                    alike[place].append(tree)
        lists = list(alike.values())
        return {
            place: lists[number]
            for place, number in zip(found.tolist(), which.tolist(), strict=True)
        }


class TreeWalker:
    """Walks trees of one pool, and gathers what all of them show."""

    def __init__(
        self,
        source: Metadata,
        references: BlockCounts,
        progress: CheckProgress,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Begin.

        Args:
            source: where to read.
            references: counts what nodes refer to.
            progress: takes the findings on single nodes.
            on_progress: told of each piece of leaves that was read.
        """
        self.source = source
        self.references = references
        self.progress = progress
        self._on_progress = on_progress

    def walk(self, roots: Blocks, kind: TreeKind, part: Part, on_entries: OnEntries) -> WalkedTrees:
        """Walk the trees at `roots` and count what their nodes refer to.

        What refers to the roots is the caller's to count, as are the values of leaves.

        Args:
            roots: shape `(n,)`; may repeat.
            kind: what the leaves hold.
            part: what the trees are, for findings.
            on_entries: given the entries of all sound leaves, piece by piece, in the
                order of the leaves' blocks.
        """
        forest = grow(self.source, roots, kind)
        root_blocks = distinct(roots)
        for height in range(len(forest.levels) - 1, 0, -1):
            self._count_children(forest, height, root_blocks, part)
        codes, nr_entries = self._read_leaves(forest, root_blocks, part, on_entries)
        if codes.any():
            self.progress.lost_references = True
        return WalkedTrees(forest, codes, nr_entries)

    def _count_children(self, forest: Forest, height: int, roots: Blocks, part: Part) -> None:
        level = forest.levels[height]
        places = _firsts(level.nodes.blocks)
        children, _ = level.children(places)
        self.references.add(forest.blocks(height - 1)[children])
        blocks = level.nodes.blocks[places]
        for some in range(0, len(blocks), NODES_AT_ONCE):
            at = blocks[some : some + NODES_AT_ONCE]
            nodes, codes = read_nodes(self.source, at, forest.kind, internal=True)
            self._tell_irregular(nodes, codes, roots, part)
        self.progress.nr_nodes += len(blocks)

    def _read_leaves(
        self, forest: Forest, roots: Blocks, part: Part, on_entries: OnEntries
    ) -> tuple[Codes, Places]:
        leaves = forest.levels[0].nodes
        codes = leaves.codes.copy()
        reached = np.flatnonzero(codes == 0)
        blocks, where = distinct_places(leaves.blocks[reached])
        read = _ReadLeaves(blocks, *_widest(leaves[reached], where, len(blocks)))
        for begin in range(0, len(blocks), NODES_AT_ONCE):
            some = slice(begin, begin + NODES_AT_ONCE)
            nodes, entries = read.read(self.source, forest.kind, some)
            self._tell_irregular(nodes, read.codes[some], roots, part)
            on_entries(blocks[some], entries)
            if self._on_progress:
                self._on_progress(len(nodes.blocks), len(blocks))
        self.progress.nr_nodes += len(blocks)
        codes[reached] = read.codes_in(leaves[reached], where)
        nr_entries = np.zeros(len(leaves), dtype=np.int64)
        nr_entries[reached] = read.nr_entries[where]
        return codes, nr_entries

    def _tell_irregular(self, nodes: Nodes, codes: Codes, roots: Blocks, part: Part) -> None:
        """Tell of nodes that a kernel would have joined with others; roots have none."""
        room = most_entries(nodes.value_size)
        self.progress.add(
            Finding(
                Severity.FATAL,
                part,
                f"the B-tree node has room for {nodes.headers['max_entries'][place]} entries where "
                f"the kernel makes it for {room[place]}, so its values may be those of other keys",
                block=MetadataBlock(int(nodes.blocks[place])),
            )
            for place in np.flatnonzero((nodes.headers["max_entries"] != room) & (codes == 0))
        )
        is_root = is_among(nodes.blocks, roots)
        too_empty = nodes.headers["nr_entries"] < nodes.headers["max_entries"] // 3
        self.progress.add(
            Finding(
                Severity.NOT_FATAL,
                part,
                "the B-tree node is less than a third full; all of it can be read",
                block=MetadataBlock(block),
            )
            for block in nodes.blocks[too_empty & ~is_root & (codes == 0)].tolist()
        )


class _ReadLeaves:
    """What distinct leaves are like, whatever key ranges their parents give them."""

    def __init__(self, blocks: Blocks, low: Keys, last: Keys) -> None:
        self.codes = np.zeros(len(blocks), dtype=np.uint8)
        self.nr_entries = np.zeros(len(blocks), dtype=np.int64)
        self._blocks = blocks
        self._low = low
        self._last = last
        self._first_key = np.full(len(blocks), LAST_KEY, dtype=np.uint64)
        self._last_key = np.zeros(len(blocks), dtype=np.uint64)

    def read(self, source: Metadata, kind: TreeKind, some: slice) -> tuple[Nodes, Entries]:
        """Read some of the leaves; one that fits no parent's range has no entries."""
        nodes, codes = read_nodes(source, self._blocks[some], kind, internal=False)
        entries = checked_entries(nodes, codes, self._low[some], self._last[some], kind.values)
        counts = np.diff(entries.starts)
        full = np.flatnonzero(counts)
        self.codes[some] = codes
        self.nr_entries[some] = counts
        self._first_key[some][full] = entries.keys[entries.starts[full]]
        self._last_key[some][full] = entries.keys[entries.starts[full + 1] - 1]
        return nodes, entries

    def codes_in(self, leaves: NodeList, where: Places) -> Codes:
        """Return the codes of leaves that stand in key ranges of their own.

        Args:
            leaves: the leaves as their parents have them.
            where: which of the distinct leaves each is.
        """
        codes = self.codes[where]
        outside = (self._first_key[where] < leaves.low) | (self._last_key[where] > leaves.last)
        codes[outside & (self.nr_entries[where] > 0) & (codes == 0)] = KEYS_OUT_OF_RANGE
        return codes


def _widest(leaves: NodeList, where: Places, nr_blocks: int) -> tuple[Keys, Keys]:
    """Return the range that holds all key ranges of each distinct leaf."""
    low = np.full(nr_blocks, LAST_KEY, dtype=np.uint64)
    last = np.zeros(nr_blocks, dtype=np.uint64)
    np.minimum.at(low, where, leaves.low)
    np.maximum.at(last, where, leaves.last)
    return low, last


def _firsts(blocks: Blocks) -> Places:
    """Return the place where each block stands first."""
    order = np.argsort(blocks, kind="stable")
    return order[is_new(blocks[order])]


def is_among(blocks: Blocks, ascending: Blocks) -> Mask:
    """Tell which of `blocks` are among `ascending`, which must not be empty."""
    places = np.searchsorted(ascending, blocks)
    found: Mask = ascending[np.minimum(places, len(ascending) - 1)] == blocks
    return found


def lost_leaves(walked: WalkedTrees, part: Part) -> Iterator[tuple[Finding, list[int]]]:
    """Return each leaf that is lost, as a finding without device, and its trees."""
    kind = walked.forest.kind
    leaves = walked.forest.levels[0].nodes
    for place, trees in walked.trees_of(walked.codes != 0).items():
        finding = Finding(
            Severity.FATAL,
            part,
            f"the B-tree node {REASONS[walked.codes[place]]}",
            lost="what it held",
            block=MetadataBlock(int(leaves.blocks[place])),
            first_key=int(leaves.low[place]),
            last_key=int(leaves.last[place]),
            key_name=kind.key_name,
        )
        yield finding, trees
