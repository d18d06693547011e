"""What is known of a pool some of whose nodes are lost, and what is proven by that."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.accounts import is_all_lost, nr_in_lost_leaves
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.books import Books, balance
from thinmeta.analyse.recover.lost_nodes import LostNode, MappingForest, Owner
from thinmeta.analyse.recover.lost_roots import DetailsOf, proven_roots
from thinmeta.analyse.recover.orphans import last_keys
from thinmeta.analyse.recover.pool_owners import owners_of_devices, superblocks_in_use
from thinmeta.analyse.recover.proof import Claim, MissingChild, OwnerSum, proven_claims
from thinmeta.analyse.recover.puzzles import ListPuzzle, Puzzle
from thinmeta.analyse.recover.shared_data import NewestTimes, newest_times
from thinmeta.analyse.recover.sums import MappingSums, sums_of_mappings
from thinmeta.analyse.recover.survey import Survey
from thinmeta.analyse.recover.trees import Below, Trees, find_trees
from thinmeta.model.device_table import read_device_table
from thinmeta.model.pool import Pool
from thinmeta.model.superblock import Superblock
from thinmeta.schemas import block_time
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.walk.ragged import Places

_OF_SPACE_MAPS = (BlockClass.BITMAP_INDEX, BlockClass.REF_COUNTS, BlockClass.BITMAP)


@dataclass(slots=True)
class Situation:
    """What is known of a pool at a point of the work."""

    pool: Pool
    trees: Trees
    sums: MappingSums
    books: Books
    owners: list[Owner]
    superblocks: list[Superblock]

    @classmethod
    def of(cls, pool: Pool, found: Survey) -> "Situation":
        """Take stock of a pool, given what one pass over its device found."""
        trees = find_trees(found)
        owners = []
        superblocks = superblocks_in_use(pool)
        for superblock in superblocks:
            owners += owners_of_devices(pool, superblock)
        return cls(
            pool,
            trees,
            sums_of_mappings(trees),
            balance(pool, trees),
            owners,
            superblocks,
        )

    def roots(self) -> dict[int, MissingChild]:
        """Return the mapping trees that devices are proven to have, if their list is lost.

        It must be one leaf, and all else that is in use be there.
        """
        puzzle = self.list_puzzle()
        if puzzle is None or not puzzle.is_certain:
            return {}
        proven = proven_roots(self.timed_roots(puzzle), puzzle.devices)
        if proven is None:
            proven = proven_roots(puzzle.roots, puzzle.devices)
        return proven or {}

    def list_puzzle(self) -> ListPuzzle | None:
        """Return what may have been in the list of devices, if that is lost and was one leaf."""
        live = self.pool.live_superblock
        if not self.books.are_whole or self.trees.place_of(live.data_mapping_root) is not None:
            return None
        there, unread = self._missing()
        forest = self.forest()
        found = read_device_table(self.pool.source, live)
        roots = self._children(there)
        devices = [
            DetailsOf(each.device_id, each.mapped_blocks, each.snap_time, each.creation_time)
            for each in found.devices
        ]
        if len(devices) > max_entries_of(CHILD):
            return None
        is_more_lost = bool(unread or forest.lost or forest.leaf_owners or found.lost_details)
        is_certain = forest.fits and not is_more_lost and all(each.is_whole for each in roots)
        return ListPuzzle(roots, [*there], devices, is_certain)

    def timed_roots(self, puzzle: ListPuzzle) -> list[MissingChild]:
        """Return the roots with the times of what they share, where those are known."""
        shared = self.shared_times() if puzzle.is_certain else None
        if shared is None:
            return puzzle.roots
        found = self.newest_times(puzzle.places).shared
        return [
            root._replace(shared_time=max(int(shared[place]), found[place]))
            for root, place in zip(puzzle.roots, puzzle.places, strict=True)
        ]

    def forest(self) -> MappingForest:
        """Walk the devices' trees, and what is missing."""
        there, _ = self._missing()
        return MappingForest(self.trees, self.sums, self.owners, list(there))

    def _missing(self) -> tuple[dict[int, int], dict[int, int]]:
        """Return what is missing of mapping trees, and how often.

        Returns:
            Sound nodes by their places; and by their blocks those that cannot be read.
        """
        blocks, times = self.books.missing()
        places = [self.trees.place_of(block) for block in blocks.tolist()]
        there: dict[int, int] = {}
        unread: dict[int, int] = {}
        for block, place, number in zip(blocks.tolist(), places, times.tolist(), strict=True):
            kind = None if place is None else self.trees.kinds[place]
            if place is not None and kind == BlockClass.MAPPINGS:
                there[place] = number
            elif kind not in _OF_SPACE_MAPS:
                unread[block] = number
        return there, unread

    def claims(self) -> list[Claim]:
        """Return what is proven of nodes of mapping trees."""
        puzzle = self.puzzle()
        if puzzle is None or not self.are_accounted_for(puzzle):
            return []
        nodes, children, sums = puzzle.nodes, puzzle.children, puzzle.sums
        shared = None if puzzle.is_open else self.shared_times()
        if shared is not None:
            children = [
                child._replace(shared_time=int(shared[place]))
                for child, place in zip(children, puzzle.places, strict=True)
            ]
        claims = proven_claims(nodes, children, sums, are_more_lost=bool(puzzle.unread))
        if shared is None or claims is None or _are_all_exact(claims, nodes):
            return claims or []
        found = self.newest_times(puzzle.places).shared
        children = [
            child._replace(shared_time=max(child.shared_time, found[place]))
            for child, place in zip(children, puzzle.places, strict=True)
        ]
        return proven_claims(nodes, children, sums, are_more_lost=False) or []

    def puzzle(self) -> Puzzle | None:
        """Return what is lost and what is missing, if the one may be what is missing of the other.

        None where the books are not whole, where nothing is lost or missing, or where what is
        there does not fit together.
        """
        if not self.books.are_whole or self.books.are_closed:
            return None
        there, unread = self._missing()
        forest = self.forest()
        if not forest.fits or not forest.lost or not there:
            return None
        sums = {
            owner: OwnerSum(
                None if owner.stored is None else owner.stored - forest.nr_left[owner],
                forest.nr_lost_leaves[owner],
            )
            for owner in self.owners
        }
        children = self._children(there)
        return Puzzle(forest.lost, children, [*there], sums, unread, forest.leaf_owners)

    def are_accounted_for(self, puzzle: Puzzle) -> bool:
        """Tell whether none of the children can be a leak; see `accounts`."""
        children, unread = puzzle.children, puzzle.unread
        owners = [node.owners for node in puzzle.nodes if node.owners]
        of_leaves = dict(puzzle.leaf_owners)
        if not all(child.is_whole for child in children):
            return not (unread or of_leaves)  # what is below the lost ones comes first
        for block, times in unread.items():
            if len(owners) == 1:
                of_leaves[block] = of_leaves.get(block, owners[0]) | owners[0]
            elif times > 1 or block in of_leaves:
                return False  # whose else it was, nobody knows
        owners += of_leaves.values()
        nr_lost = 0
        if of_leaves or unread:
            # An old list of one device, leaked, looks like a leaf of one mapping.
            unsure = self.trees.nodes.blocks[self.trees.nodes.may_hold_roots]
            if np.isin([child.block for child in children], unsure).any():
                return False
            found = nr_in_lost_leaves(self.pool, self.trees, self.leaves_in_use())
            if found is None:
                return False
            nr_lost = found
        return is_all_lost(owners, children, puzzle.sums, nr_lost)

    def newest_times(self, places: list[int]) -> NewestTimes:
        """Return the newest times of mappings below some nodes that are missing."""
        return newest_times(self.pool.source, self.trees, self.leaves_in_use(), places)

    def leaves_in_use(self) -> Places:
        """Return the leaves of mappings that are counted, by their places."""
        trees = self.trees
        is_leaf = (trees.kinds == BlockClass.MAPPINGS) & (trees.heights == 0)
        places = np.flatnonzero(is_leaf & self.books.in_use)
        is_list = trees.nodes.may_hold_roots[places]
        is_list[is_list] = self.books.leads[trees.starts[places[is_list]]]
        return places[~is_list]

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

    def shared_times(self) -> Places | None:
        """Return the newest time below each node that several devices have.

        Returns:
            Newest times by place; None where times say nothing: a metadata snapshot has
            leaves, too, that are written anew; times of more than 24 bits begin from 0 again;
            and times that somebody made up follow no rule.
        """
        trees, sums = self.trees, self.sums
        if (
            self.pool.live_superblock.held_root
            or self.pool.live_superblock.time > block_time.MAX_TIME
        ):
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
