"""Nodes above the leaves of mapping trees that are lost: where they stood, and whose they were."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.sums import MappingSums
from thinmeta.analyse.recover.trees import Trees
from thinmeta.units import LAST_KEY
from thinmeta.walk.ragged import Places


class Owner(NamedTuple):
    """A device in one of the states that are in use.

    Attributes:
        superblock: the copy of the superblock that leads to it.
        device_id: the device.
        root: of its mapping tree.
        stored: mappings that its details say it has; None if they are lost.
        snap_time: when it was last snapshotted.
        creation_time: when it was created.
    """

    superblock: int
    device_id: int
    root: int
    stored: int | None
    snap_time: int
    creation_time: int


@dataclass(frozen=True, slots=True)
class LostNode:
    """A node that something refers to, and that is not there.

    Attributes:
        block: where it should be.
        first_key: the lowest key that it may hold.
        last_key: the highest.
        child_height: how far its children are above the leaves; None where nobody knows,
            as for a root.
        owners: the devices that have it.
    """

    block: int
    first_key: int
    last_key: int
    child_height: int | None
    owners: frozenset[Owner]


@dataclass(slots=True)
class _Spot:
    low: int = 0
    last: int = LAST_KEY
    heights: set[int | None] = field(default_factory=set)
    parents: set[int] = field(default_factory=set)
    owners: set[Owner] = field(default_factory=set)


class MappingForest:
    """The mapping trees of some devices, and of nodes that nothing refers to, walked down.

    Attributes:
        fits: whether each child is what its parent asks for, or not there at all.
        misfits: parents and children, by their places, of which that is not so.
        lost: nodes above the leaves that are not there, ascending by block.
        leaf_owners: the devices of each leaf that is not there, by its block.
        nr_lost_leaves: how many leaves of each owner's are not there.
        nr_left: how many mappings of each owner's are left.
    """

    def __init__(
        self, trees: Trees, sums: MappingSums, owners: list[Owner], others: list[int]
    ) -> None:
        """Walk.

        Args:
            trees: all sound nodes.
            sums: what is below them.
            owners: the devices.
            others: places of sound nodes whose trees are no device's as yet.
        """
        self.fits = True
        self.misfits: list[tuple[int, int]] = []
        self._trees = trees
        self._heights = trees.heights.copy()
        self._upper = np.full(len(trees.nodes), LAST_KEY, dtype=np.uint64)
        self._is_reached = np.zeros(len(trees.nodes), dtype=np.bool_)
        self._spots: dict[int, _Spot] = defaultdict(_Spot)
        self._leaves: dict[int, set[int]] = defaultdict(set)
        self._roots: dict[int, set[Owner]] = defaultdict(set)
        self._up: list[tuple[Places, Places]] = []
        for owner in owners:
            self._begin(owner)
        self._is_reached[others] = True
        nr_lost = self._walk()
        self.lost = self._lost_nodes()
        self.leaf_owners = {
            block: self._owners_above(parents) for block, parents in self._leaves.items()
        }
        at = {owner: trees.place_of(owner.root) for owner in owners}
        self.nr_left = {
            owner: 0 if place is None else int(sums.nr_mappings[place])
            for owner, place in at.items()
        }
        self.nr_lost_leaves = {
            owner: 0 if place is None else int(nr_lost[place]) for owner, place in at.items()
        }

    def _begin(self, owner: Owner) -> None:
        place = self._trees.place_of(owner.root)
        if place is None:
            spot = self._spots[owner.root]
            spot.heights.add(None)
            spot.owners.add(owner)
            return
        kind = self._trees.kinds[place]
        self.fits &= bool(kind in (BlockClass.MAPPINGS, BlockClass.INTERNAL))
        self._is_reached[place] = True
        self._roots[place].add(owner)

    def _walk(self) -> npt.NDArray[np.int64]:
        """Go down height by height; return how many leaves below each node are not there."""
        trees = self._trees
        below: list[tuple[Places, Places, Places, Places]] = []
        for height in range(int(trees.heights.max(initial=0)), 0, -1):
            parents = np.flatnonzero(self._is_reached & (self._heights == height))
            below.append(self._follow(parents, height))
        bare = np.flatnonzero(self._is_reached & (self._heights < 0))
        self._follow(bare, None)
        nr_lost = np.zeros(len(trees.nodes), dtype=np.int64)
        for parents, children, of_lost, _ in reversed(below):
            np.add.at(nr_lost, of_lost, 1)
            np.add.at(nr_lost, parents, nr_lost[children])
        return nr_lost

    def _follow(self, places: Places, height: int | None) -> tuple[Places, Places, Places, Places]:
        """Follow the entries of nodes of one height.

        Returns:
            Parents and children, one for each entry that is followed; the parents of
            leaves that are lost; and all others that are lost.
        """
        trees = self._trees
        links = trees.links_of(places)
        owners = np.repeat(places, trees.starts[places + 1] - trees.starts[places])
        last = np.minimum(trees.lasts[links], self._upper[owners])
        children = trees.children[links]
        follows = trees.is_sound[links].copy()
        if height is None:
            follows[:] = False
        elif height > 1:  # a sound node all of whose children are lost shows no height
            is_bare = (trees.kinds[children] == BlockClass.INTERNAL) & trees.is_there[links]
            bare = children[is_bare]
            self._heights[bare] = height - 1
            follows |= is_bare
        misfits = np.flatnonzero(trees.is_there[links] & ~follows)
        self.fits &= not len(misfits)
        pairs = owners[misfits].tolist(), children[misfits].tolist()
        self.misfits += zip(*pairs, strict=True)
        found = children[follows]
        self._is_reached[found] = True
        np.minimum.at(self._upper, found, last[follows])
        self._up.append((owners[follows], found))
        lost = np.flatnonzero(~follows)
        if height == 1:
            for at in lost.tolist():
                self._leaves[int(trees.targets[links[at]])].add(int(owners[at]))
            return owners[follows], found, owners[lost], lost
        for at in lost.tolist():
            spot = self._spots[int(trees.targets[links[at]])]
            spot.low = max(spot.low, int(trees.keys[links[at]]))
            spot.last = min(spot.last, int(last[at]))
            spot.heights.add(None if height is None else height - 2)
            spot.parents.add(int(owners[at]))
        return owners[follows], found, owners[:0], lost

    def _lost_nodes(self) -> list[LostNode]:
        found = []
        for block, spot in sorted(self._spots.items()):
            owners = self._owners_above(spot.parents) | spot.owners
            heights = spot.heights - {None}
            self.fits &= len(heights) < 2 and spot.low <= spot.last
            height = next(iter(heights), None)
            found.append(LostNode(block, spot.low, spot.last, height, owners))
        return found

    def owners_of(self, place: int) -> frozenset[Owner]:
        """Return the devices whose trees have a node that is there."""
        return self._owners_above({place})

    def _owners_above(self, places: set[int]) -> frozenset[Owner]:
        """Return the devices whose trees have one of some nodes."""
        parents, children = self._upwards
        above, new = set(places), places
        while new:
            at = np.array(sorted(new), dtype=np.int64)
            begins, ends = (np.searchsorted(children, at, side) for side in ("left", "right"))
            new = {
                parent
                for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
                for parent in parents[begin:end].tolist()
            } - above
            above |= new
        return frozenset().union(*(self._roots[each] for each in above & self._roots.keys()))

    @cached_property
    def _upwards(self) -> tuple[Places, Places]:
        """Return parents and children, by ascending child."""
        nothing = np.empty(0, dtype=np.int64)
        columns = zip((nothing, nothing), *self._up, strict=True)
        parents, children = (np.concatenate(column) for column in columns)
        order = np.argsort(children, kind="stable")
        return parents[order], children[order]
