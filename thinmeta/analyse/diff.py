"""What changed from one device to another: blocks added, changed and removed."""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage, DamageKind, OnDamage
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.schemas import block_time
from thinmeta.walk.changes import Change, ChangeRanges, ComparedBlocks, RangeJoiner, compared
from thinmeta.walk.difference import TwoTreeWindow, unshared_leaves, windows


class Relation(Enum):
    """How two devices came to differ, as far as the times of their mappings show.

    >>> import thinmeta
    >>> [relation.name for relation in thinmeta.Relation]
    ['IDENTICAL', 'DESCENDANT', 'DIVERGED', 'UNRELATED']
    """

    IDENTICAL = "identical"
    """They map the same blocks to the same data."""
    DESCENDANT = "descendant"
    """RIGHT comes from a snapshot of LEFT, or is LEFT later, and LEFT has stood still."""
    DIVERGED = "diverged"
    """They share data, and each has changed since they parted."""
    UNRELATED = "unrelated"
    """They share no data."""


class Summary(NamedTuple):
    """How many blocks of each kind, and how that came about.

    Where anything is lost, the numbers are those of the blocks that are not; `unknown`
    are blocks of one device where what the other mapped is lost, and nobody knows the
    `relation`.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     summary = pool.diff(1, 7).summary()
    >>> summary.same, summary.relation.name
    (577, 'IDENTICAL')

    Attributes:
        added: blocks that only RIGHT maps.
        changed: blocks that both map, to different data.
        removed: blocks that only LEFT maps.
        same: blocks that both map to the same data.
        unknown: blocks of one, where what the other mapped is lost.
        relation: how they came to differ; None where that is lost.
    """

    added: int
    changed: int
    removed: int
    same: int
    unknown: int
    relation: Relation | None


class Diff:
    """The difference of two devices; read anew each time it is asked for."""

    def __init__(
        self,
        left: ChosenDevice,
        right: ChosenDevice,
        *,
        by_data: bool = False,
        with_same: bool = False,
        is_complete: bool = True,
    ) -> None:
        """Choose what to compare.

        Args:
            left: the device to begin with.
            right: the one to end with; both of one pool.
            by_data: end a range where its data blocks do not go on.
            with_same: return ranges that are the same, too, for which all must be read.
            is_complete: whether nothing of either is lost. Else what is the same is
                counted by reading it all, for the details do not tell.
        """
        self.left = left
        self.right = right
        self._by_data = by_data
        self._with_same = with_same
        # A mapping root without details does not say how many mappings it has.
        are_known = left.device is not None and right.device is not None
        # No sound device is without a mapping tree: a device without blocks has an empty one.
        is_complete = is_complete and None not in (left.mapping_root, right.mapping_root)
        self._counts_by_details = are_known and is_complete
        self._is_complete = is_complete
        self._tally: _Tally | None = None

    def ranges(self) -> Iterator[ChangeRanges]:
        """Return the ranges in order, in bounded parts.

        Subtrees that both devices share are not read, unless what is the same is
        asked for, or only reading tells how much it is.

        Raises:
            DamagedMetadataError: a node is bad and the pool's `on_damage` raises;
                what precedes it has been returned.
        """
        joiner = RangeJoiner(by_data=self._by_data)
        tally = _Tally()
        for window in self._windows(prune=self._counts_by_details and not self._with_same):
            blocks = compared(window)
            self._mark_unknown(blocks)
            tally.add(window, blocks)
            if not self._with_same:
                blocks = blocks[blocks.change != Change.SAME]
            yield from joiner.feed(blocks)
        yield from joiner.close()
        self._tally = tally

    def summary(self) -> Summary:
        """Count the blocks; after `ranges` has ended, this reads nothing more.

        `same` is what the devices' details say they map, less what the ranges say;
        where LEFT and RIGHT disagree on it, `on_damage` is told.
        """
        if self._tally is None:
            for _ in self.ranges():
                pass
        tally = self._tally
        assert tally is not None
        same = self._same(tally) if self._counts_by_details else tally.count(Change.SAME)
        return Summary(
            added=tally.count(Change.ADDED),
            changed=tally.count(Change.CHANGED),
            removed=tally.count(Change.REMOVED),
            same=same,
            unknown=tally.count(Change.UNKNOWN),
            relation=self._relation(tally, same) if self._is_complete else None,
        )

    def _windows(self, *, prune: bool) -> Iterator[TwoTreeWindow]:
        source = self.left.pool.source._replace(nr_data_blocks=None)
        roots = self.left.mapping_root, self.right.mapping_root
        leaves = unshared_leaves(source, roots, prune=prune)
        return windows(source, *leaves, (_for_device(self.left), _for_device(self.right)))

    def _mark_unknown(self, blocks: ComparedBlocks) -> None:
        """Mark what is past the end of the data device, and all if a mapping tree is lost."""
        end = self.left.pool.source.nr_data_blocks
        if end is not None:
            blocks.change[(blocks.left >= end) | (blocks.right >= end)] = Change.UNKNOWN
        if None in (self.left.mapping_root, self.right.mapping_root):
            blocks.change[:] = Change.UNKNOWN

    def _same(self, tally: "_Tally") -> int:
        left, right = self.left.device, self.right.device
        assert left is not None
        assert right is not None
        same = left.mapped_blocks - tally.count(Change.CHANGED) - tally.count(Change.REMOVED)
        by_right = right.mapped_blocks - tally.count(Change.CHANGED) - tally.count(Change.ADDED)
        if same != by_right:
            self.left.pool.on_damage(
                Damage(
                    f"the details of device {left.device_id} leave {same} blocks that are the "
                    f"same, those of device {right.device_id} leave {by_right}",
                    kind=DamageKind.MAPPED_BLOCKS,
                )
            )
        return same

    def _relation(self, tally: "_Tally", same: int) -> Relation:
        """Tell from the times who changed since the two parted.

        A write maps its block with the pool's clock, which goes up with each
        snapshot: what LEFT mapped of its own must be older than all that RIGHT
        mapped of its own, and RIGHT's must be younger than LEFT's beginning.

        Source: `alloc_data_block()` and `__create_snap()`,
        drivers/md/dm-thin.c and dm-thin-metadata.c.
        """
        if not any(map(tally.count, (Change.ADDED, Change.CHANGED, Change.REMOVED))):
            return Relation.IDENTICAL
        if not same:
            return Relation.UNRELATED
        left, right = self.left.device, self.right.device
        if left is None or right is None:
            return Relation.DIVERGED
        newer = self.right.pool
        is_later_state = (
            left.device_id == right.device_id
            and self.left.pool.superblock is not newer.superblock
            and newer.superblock is newer.live_superblock
        )
        parted = min(tally.right_earliest, block_time.time(right.creation_time))
        left_created = block_time.time(left.creation_time)
        stood_still = tally.left_latest < parted and tally.right_earliest > left_created
        if is_later_state or (right.creation_time > left.creation_time and stood_still):
            return Relation.DESCENDANT
        return Relation.DIVERGED


class _Tally:
    """What one pass over all windows adds up to.

    Attributes:
        left_latest: the latest time of a mapping that LEFT has and RIGHT has not; -1 if none.
        right_earliest: the earliest that RIGHT has and LEFT has not; past all times if none.
    """

    def __init__(self) -> None:
        self.left_latest = -1
        self.right_earliest = block_time.MAX_TIME + 1
        self._counts = np.zeros(len(Change), dtype=np.int64)

    def add(self, window: TwoTreeWindow, blocks: ComparedBlocks) -> None:
        self._counts += np.bincount(blocks.change, minlength=len(Change))
        left = _own_times(window.left_values, blocks.change, blocks.is_left, Change.REMOVED)
        right = _own_times(window.right_values, blocks.change, blocks.is_right, Change.ADDED)
        if len(left):
            self.left_latest = max(self.left_latest, int(left.max()))
        if len(right):
            self.right_earliest = min(self.right_earliest, int(right.min()))

    def count(self, change: Change) -> int:
        return int(self._counts[change])


def _own_times(
    values: npt.NDArray[np.uint64],
    change: npt.NDArray[np.uint8],
    is_its: npt.NDArray[np.bool_] | None,
    alone: Change,
) -> npt.NDArray[np.uint64]:
    """Return the times of those of one side's mappings that the other has not."""
    its_change = change if is_its is None else change[is_its]
    times: npt.NDArray[np.uint64] = block_time.time(
        values[(its_change == Change.CHANGED) | (its_change == alone)]
    )
    return times


def _for_device(chosen: ChosenDevice) -> OnDamage:
    """Return the pool's policy, told of which device the damage is."""

    def tell(damage: Damage) -> None:
        device_id = chosen.device.device_id if chosen.device else None
        chosen.pool.on_damage(damage._replace(device_id=device_id))

    return tell
