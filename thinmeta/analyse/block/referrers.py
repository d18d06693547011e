"""Who refers to one block, and which states lead to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.block.references import BitmapLinks, Pointer
from thinmeta.analyse.block.scanned_blocks import ScannedBlocks
from thinmeta.analyse.recover.block_classes import BlockClass, Classes
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.node_facts import Counts
from thinmeta.device.blocks import Blocks
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import LAST_KEY, MetadataBlock
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places, places_among


@dataclass(frozen=True, slots=True, eq=False)
class Referrers(Columnar):
    """Entries that lead to a block; every array has shape `(n,)`.

    Attributes:
        parents: the blocks where they stand, dtype uint64; those in use first.
        classes: `BlockClass` of each.
        heights: how far each is above its leaves; 0 for the metadata space map's index.
        entries: which entry it is.
        keys: its key; of an entry that leads to a bitmap, which one it is.
        holds: whether the block is still what the entry asks for.
        ref_counts: how often each parent is in use; -1 where nobody knows.
    """

    parents: Blocks
    classes: Classes
    heights: Counts
    entries: Counts
    keys: Keys
    holds: Mask
    ref_counts: Counts


class LedFrom(NamedTuple):
    """A state that leads to a block.

    Attributes:
        state: which.
        device_ids: the devices whose mapping trees have it, shape `(n,)`, dtype uint64.
    """

    state: Candidate
    device_ids: Keys


class Expected(NamedTuple):
    """What an entry that leads to a block takes it for.

    Attributes:
        kind: of block.
        height: how far above the leaves, if it is a node; None where that may be any.
        first: the lowest key that it may hold.
        last: the highest.
    """

    kind: BlockClass
    height: int | None = None
    first: int = 0
    last: int = LAST_KEY


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """All ways that lead to a block.

    Attributes:
        pointers: fields of superblocks that name it.
        referrers: entries of other blocks that do.
        nr_in_use: how many references there are in blocks in use, which is what the metadata
            space map should count; None where nobody knows which are.
        pointers_above: fields of superblocks that lead to it, at any distance.
        states: states that do, best first.
        expected: what it is taken for, by who is in use if anyone is.
    """

    pointers: tuple[Pointer, ...]
    referrers: Referrers
    nr_in_use: int | None
    pointers_above: tuple[Pointer, ...]
    states: tuple[LedFrom, ...]
    expected: Expected | None

    @property
    def is_reachable(self) -> bool:
        """Whether the live superblock leads to it, or to a metadata snapshot that does."""
        return any(each.superblock == SUPERBLOCK_LOCATION for each in self.pointers_above)


def ways_to(whole: ScannedBlocks, block: int) -> Ways:
    """Find who refers to a block, and what leads to it."""
    trees = whole.trees
    place = trees.place_of(block)
    links = np.flatnonzero((trees.targets == block) & whole.is_link)
    bitmaps = whole.bitmap_links[whole.bitmap_links.targets == block]
    referrers = _referrers(whole, block, links, bitmaps)
    pointers = tuple(each for each in whole.pointers if each.target == block)
    # What stood in a block that is damaged is not known: all that names it may have meant it.
    is_lost = place is None and whole.scan.classes[block] >= BlockClass.TORN
    leading = links if is_lost else links[trees.is_sound[links]]
    above = _above(whole, place, leading, bitmaps.parents)
    pointers_above = _pointers_above(whole, above, {block, *bitmaps.parents.tolist()})
    return Ways(
        pointers=pointers,
        referrers=referrers,
        nr_in_use=_nr_in_use(whole, block),
        pointers_above=pointers_above,
        states=tuple(_states(whole, block, above, leading)),
        expected=_expected(whole, block, links, bitmaps),
    )


def _referrers(whole: ScannedBlocks, block: int, links: Places, bitmaps: BitmapLinks) -> Referrers:
    trees, owners = whole.trees, whole.owners[links]
    of_nodes = Referrers(
        parents=trees.nodes.blocks[owners],
        classes=trees.kinds[owners],
        heights=trees.heights[owners],
        entries=links - trees.starts[owners],
        keys=trees.keys[links],
        holds=trees.is_sound[links],
        ref_counts=whole.ref_counts[trees.nodes.blocks[owners].astype(np.int64)],
    )
    kinds = np.where(bitmaps.of_metadata, BlockClass.INDEX, BlockClass.BITMAP_INDEX)
    of_maps = Referrers(
        parents=bitmaps.parents,
        classes=kinds.astype(np.uint8),
        heights=np.zeros(len(bitmaps), dtype=np.int64),
        entries=bitmaps.entries,
        keys=bitmaps.keys,
        holds=np.full(len(bitmaps), whole.scan.classes[block] == BlockClass.BITMAP),
        ref_counts=whole.ref_counts[bitmaps.parents.astype(np.int64)],
    )
    both = Referrers.joined([of_nodes, of_maps])
    return both[np.lexsort((both.parents, both.ref_counts <= 0))]


def _nr_in_use(whole: ScannedBlocks, block: int) -> int | None:
    books = whole.books
    if books is None:
        return None
    return int(books.referred[block]) if block < len(books.referred) else 0


def _above(whole: ScannedBlocks, place: int | None, links: Places, index_blocks: Blocks) -> Mask:
    """Mark the nodes from which sound links lead to a node, and that node.

    Args:
        whole: all nodes.
        place: the node; None if there is none.
        links: those that lead to it.
        index_blocks: other blocks that do.
    """
    trees = whole.trees
    marks = np.zeros(len(trees.nodes), dtype=np.bool_)
    if place is not None:
        marks[place] = True
    marks[whole.owners[links]] = True
    at, is_node = places_among(trees.nodes.blocks, index_blocks)
    marks[at[is_node]] = True
    sound = np.flatnonzero(trees.is_sound & whole.is_link)
    children, owners = trees.children[sound], whole.owners[sound]
    nr_marked = 0
    # A sound link of a tree leads down by one, and one of a list of devices into a tree.
    while (now := int(np.count_nonzero(marks))) > nr_marked:
        nr_marked = now
        marks[owners[marks[children]]] = True
    return marks


def _pointers_above(whole: ScannedBlocks, above: Mask, blocks: set[int]) -> tuple[Pointer, ...]:
    """Return what superblocks name that leads to one of `blocks`, or is marked in `above`."""
    found = {
        each
        for each in whole.pointers
        if each.target in blocks or _is_marked(whole, above, each.target)
    }
    copies = {each.superblock for each in found}
    return tuple(each for each in whole.pointers if each in found or each.target in copies)


def _is_marked(whole: ScannedBlocks, marks: Mask, block: MetadataBlock | None) -> bool:
    place = None if block is None else whole.trees.place_of(block)
    return place is not None and bool(marks[place])


def _states(whole: ScannedBlocks, block: int, above: Mask, links: Places) -> Iterator[LedFrom]:
    """Return the states that lead to a block, with the devices that have it.

    Args:
        whole: all states.
        block: which.
        above: the nodes that lead to it.
        links: the links that lead to it itself.
    """
    trees = whole.trees
    leads = trees.is_sound & above[trees.children]
    leads[links] = True
    for state in whole.scan.candidates:
        roots = (state.mapping_root, state.details_root)
        if block not in roots and not any(_is_marked(whole, above, root) for root in roots):
            continue
        entries = trees.links_of(whole.scan.lists.leaves(state.mapping_root))
        yield LedFrom(state, trees.keys[entries[leads[entries]]])


def _expected(
    whole: ScannedBlocks, block: int, links: Places, bitmaps: BitmapLinks
) -> Expected | None:
    """Return what a block is taken for, by who is in use rather than by others."""
    if block == SUPERBLOCK_LOCATION:
        return Expected(BlockClass.SUPERBLOCK)
    for pointer in whole.pointers:
        if pointer.target == block and pointer.superblock == SUPERBLOCK_LOCATION:
            return Expected(pointer.expected)
    if len(bitmaps):
        return Expected(BlockClass.BITMAP)
    if not len(links):
        return next(
            (Expected(each.expected) for each in whole.pointers if each.target == block), None
        )
    trees = whole.trees
    counts = whole.ref_counts[trees.nodes.blocks[whole.owners[links]].astype(np.int64)]
    link = int(links[np.argmax(counts)])
    owner = int(whole.owners[link])
    if not trees.heights[owner]:
        return Expected(BlockClass.MAPPINGS)
    is_last = link + 1 == trees.starts[owner + 1]
    return Expected(
        BlockClass(int(trees.kinds[owner])),
        int(trees.heights[owner]) - 1 if trees.heights[owner] > 0 else None,
        int(trees.keys[link]),
        LAST_KEY if is_last else int(trees.keys[link + 1]) - 1,
    )
