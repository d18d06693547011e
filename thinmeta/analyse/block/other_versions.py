"""Other versions of a block: what has entries in common with it, or has stood in its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.block.content import BlockContent
from thinmeta.analyse.block.referrers import Ways
from thinmeta.analyse.block.scanned_blocks import ScannedBlocks
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.node_facts import Counts
from thinmeta.device.blocks import Blocks
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.described import Structure
from thinmeta.schemas.node_layout import copied_headers, headers_of, values_of
from thinmeta.units import LAST_KEY
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import (
    BITMAP_INDEX,
    DETAILS,
    DEVICE_ROOTS,
    MAPPINGS,
    REF_COUNTS,
    Entries,
    Keys,
    Mask,
    Metadata,
    TreeKind,
    checked_entries,
    read_nodes,
)
from thinmeta.walk.ragged import Places, distinct, places_among

_READ_AT_ONCE = 1024

NOT_COMPARED = -1

_TREES = {
    BlockClass.MAPPINGS: MAPPINGS,
    BlockClass.DEVICE_ROOTS: DEVICE_ROOTS,
    BlockClass.DETAILS: DETAILS,
    BlockClass.BITMAP_INDEX: BITMAP_INDEX,
    BlockClass.REF_COUNTS: REF_COUNTS,
}


@dataclass(frozen=True, slots=True, eq=False)
class Versions(Columnar):
    """Blocks that may be another version of one; every array has shape `(n,)`.

    Attributes:
        blocks: where they stand, dtype uint64.
        nr_same: entries that both have, with the same key and value; -1 where they are not
            compared. Those that have most come first.
        nr_entries: entries that it has; -1 if it is no node.
        times: the newest time of a mapping below it; 0 if it is no node of mappings.
        ref_counts: how often it is in use; -1 where nobody knows.
    """

    blocks: Blocks
    nr_same: Counts
    nr_entries: Counts
    times: Counts
    ref_counts: Counts


def versions_of(whole: ScannedBlocks, block: int, content: BlockContent, ways: Ways) -> Versions:
    """Find other versions of a block, those with most entries in common first."""
    found = _nodes(whole, block, content, ways)
    others = np.array([*_alike(whole, block, ways), *_misplaced(whole, block)], dtype=np.uint64)
    others = distinct(others)
    others = others[~places_among(found.blocks, others)[1]]
    more = _versions(whole, others, np.full(len(others), NOT_COMPARED, dtype=np.int64))
    both = Versions.joined([found, more])
    return both[np.lexsort((-both.blocks.astype(np.int64), -both.times, -both.nr_same))]


def _versions(whole: ScannedBlocks, blocks: Blocks, nr_same: Counts) -> Versions:
    nodes = whole.trees.nodes
    at, is_node = places_among(nodes.blocks, blocks)
    places = at[is_node]
    nr_entries, times = np.full(len(blocks), -1), np.zeros(len(blocks), dtype=np.int64)
    nr_entries[is_node] = nodes.nr_entries[places]
    has_times = whole.trees.kinds[places] == BlockClass.MAPPINGS
    times[is_node] = np.where(has_times, whole.scan.lists.sums.time[places], 0)
    return Versions(blocks, nr_same, nr_entries, times, whole.ref_counts[blocks.astype(np.int64)])


def _nodes(whole: ScannedBlocks, block: int, content: BlockContent, ways: Ways) -> Versions:
    """Return the nodes that are versions of a node, or of what should be one."""
    trees = whole.trees
    nodes = trees.nodes
    place = trees.place_of(block)
    if place is not None:
        kind, height = BlockClass(int(trees.kinds[place])), int(trees.heights[place])
        low, last = int(nodes.first[place]), int(nodes.last[place])
        fits = (nodes.first <= last) & (nodes.last >= low)
    elif ways.expected is not None and ways.expected.kind in _TREES:
        kind, wanted, low, last = ways.expected
        height = NOT_COMPARED if wanted is None else wanted
        fits = (nodes.first >= low) & (nodes.last <= last)
        if wanted is None:
            fits &= ~trees.is_child if kind is not BlockClass.MAPPINGS else False
    else:
        kind, height, fits = BlockClass.INTERNAL, 0, np.zeros(len(nodes), dtype=np.bool_)
    fits &= (trees.kinds == kind) & (nodes.nr_entries > 0)
    if height != NOT_COMPARED:
        fits &= trees.heights == height
    roots = _roots_of_same_devices(whole, block)
    fits[roots] = True
    fits &= nodes.blocks != block
    places = np.flatnonzero(fits)
    same, has_key = _compared(whole, places, content)
    keeps = same > 0
    if kind is not BlockClass.MAPPINGS:  # elsewhere a key means the same in all trees of a kind
        keeps |= has_key
    if place is None:
        keeps[:] = True
    keeps |= places_among(roots, places)[1]
    return _versions(whole, nodes.blocks[places[keeps]], same[keeps])


def _roots_of_same_devices(whole: ScannedBlocks, block: int) -> Places:
    """Return the roots that other lists of devices have for a device whose root a block is."""
    trees = whole.trees
    in_lists = (trees.kinds[whole.owners] == BlockClass.DEVICE_ROOTS) & whole.is_link
    in_lists &= trees.heights[whole.owners] == 0
    ids = distinct(trees.keys[in_lists & (trees.targets == block)])
    if not len(ids):
        return np.empty(0, dtype=np.int64)
    _, is_same = places_among(ids, trees.keys)
    return distinct(trees.children[in_lists & trees.is_sound & is_same])


class _Own(NamedTuple):
    """The entries of the block that others are compared with, by ascending keys."""

    keys: Keys
    values: npt.NDArray[Any]


def _own_entries(content: BlockContent, values: np.dtype[Any]) -> _Own | None:
    if content.row is None or content.structure is not Structure.NODE or not content.nr_entries:
        return None
    rows = content.row[np.newaxis]
    header = copied_headers(rows)[0]
    if int(header["value_size"]) != values.itemsize:
        return None
    own = values_of(rows, int(header["max_entries"]), values)[0, : content.nr_entries]
    order = np.argsort(content.entries["key"], kind="stable")  # in a damaged node they may not be
    return _Own(content.entries["key"][order], own[order])


def _compared(whole: ScannedBlocks, places: Places, content: BlockContent) -> tuple[Counts, Mask]:
    """Return how many entries of nodes are those of a block, and which nodes have a key of it."""
    trees, device = whole.trees, whole.device
    same = np.full(len(places), NOT_COMPARED, dtype=np.int64)
    has_key = np.zeros(len(places), dtype=np.bool_)
    source = Metadata(device, device.nr_blocks)
    for is_internal in (False, True):
        of_kind = np.flatnonzero((trees.heights[places] != 0) == is_internal)
        for begin in range(0, len(of_kind), _READ_AT_ONCE):
            some = of_kind[begin : begin + _READ_AT_ONCE]
            kind = _TREES.get(BlockClass(int(trees.kinds[places[some[0]]])), MAPPINGS)
            values = CHILD if is_internal else kind.values
            own = _own_entries(content, values)
            if own is None:
                continue
            blocks = trees.nodes.blocks[places[some]]
            found = _entries(source, blocks, kind, is_internal=is_internal)
            at, is_there = places_among(own.keys, found.keys)
            at = np.where(is_there, at, 0)
            is_same = is_there & (found.values == own.values[at])
            owners = np.repeat(np.arange(len(some)), np.diff(found.starts))
            same[some] = np.bincount(owners[is_same], minlength=len(some))
            has_key[some] = np.bincount(owners[is_there], minlength=len(some)) > 0
    return same, has_key


def _entries(source: Metadata, blocks: Blocks, kind: TreeKind, *, is_internal: bool) -> Entries:
    nodes, codes = read_nodes(source, blocks, kind, internal=is_internal)
    low = np.zeros(len(blocks), dtype=np.uint64)
    last = np.full(len(blocks), LAST_KEY, dtype=np.uint64)
    return checked_entries(nodes, codes, low, last, CHILD if is_internal else kind.values)


def _alike(whole: ScannedBlocks, block: int, ways: Ways) -> Iterator[int]:
    """Return the other superblocks, metadata indexes, or bitmaps of the same place."""
    classes = whole.scan.classes
    kind = BlockClass(int(classes[block]))
    if kind >= BlockClass.TORN and ways.expected is not None:
        kind = ways.expected.kind
    if kind in (BlockClass.SUPERBLOCK, BlockClass.HELD_SUPERBLOCK):
        of_kind = classes <= BlockClass.HELD_SUPERBLOCK
    elif kind is BlockClass.INDEX:
        of_kind = classes == BlockClass.INDEX
    elif kind is BlockClass.BITMAP:
        links = whole.bitmap_links
        own = links[links.targets == block]
        places = distinct(own.keys << np.uint64(1) | own.of_metadata)
        is_same = places_among(places, links.keys << np.uint64(1) | links.of_metadata)[1]
        there = distinct(links.targets[is_same & (links.targets < len(classes))])
        there = there[classes[there.astype(np.int64)] == BlockClass.BITMAP]
        yield from there[there != block].tolist()
        return
    else:
        return
    of_kind = of_kind.copy()
    of_kind[block] = False
    yield from np.flatnonzero(of_kind).tolist()


def _misplaced(whole: ScannedBlocks, block: int) -> Iterator[int]:
    """Return the blocks that were written for this one, but stand elsewhere."""
    torn = np.flatnonzero(whole.scan.classes == BlockClass.TORN).astype(np.uint64)
    for begin in range(0, len(torn), _READ_AT_ONCE):
        some = torn[begin : begin + _READ_AT_ONCE]
        is_for_it = headers_of(whole.device.read(some).rows)["blocknr"] == block
        yield from some[is_for_it & (some != block)].tolist()
