"""What is left of trees: sums over their leaves, made from the leaves up."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.node_facts import Counts, DetailRows
from thinmeta.analyse.recover.trees import Below, Trees
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import starts_of

Marks = npt.NDArray[np.uint64]
"""A number that stands for a set of device ids, since sets are compared by the thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class MappingSums(Columnar):
    """What is left below each node; every array has shape `(n,)` and dtype int64.

    Attributes:
        nr_leaves: leaves of mappings, a shared one once for each place.
        nr_lost: children that are lost, at any height.
        nr_reused: those of them whose blocks hold other metadata now.
        nr_mappings: mappings.
        time: their newest time.
        nr_newest: how many of them have it.
        highest: their highest data block; -1 without mappings.
    """

    nr_leaves: Counts
    nr_lost: Counts
    nr_reused: Counts
    nr_mappings: Counts
    time: Counts
    nr_newest: Counts
    highest: Counts

    def add_up(self, below: Below) -> None:
        """Set what the parents of `below` have, from what their children have."""
        parents = below.parents
        self.nr_leaves[parents] = below.total(self.nr_leaves)
        self.nr_lost[parents] = below.total(self.nr_lost, lost=1)
        self.nr_reused[parents] = below.total(self.nr_reused) + below.nr_reused()
        self.nr_mappings[parents] = below.total(self.nr_mappings)
        time = below.highest(self.time)
        self.nr_newest[parents] = below.total_where(self.nr_newest, self.time, time)
        self.time[parents] = time
        self.highest[parents] = below.highest(self.highest, lost=-1)


def sums_of_mappings(trees: Trees) -> MappingSums:
    """Return the sums of mapping trees."""
    nodes = trees.nodes
    is_leaf = trees.heights == 0
    sums = MappingSums(
        nr_leaves=is_leaf.astype(np.int64),
        nr_lost=np.where(is_leaf, 0, nodes.nr_entries),
        nr_reused=np.zeros(len(nodes), dtype=np.int64),
        nr_mappings=np.where(is_leaf, nodes.nr_entries, 0),
        time=nodes.time.copy(),
        nr_newest=nodes.nr_newest.copy(),
        highest=nodes.highest.copy(),
    )
    for parents in trees.above_leaves(BlockClass.MAPPINGS):
        sums.add_up(Below(trees, parents))
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class RootSums(Columnar):
    """What is left below nodes as lists of device roots; arrays of shape `(n,)`.

    Attributes:
        nr_devices: devices that are listed.
        nr_there: those of which a mapping tree is left.
        ids: a mark of which they are.
    """

    nr_devices: Counts
    nr_there: Counts
    ids: Marks


def sums_of_roots(trees: Trees, of_mappings: MappingSums) -> tuple[RootSums, MappingSums]:
    """Return the sums of the trees of device roots.

    Returns:
        What is listed, and what is left of all devices together. A leaf of one mapping
        that may be one device root counts as such here.
    """
    mappings = MappingSums.joined([of_mappings, of_mappings[:0]])
    leaves = np.flatnonzero((trees.kinds == BlockClass.DEVICE_ROOTS) & (trees.heights == 0))
    leaves = np.concatenate([leaves, np.flatnonzero(trees.nodes.may_hold_roots)])
    below = Below(trees, leaves)
    mappings.add_up(below)
    sums = RootSums(*(np.zeros(len(trees.nodes), dtype=dtype) for dtype in ("i8", "i8", "u8")))
    sums.nr_devices[leaves] = trees.nodes.nr_entries[leaves]
    sums.nr_there[leaves] = below.total(np.ones(len(trees.nodes), dtype=np.int64))
    links = trees.links_of(leaves)
    sums.ids[leaves] = _sums_of(_mark(trees.keys[links]), sums.nr_devices[leaves])
    for parents in trees.above_leaves(BlockClass.DEVICE_ROOTS):
        below = Below(trees, parents)
        mappings.add_up(below)
        for column in (sums.nr_devices, sums.nr_there, sums.ids):
            column[parents] = below.total(column)
    return sums, mappings


@dataclass(frozen=True, slots=True, eq=False)
class DetailSums(Columnar):
    """What device details say, below each node; arrays of shape `(n,)`.

    Attributes:
        nr_devices: devices that are listed.
        ids: a mark of which they are.
        nr_lost: children that are lost, at any height.
        nr_reused: those of them whose blocks hold other metadata now.
        mapped_blocks: mappings that the devices should have, dtype uint64.
        transaction_id: the highest that a device was created in, dtype uint64.
        time: the newest time at which a device was created or snapshotted.
    """

    nr_devices: Counts
    ids: Marks
    nr_lost: Counts
    nr_reused: Counts
    mapped_blocks: Keys
    transaction_id: Keys
    time: Counts


def sums_of_details(trees: Trees, rows: DetailRows) -> DetailSums:
    """Return the sums of the trees of device details; `rows` are the leaves' entries."""
    sums = DetailSums(
        *(
            np.zeros(len(trees.nodes), dtype=dtype)
            for dtype in ("i8", "u8", "i8", "i8", "u8", "u8", "i8")
        )
    )
    leaves = np.flatnonzero(trees.nodes.classes == BlockClass.DETAILS)
    leaves = leaves[trees.nodes.nr_entries[leaves] > 0]
    counts = trees.nodes.nr_entries[leaves]
    sums.nr_devices[leaves] = counts
    if len(leaves):
        begins = starts_of(counts)[:-1]
        details = rows.details
        sums.ids[leaves] = _sums_of(_mark(rows.device_ids), counts)
        sums.mapped_blocks[leaves] = np.add.reduceat(details["mapped_blocks"], begins)
        sums.transaction_id[leaves] = np.maximum.reduceat(details["transaction_id"], begins)
        times = np.maximum(details["creation_time"], details["snapshotted_time"])
        sums.time[leaves] = np.maximum.reduceat(times, begins)
    for parents in trees.above_leaves(BlockClass.DETAILS):
        below = Below(trees, parents)
        sums.nr_lost[parents] = below.total(sums.nr_lost, lost=1)
        sums.nr_reused[parents] = below.total(sums.nr_reused) + below.nr_reused()
        for column in (sums.nr_devices, sums.ids, sums.mapped_blocks):
            column[parents] = below.total(column)
        for column in (sums.transaction_id, sums.time):
            column[parents] = below.highest(column)
    return sums


def _sums_of(values: Keys, counts: Counts) -> Keys:
    """Return the sum of each piece of `values`; none of the pieces is empty."""
    return np.add.reduceat(values, starts_of(counts)[:-1]) if len(counts) else values[:0]


def _mark(device_ids: Keys) -> Marks:
    """Return a number for each id, of which sums over different sets of ids differ.

    Source: the finaliser of splitmix64, Steele, Lea, Flood, OOPSLA 2014.
    """
    mixed = device_ids + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
