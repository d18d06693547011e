"""Lost nodes above the leaves, put together again from what hung below them.

A node that is lost takes with it nothing but the list of its children, and these are all still
on disk, counted. See `books` for how they are found, `proof` for whose they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.books import Books, balance
from thinmeta.analyse.recover.lost_nodes import LostNode, MappingForest, Owner
from thinmeta.analyse.recover.orphans import last_keys
from thinmeta.analyse.recover.proof import Claim, MissingChild, OwnerSum, proven_claims
from thinmeta.analyse.recover.shared_data import newest_shared
from thinmeta.analyse.recover.sums import MappingSums, sums_of_mappings
from thinmeta.analyse.recover.survey import Survey, survey, with_blocks
from thinmeta.analyse.recover.trees import Below, Trees, find_trees
from thinmeta.builder.store import made_nodes
from thinmeta.device.blocks import Blocks
from thinmeta.device.rebuilt_blocks import RebuiltBlocks
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.device_table import read_device_table
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.checksum import Rows, put_checksums
from thinmeta.units import OnProgress
from thinmeta.walk.ragged import Places

_MOST_ROUNDS = 8
"""A tree has no more levels in which one lost node can be below another."""

_OF_SPACE_MAPS = (BlockClass.BITMAP_INDEX, BlockClass.REF_COUNTS, BlockClass.BITMAP)


class Rebuilt(NamedTuple):
    """A pool in which lost nodes are there again.

    Attributes:
        pool: reads what was proven in the place of what was lost.
        claims: what that is.
    """

    pool: Pool
    claims: tuple[Claim, ...]


def rebuilt(pool: Pool, on_progress: OnProgress = lambda *_: None) -> Rebuilt:
    """Put together what can be proven of the lost nodes of a pool.

    Args:
        pool: in the live state, or in that of its metadata snapshot.
        on_progress: told of blocks that were scanned.
    """
    return rebuilt_from(pool, survey(pool.source.device, on_progress))


def rebuilt_from(pool: Pool, found: Survey) -> Rebuilt:
    """Put together what can be proven, given what one pass over the device found."""
    claims: list[Claim] = []
    for _ in range(_MOST_ROUNDS):
        new = _Situation.of(pool, found).claims()
        exact = [claim for claim in new if claim.is_exact]
        last = exact or new
        claims += last
        if not last:
            break
        rows = {claim.node.block: _node_of(claim) for claim in last}
        pool = _read_instead(pool, last, rows)
        if not exact:
            break
        found = with_blocks(found, *_columns(rows))
    return Rebuilt(pool, tuple(claims))


def rebuilt_where_lost(pool: Pool, on_progress: OnProgress = lambda *_: None) -> Rebuilt:
    """Put together what can be proven, if a node above the leaves is lost; see `rebuilt`.

    Nothing is scanned where none is, nor for a past state, whose blocks are not counted.
    """
    if isinstance(pool.state, Roots) or pool.superblock_damage is not None:
        return Rebuilt(pool, ())
    forest = MappingTrees.of(pool).forest
    if not forest.levels[0].nodes.codes.any():
        return Rebuilt(pool, ())
    return rebuilt(pool, on_progress)


def _columns(rows: Mapping[int, Rows]) -> tuple[Blocks, Rows]:
    blocks = sorted(rows)
    return np.array(blocks, dtype=np.uint64), np.stack([rows[block] for block in blocks])


def _read_instead(pool: Pool, claims: list[Claim], rows: Mapping[int, Rows]) -> Pool:
    device = pool.source.device
    gaps = {
        claim.node.block: np.array(claim.gaps, dtype=np.uint64) for claim in claims if claim.gaps
    }
    source = pool.source._replace(
        device=RebuiltBlocks(device, rows), gaps={**pool.source.gaps, **gaps}
    )
    return replace(pool, source=source, known_devices=None)


def _node_of(claim: Claim) -> Rows:
    """Return the node as it may have been written."""
    keys = np.array([child.first_key for child in claim.children], dtype=np.uint64)
    children = np.array([child.block for child in claim.children], dtype=np.uint64)
    blocks = np.array([claim.node.block], dtype=np.uint64)
    rows = made_nodes(blocks, keys, children, np.array([len(keys)]), internal=True)
    put_checksums(rows, BTREE_CSUM_XOR)
    row: Rows = rows[0]
    return row


@dataclass(slots=True)
class _Situation:
    """What is known of a pool at a point of the work."""

    pool: Pool
    trees: Trees
    sums: MappingSums
    books: Books
    owners: list[Owner]
    is_snapshot_held: bool

    @classmethod
    def of(cls, pool: Pool, found: Survey) -> "_Situation":
        trees = find_trees(found)
        owners = []
        superblocks = _superblocks(pool)
        for superblock in superblocks:
            owners += _owners(pool, superblock)
        return cls(
            pool,
            trees,
            sums_of_mappings(trees),
            balance(pool, trees),
            owners,
            bool(pool.live_superblock.held_root),
        )

    def claims(self) -> list[Claim]:
        """Return what is proven."""
        if not self.books.are_whole or self.books.are_closed:
            return []
        blocks, times = self.books.missing()
        places = [self.trees.place_of(block) for block in blocks.tolist()]
        there: dict[int, int] = {}
        nr_others = 0
        for place, number in zip(places, times.tolist(), strict=True):
            kind = None if place is None else self.trees.kinds[place]
            if place is not None and kind == BlockClass.MAPPINGS:
                there[place] = number
            elif kind not in _OF_SPACE_MAPS:
                nr_others += number
        forest = MappingForest(self.trees, self.sums, self.owners, list(there))
        if not forest.fits or not forest.lost or not there:
            return []
        sums = {
            owner: OwnerSum(
                None if owner.stored is None else owner.stored - forest.nr_left[owner],
                forest.nr_lost_leaves[owner],
            )
            for owner in self.owners
        }
        lost_owners = set[Owner]().union(*(node.owners for node in forest.lost))
        is_open = nr_others > 0 or any(sums[owner].nr_lost_leaves for owner in lost_owners)
        children = self._children(there)
        shared = None if is_open else self._shared_times()
        if shared is not None:
            children = [
                child._replace(shared_time=int(shared[place]))
                for child, place in zip(children, there, strict=True)
            ]
        claims = proven_claims(forest.lost, children, sums, are_more_lost=nr_others > 0)
        if shared is None or claims is None or _are_all_exact(claims, forest.lost):
            return claims or []
        found = newest_shared(self.pool.source, self.trees, self._leaves_in_use(), [*there])
        children = [
            child._replace(shared_time=max(child.shared_time, found[place]))
            for child, place in zip(children, there, strict=True)
        ]
        return proven_claims(forest.lost, children, sums, are_more_lost=False) or []

    def _leaves_in_use(self) -> Places:
        is_leaf = (self.trees.kinds == BlockClass.MAPPINGS) & (self.trees.heights == 0)
        return np.flatnonzero(is_leaf & self.books.in_use & ~self.trees.nodes.may_hold_roots)

    def _children(self, there: Mapping[int, int]) -> list[MissingChild]:
        lasts = last_keys(self.trees)
        nodes, sums = self.trees.nodes, self.sums
        return [
            MissingChild(
                block=int(nodes.blocks[place]),
                times=times,
                height=int(self.trees.heights[place]),
                first_key=int(nodes.first[place]),
                last_key=int(lasts[place]),
                nr_mappings=int(sums.nr_mappings[place]),
                is_whole=not sums.nr_lost[place],
            )
            for place, times in there.items()
        ]

    def _shared_times(self) -> Places | None:
        """Return the newest time below each node that several devices have.

        Returns:
            Newest times by place; None where times say nothing: a metadata snapshot has
            leaves, too, that are written anew; times of more than 24 bits begin from 0 again;
            and times that somebody made up follow no rule.
        """
        trees, sums = self.trees, self.sums
        if self.is_snapshot_held or self.pool.live_superblock.time > block_time.MAX_TIME:
            return None
        counted = self.books.counted
        blocks = trees.nodes.blocks.astype(np.int64)
        is_shared = np.zeros(len(blocks), dtype=np.bool_)
        within = blocks < len(counted)
        is_shared[within] = counted[blocks[within]] > 1
        newest = np.where(sums.nr_mappings > 0, sums.time, -1)
        shared = np.where(is_shared, newest, -1)
        for parents in trees.above_leaves(BlockClass.MAPPINGS):
            below = Below(trees, parents).highest(shared, lost=-1)
            shared[parents] = np.where(is_shared[parents], newest[parents], below)
        for owner in self.owners:
            place = trees.place_of(owner.root)
            if place is not None and shared[place] >= owner.snap_time:
                return None
        return shared


def _are_all_exact(claims: list[Claim], lost: list[LostNode]) -> bool:
    return len(claims) == len(lost) and all(claim.is_exact for claim in claims)


def _superblocks(pool: Pool) -> list[Superblock]:
    live = pool.live_superblock
    if not live.held_root:
        return [live]
    try:
        held = read_superblock(pool.source.device, live.held_root, ignore_unsupported=True)
    except DamagedMetadataError:
        return [live]
    return [live, held]


def _owners(pool: Pool, superblock: Superblock) -> list[Owner]:
    table = read_device_table(pool.source, superblock)
    found = [
        Owner(
            int(superblock.blocknr),
            device.device_id,
            device.mapping_root,
            device.mapped_blocks,
            device.snap_time,
        )
        for device in table.devices
        if device.mapping_root is not None
    ]
    found += [
        Owner(int(superblock.blocknr), device_id, root, None, 0)
        for device_id, root in table.without_details.items()
    ]
    return found
