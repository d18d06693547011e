"""Entries of leaves, a bounded piece at a time; and whole small trees."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.errors import Damage, OnDamage
from thinmeta.schemas import block_time
from thinmeta.units import MetadataBlock, OnProgress
from thinmeta.walk.children import Wanted
from thinmeta.walk.columnar import GrowingColumn
from thinmeta.walk.growing import grow
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import (
    HOLDS_CHILDREN,
    KEYS_OUT_OF_RANGE,
    MAPPINGS,
    REACHED_TWICE,
    REASONS,
    Codes,
    Entries,
    Keys,
    Mask,
    Metadata,
    TreeKind,
    checked_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct_places, nr_marked_before, ragged, starts_of


def read_leaves(source: Metadata, leaves: NodeList, kind: TreeKind) -> tuple[Entries, Codes]:
    """Read one piece of a tree's leaves.

    Args:
        source: where to read.
        leaves: not more than fit into memory (see `leaf_pieces`).
        kind: what they hold.

    Returns:
        Their entries, and each leaf's code; a leaf with a code has no entries.
    """
    blocks, where = distinct_places(leaves.blocks)
    if len(blocks) < len(leaves):
        entries, codes = _read_repeated(source, leaves, kind, blocks, where)
    else:
        nodes, found = read_nodes(source, leaves.blocks, kind, internal=False)
        codes = combined(leaves.codes, found)
        entries = checked_entries(nodes, codes, leaves.low, leaves.last, kind.values)
        codes = combined(leaves.codes, codes)
    if kind is MAPPINGS and source.doubts_leaves:
        entries = _without_internal_nodes(source.nr_blocks, entries, codes)
    if kind is MAPPINGS and source.nr_data_blocks is not None:
        entries = _on_the_data_device(entries, source.nr_data_blocks)
    return entries, codes


class LeafPiece(NamedTuple):
    """Some leaves that were read together.

    Attributes:
        places: which of all the leaves they are, shape `(n,)`.
        leaves: they themselves.
        entries: what they hold.
        codes: of each; one with a code has no entries.
    """

    places: Places
    leaves: NodeList
    entries: Entries
    codes: Codes


def leaf_pieces(
    source: Metadata,
    leaves: NodeList,
    kind: TreeKind,
    on_progress: OnProgress | None = None,
    *,
    places: Places | None = None,
) -> Iterator[LeafPiece]:
    """Read leaves, so many at a time that their nodes fit into memory together.

    Args:
        source: where to read.
        leaves: of one tree or of many.
        kind: what they hold.
        on_progress: told of each piece once it was made use of.
        places: which of the leaves to read; None reads all.
    """
    total = len(leaves) if places is None else len(places)
    for begin in range(0, total, NODES_AT_ONCE):
        end = min(begin + NODES_AT_ONCE, total)
        some = np.arange(begin, end) if places is None else places[begin:end]
        part = leaves[begin:end] if places is None else leaves[some]
        yield LeafPiece(some, part, *read_leaves(source, part, kind))
        if on_progress is not None:
            on_progress(end - begin, total)


def _read_repeated(
    source: Metadata, leaves: NodeList, kind: TreeKind, blocks: Blocks, where: Places
) -> tuple[Entries, Codes]:
    """Read leaves that stand in several places; `where` each is among the distinct `blocks`."""
    whole = NodeList.roots(blocks, np.zeros(len(blocks), dtype=np.uint8))
    nodes, found = read_nodes(source, blocks, kind, internal=False)
    entries = checked_entries(nodes, found, whole.low, whole.last, kind.values)
    counts = np.diff(entries.starts)
    full = np.flatnonzero(counts)
    first_key, last_key = whole.last.copy(), whole.low.copy()  # of one without entries
    first_key[full] = entries.keys[entries.starts[full]]
    last_key[full] = entries.keys[entries.starts[full + 1] - 1]
    codes, nr_entries = found[where], counts[where]
    outside = (first_key[where] < leaves.low) | (last_key[where] > leaves.last)
    codes[outside & (nr_entries > 0) & (codes == 0)] = KEYS_OUT_OF_RANGE
    codes = combined(leaves.codes, codes)
    nr_entries[codes != 0] = 0
    places = ragged(entries.starts[where], nr_entries)
    return Entries(entries.keys[places], entries.values[places], starts_of(nr_entries)), codes


def combined(above: Codes, found: Codes) -> Codes:
    """Return what is wrong with leaves, given what the nodes above show and what they do.

    Of the places of a leaf that a tree has twice, the one that its keys fit into is
    right; which that is, only the leaf shows.
    """
    believed = (above == 0) | ((above == REACHED_TWICE) & (found == 0))
    codes: Codes = np.where(believed, found, above)
    return codes


def _without_internal_nodes(nr_blocks: int, entries: Entries, codes: Codes) -> Entries:
    """Leave out leaves that hold what an internal node does; sets their `codes`.

    Metadata blocks, each once, read as mappings to data block 0 at as many times. No
    kernel maps one data block twice for a device; and who made a pool that does, by
    thin_restore, keeps its leaves.
    """
    nr_entries = np.diff(entries.starts)
    is_child = (entries.values > 0) & (entries.values < nr_blocks)
    nr_children = np.diff(nr_marked_before(is_child, entries.starts))
    suspects = np.flatnonzero((nr_entries > 1) & (nr_children == nr_entries))
    for suspect in suspects.tolist():
        children = entries.values[entries.starts[suspect] : entries.starts[suspect + 1]]
        if len(np.unique(children)) == len(children):
            codes[suspect] = HOLDS_CHILDREN
    if not codes[suspects].any():
        return entries
    return _only(entries, np.repeat(codes == 0, nr_entries))


def _only(entries: Entries, kept: Mask) -> Entries:
    starts = nr_marked_before(kept, entries.starts)
    return Entries(entries.keys[kept], entries.values[kept], starts)


def _on_the_data_device(entries: Entries, nr_data_blocks: int) -> Entries:
    there = block_time.data_block(entries.values) < nr_data_blocks
    return entries if there.all() else _only(entries, there)


def damage_of(leaves: NodeList, codes: Codes, place: int, kind: TreeKind) -> Damage:
    """Describe the leaf at `place`, or what above it hides it, as damage."""
    return Damage(
        what=f"the B-tree node {REASONS[codes[place]]}; what it held is lost",
        block=MetadataBlock(int(leaves.blocks[place])),
        first_key=int(leaves.low[place]),
        last_key=int(leaves.last[place]),
        key_name=kind.key_name,
    )


def read_tree(
    source: Metadata,
    root: int,
    kind: TreeKind,
    *,
    on_damage: OnDamage,
    wanted: Wanted | None = None,
) -> tuple[Keys, npt.NDArray[Any]]:
    """Return all entries of the tree at `root`; meant for trees that fit into memory.

    Args:
        source: where to read.
        root: the root node's block.
        kind: what the leaves hold.
        on_damage: told of each bad node, in key order; what it held is left out.
        wanted: follow only these nodes; None follows all.

    Returns:
        Keys, ascending, shape `(n,)`; values, the dtype of `kind`, shape `(n,)`.
    """
    forest = grow(source, np.array([root], dtype=np.uint64), kind, wanted=wanted)
    keys, values = GrowingColumn(np.dtype(np.uint64)), GrowingColumn(kind.values)
    for piece in leaf_pieces(source, forest.leaves(0), kind):
        for place in np.flatnonzero(piece.codes).tolist():
            on_damage(damage_of(piece.leaves, piece.codes, place, kind))
        keys.extend(piece.entries.keys)
        values.extend(piece.entries.values)
    return keys.values(), values.values()
