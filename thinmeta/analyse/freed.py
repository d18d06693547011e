"""What the pool gains when devices are deleted together.

A data block is free once all devices that map it are gone. What is exclusive to each of some
devices says too little of them together: what only they share goes, too.

Groups of devices are branches: of the tree of snapshots, or of one made for the purpose. All
that map a block are below the lowest branch that the first and the last of them have in
common, where devices are numbered so that those of a branch follow each other. So two numbers
a block are enough, and none where only one leaf has it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.branches import (
    NOBODY,
    Branches,
    Numbers,
    depths_of,
    in_common,
    with_what_is_below,
)
from thinmeta.analyse.leaf_counts import LeafReader
from thinmeta.analyse.seen_blocks import SeenBlocks
from thinmeta.errors import NoSnapshotError
from thinmeta.model.losses import Losses
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.state import State
from thinmeta.units import DeviceId, OnProgress
from thinmeta.walk.bad_leaves import BadLeaves
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.nodes import MAPPINGS
from thinmeta.walk.ragged import Places, distinct_places, nr_marked_before

_BLOCKS_AT_ONCE = 1 << 23
"""Blocks with several leaves whose two numbers are in memory together: 64 MiB."""

_ENDS_AT_ONCE = 1 << 18


class Freed(NamedTuple):
    """What is free once all devices of each branch are gone; each of shape `(n,)`, in blocks.

    Attributes:
        blocks: what no other device maps.
        kept: of that, what stays taken until the metadata snapshot that is held now is
            released. None if none is held, or if it is the state that was looked at.
    """

    blocks: Places
    kept: Places | None


class FreedTogether(NamedTuple):
    """What is free once all devices of a group are gone, in blocks.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a08-snapshots-of-snapshots/meta.bin.xz") as pool:
    ...     pool.freed([1, 2])
    FreedTogether(device_ids=(1, 2), blocks=6, kept=0, is_exact=True)

    Attributes:
        device_ids: of the group, in the order asked for.
        blocks: what no other device maps.
        kept: of that, what stays taken until the metadata snapshot that is held is released.
        is_exact: whether nothing of the pool is lost. Else both are the most there can be.
    """

    device_ids: tuple[DeviceId, ...]
    blocks: int
    kept: int = 0
    is_exact: bool = True


def freed_together(
    pool: Pool,
    groups: Sequence[Sequence[DeviceId]],
    *,
    losses: Losses | None = None,
    on_progress: OnProgress | None = None,
) -> list[FreedTogether]:
    """Return what the pool gains when the devices of each group are deleted, but no others.

    Args:
        pool: in the state to look at.
        groups: of devices that the pool has; a device may be in several.
        losses: what is lost of the pool, by which the numbers become bounds; None if nothing is.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    members = [device_id for group in groups for device_id in dict.fromkeys(group)]
    are_apart = len(members) == len(set(members))
    missing = most_missing(losses)
    found = []
    for some in [groups] if are_apart else [[group] for group in groups]:
        counts = freed(pool, Branches.of_groups(some), on_progress=on_progress)
        for place, group in enumerate(some):
            most = sum(missing[each] for each in set(group))
            kept = 0 if counts.kept is None else int(counts.kept[place])
            is_exact = losses is None or losses.is_complete
            found.append(
                FreedTogether(tuple(group), int(counts.blocks[place]) + most, kept + most, is_exact)
            )
    return found


def most_missing(losses: Losses | None) -> Counter[DeviceId]:
    """Return how many mappings each device can have besides those that are left."""
    most: Counter[DeviceId] = Counter()
    if losses is not None and not losses.is_complete:
        for each in losses.devices:
            if each.tree.device_id is not None:
                most[each.tree.device_id] = each.at_most_missing
    return most


def freed(pool: Pool, branches: Branches, *, on_progress: OnProgress | None = None) -> Freed:
    """Return what the pool gains when branches are deleted.

    All leaves are read once, and once more where data blocks are in several.

    Args:
        pool: in the state to look at.
        branches: of devices.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises; else
            what it held is left out.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.

    Source:
        `thin_metadata_snap` holds the trees of one moment: `dm_pool_reserve_metadata_snap()`,
        drivers/md/dm-thin-metadata.c (Linux v6.6).
    """
    trees = MappingTrees.of(pool)
    nowhere = len(branches.parents)
    places = np.array(
        [branches.places.get(DeviceId(each), nowhere) for each in trees.ids.tolist()],
        dtype=np.int32,
    )
    counted = _Counter(pool, trees.ids, trees.forest, branches, on_progress).count(places)
    held = _held(pool)
    kept = None
    if held is not None:
        roots = np.concatenate((trees.roots, held.roots))
        both = grow(pool.source, roots, MAPPINGS)
        counter = _Counter(pool, np.concatenate((trees.ids, held.ids)), both, branches, on_progress)
        in_held = np.full(len(held.ids), nowhere, dtype=np.int32)
        kept = counted - counter.count(np.concatenate((places, in_held)))
    pool.verify_unchanged()
    return Freed(counted, kept)


def _held(pool: Pool) -> MappingTrees | None:
    """Return the trees of the metadata snapshot that keeps blocks of a live pool."""
    if pool.state is not State.LIVE:
        return None
    try:
        return MappingTrees.of(pool.in_state(State.SNAP))
    except NoSnapshotError:
        return None


class _Counter:
    """Counts the blocks of branches over one forest."""

    def __init__(  # what one count needs
        self,
        pool: Pool,
        ids: npt.NDArray[np.uint64],
        forest: Forest,
        branches: Branches,
        on_progress: OnProgress | None,
    ) -> None:
        self._pool = pool
        self._ids = ids
        self._forest = forest
        self._reader = LeafReader(pool.source, forest.levels[0].nodes, on_progress)
        # What is in no branch is one of its own, which nobody asks for.
        self._parents = np.array([*branches.parents, NOBODY], dtype=np.int64)
        self._depths = depths_of(self._parents)

    def count(self, of_trees: Numbers) -> Places:
        """Return how many blocks are mapped by the trees of each branch and no others.

        Args:
            of_trees: the place of each tree's device.
        """
        first, last = self._ends_of_leaves(of_trees)
        nr_leaves = len(first)
        codes = np.zeros(nr_leaves, dtype=np.uint8)
        alone = np.zeros(nr_leaves, dtype=np.int64)
        seen = SeenBlocks()
        for piece in self._reader.read():
            codes[piece.places] = piece.codes
            alone[piece.places] = np.diff(piece.entries.starts)
            seen.add(piece.entries.values)
        bad = BadLeaves(self._forest, self._ids, codes)
        for tree in sorted(bad.trees):
            for damage in bad.of(tree):
                self._pool.on_damage(damage)
        counts = np.zeros(len(self._parents), dtype=np.int64)
        self._add_repeated(seen, first, last, alone, counts)
        for window in (np.flatnonzero(seen.touched[1:]) + 1).tolist():
            seen = SeenBlocks(window)
            for piece in self._reader.read():
                seen.add(piece.entries.values)
            self._add_repeated(seen, first, last, alone, counts)
        self._add(counts, first, last, alone)
        return with_what_is_below(counts, self._parents)[:-1]

    def _ends_of_leaves(self, of_trees: Numbers) -> tuple[Numbers, Numbers]:
        """Return the first and the last place of the devices that have each leaf."""
        none = np.int32(np.iinfo(np.int32).max)
        blocks, which = distinct_places(self._forest.levels[0].nodes.blocks)
        ends = []
        for join, nothing in ((np.minimum, none), (np.maximum, np.int32(NOBODY))):
            of_blocks = np.full(len(blocks), nothing, dtype=np.int32)
            join.at(of_blocks, which, self._forest.spread(of_trees, join, nothing))
            ends.append(of_blocks[which])
        return ends[0], ends[1]

    def _add_repeated(
        self, seen: SeenBlocks, first: Numbers, last: Numbers, alone: Places, counts: Places
    ) -> None:
        """Count the blocks that several leaves have; they are taken from what is `alone`."""
        if not seen.any_more_than_once():
            return
        numbering = seen.numbering()
        for begin in range(0, numbering.total, _BLOCKS_AT_ONCE):
            nr_blocks = min(_BLOCKS_AT_ONCE, numbering.total - begin)
            low = np.full(nr_blocks, np.iinfo(np.int32).max, dtype=np.int32)
            high = np.full(nr_blocks, NOBODY, dtype=np.int32)
            for piece in self._reader.read():
                starts = piece.entries.starts
                is_repeated = seen.more_than_once(piece.entries.values)
                cuts = nr_marked_before(is_repeated, starts)
                if begin == 0:
                    alone[piece.places] -= np.diff(cuts)
                owners = np.repeat(piece.places, np.diff(cuts))
                numbers = numbering.of(piece.entries.values[is_repeated]) - begin
                if nr_blocks < numbering.total:
                    here = (numbers >= 0) & (numbers < nr_blocks)
                    owners, numbers = owners[here], numbers[here]
                np.minimum.at(low, numbers, first[owners])
                np.maximum.at(high, numbers, last[owners])
            self._add(counts, low, high)

    def _add(
        self, counts: Places, first: Numbers, last: Numbers, nr_blocks: Places | None = None
    ) -> None:
        """Add blocks to the lowest branch that has both ends; None: one for each."""
        nr_places = len(self._parents)
        for begin in range(0, len(first), _ENDS_AT_ONCE):
            some = slice(begin, begin + _ENDS_AT_ONCE)
            weights = None if nr_blocks is None else nr_blocks[some]
            low, high = first[some].astype(np.int64), last[some].astype(np.int64)
            if nr_places**2 <= _ENDS_AT_ONCE:  # there are fewer pairs of places than blocks
                sums = np.bincount(low * nr_places + high, weights)
                pairs = np.flatnonzero(sums)
                low, high, weights = pairs // nr_places, pairs % nr_places, sums[pairs]
            branch = in_common(self._parents, self._depths, low, high)
            # Of float64, which has every number of blocks that a device can map exactly.
            sums = np.bincount(branch - NOBODY, weights, minlength=nr_places + 1)
            counts += sums[1:].astype(np.int64)
