"""The books of the metadata: how often each block is referred to, and how often it is counted.

The metadata space map counts the references of each metadata block. All that refer are sound
nodes in use, the superblocks and the space maps themselves. On whatever a kernel wrote the two
are equal, so what is counted and not there are the references of nodes that are lost.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.trees import Trees
from thinmeta.errors import Damage, DamagedMetadataError
from thinmeta.model.pool import Pool
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import MAX_METADATA_BLOCKS
from thinmeta.walk.nodes import Mask
from thinmeta.walk.ragged import Places
from thinmeta.walk.space_map import data_index, metadata_index

RefNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Books:
    """What is counted and what is there, for each block of the metadata space map.

    Attributes:
        counted: as the space map says, shape `(n,)`.
        referred: what is there, shape `(n,)`.
        in_use: sound nodes, by their places in `Trees`, that are counted, shape `(m,)`.
        leads: entries, by their places in `Trees`, that are references, shape `(k,)`.
        damages: what could not be read of the space maps, or of a held superblock.
        nr_allocated: how many blocks the superblock says are counted.
    """

    counted: RefNumbers
    referred: RefNumbers
    in_use: Mask
    leads: Mask
    damages: tuple[Damage, ...]
    nr_allocated: int

    @property
    def are_whole(self) -> bool:
        """Whether the whole map was read, and counts no block less often than it is there."""
        is_counted = int(np.count_nonzero(self.counted)) == self.nr_allocated
        return is_counted and not self.damages and not (self.referred > self.counted).any()

    @property
    def are_closed(self) -> bool:
        """Whether nothing is missing either."""
        return self.are_whole and bool((self.referred == self.counted).all())

    def missing(self) -> tuple[Places, RefNumbers]:
        """Return the blocks that are counted more often than they are there, and how much more."""
        blocks = np.flatnonzero(self.counted > self.referred)
        return blocks, (self.counted - self.referred)[blocks]


def balance(pool: Pool, trees: Trees) -> Books:
    """Hold what the metadata space map counts against what is there.

    Args:
        pool: of which the live superblock is sound.
        trees: all sound nodes of its device.
    """
    live = pool.live_superblock
    damages: list[Damage] = []
    root = live.metadata_space_map
    nr_blocks = min(root.nr_blocks, MAX_METADATA_BLOCKS)
    counts = RefCounts(pool.source, root, damages.append, is_metadata=True)
    counted = counts.read(0, nr_blocks).astype(np.int64)
    referred = np.zeros(nr_blocks, dtype=np.int64)
    superblocks = [live]
    if live.held_root:
        try:
            held = read_superblock(pool.source.device, live.held_root, ignore_unsupported=True)
        except DamagedMetadataError as error:
            damages.append(error.damage)
        else:
            superblocks.append(held)
    for block in _named_by_superblocks(superblocks):
        referred[block : block + 1] += 1
    bitmaps = _bitmaps(pool, damages)
    np.add.at(referred, bitmaps[bitmaps < nr_blocks].astype(np.int64), 1)
    nodes = trees.nodes
    within = nodes.blocks < nr_blocks
    in_use = np.zeros(len(nodes), dtype=np.bool_)
    in_use[within] = counted[nodes.blocks[within].astype(np.int64)] > 0
    leads = np.zeros(len(trees.keys), dtype=np.bool_)
    leads[trees.links_of(np.flatnonzero(in_use & _refers(trees, superblocks, in_use)))] = True
    targets = trees.targets[leads].astype(np.int64)
    referred += np.bincount(targets[targets < nr_blocks], minlength=nr_blocks)
    return Books(counted, referred, in_use, leads, tuple(damages), root.nr_allocated)


def _named_by_superblocks(superblocks: list[Superblock]) -> list[int]:
    live = superblocks[0]
    maps = (live.data_space_map, live.metadata_space_map)
    named = [SUPERBLOCK_LOCATION, *(root.bitmap_root for root in maps)]
    named += [root.ref_count_root for root in maps]
    if live.held_root:
        named.append(live.held_root)
    for each in superblocks:
        named += [each.data_mapping_root, each.device_details_root]
    return named


def _bitmaps(pool: Pool, damages: list[Damage]) -> npt.NDArray[np.uint64]:
    """Return the bitmaps of both space maps."""
    live, most = pool.live_superblock, pool.source.device.nr_blocks
    found = []
    for read_index, root in (
        (data_index, live.data_space_map),
        (metadata_index, live.metadata_space_map),
    ):
        nr_bitmaps = min(-(-root.nr_blocks // ENTRIES_PER_BLOCK), most)
        index = read_index(pool.source, root.bitmap_root, 0, nr_bitmaps, damages.append)
        found.append(index["blocknr"].astype(np.uint64))
    blocks = np.concatenate(found)
    return blocks[blocks > 0]


def _refers(trees: Trees, superblocks: list[Superblock], in_use: Mask) -> Mask:
    """Tell which nodes refer to others: internal nodes, and leaves of device roots.

    A leaf of device roots is one that is reached as such, or looks like one and is not
    reached as one of mappings.
    """
    is_internal = trees.nodes.classes == BlockClass.INTERNAL
    lists = reached(trees, [each.data_mapping_root for each in superblocks], is_internal)
    leaves = np.flatnonzero(lists & ~is_internal & trees.nodes.has_links)
    roots = trees.targets[trees.links_of(leaves)]
    mappings = reached(trees, roots.tolist(), is_internal)
    looks_like = (trees.nodes.classes == BlockClass.DEVICE_ROOTS) & in_use & ~mappings
    refers: Mask = is_internal | looks_like
    refers[leaves] = True
    return refers


def reached(trees: Trees, blocks: list[int], refers: Mask) -> Mask:
    """Tell which nodes can be reached from some blocks by the entries of those that `refer`."""
    seen = np.zeros(len(trees.nodes), dtype=np.bool_)
    places = [trees.place_of(block) for block in set(blocks)]
    new = np.array([place for place in places if place is not None], dtype=np.int64)
    while len(new):
        seen[new] = True
        links = trees.links_of(new[refers[new]])
        below = np.zeros(len(seen), dtype=np.bool_)
        below[trees.children[links[trees.is_there[links]]]] = True
        new = np.flatnonzero(below & ~seen)
    return seen


def referrers(trees: Trees, books: Books, block: int) -> tuple[Places, Places]:
    """Return the entries that refer to a block: the nodes that have them, and the entries."""
    links = np.flatnonzero(books.leads & (trees.targets == block))
    return np.searchsorted(trees.starts, links, side="right") - 1, links
