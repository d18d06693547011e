"""How much each device maps, and how much of that nothing else maps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.leaf_counts import Ask, LeafCounts, count_leaves
from thinmeta.errors import Damage, DamageKind
from thinmeta.model.device_columns import Devices
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.units import LAST_KEY, DeviceId, OnProgress
from thinmeta.walk.bad_leaves import BadLeaves
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.forest import Forest
from thinmeta.walk.nodes import Mask
from thinmeta.walk.ragged import Places, places_among

if TYPE_CHECKING:
    from thinmeta.model.losses import Losses

Numbers = npt.NDArray[Any]

ROWS_AT_ONCE = 16384
_LEAVES_AT_ONCE = 2048


class DeviceUsage(NamedTuple):
    """What one device maps; what was not asked for is 0.

    Attributes:
        device: as the pool lists it.
        mapped: blocks that it maps, counted; its details may say otherwise.
        exclusive: those whose data block is mapped nowhere else in the pool.
        highest: the last block that it maps; None if it maps nothing.
        new: those mapped since its snap time, which no snapshot of it has.
        inherited: those older than the device itself, which was created as a snapshot.
        runs: neighbours of one time, joined.
        is_complete: whether nothing of the device is lost. Else there is more of `mapped`
            and `new`, `highest` may be higher, and `runs` are those of what is left.
        is_exact: whether nothing of the pool is lost. Else `exclusive` is the most that
            there can be, and `shared` the least.
    """

    device: ThinDevice
    mapped: int
    exclusive: int
    highest: int | None
    new: int
    inherited: int
    runs: int
    is_complete: bool = True
    is_exact: bool = True

    @property
    def shared(self) -> int:
        """Those whose data block is mapped elsewhere, too."""
        return max(0, self.mapped - self.exclusive)


@dataclass(frozen=True, slots=True, eq=False)
class Usages(Columnar):
    """What devices map, as columns; each is a `DeviceUsage` only while somebody looks at it.

    Attributes:
        devices: shape `(n,)`.
        mapped, exclusive, new, inherited, runs: as `DeviceUsage` has them, shape `(n,)`,
            dtype uint64; or Python's ints, where bounds are larger than that.
        highest: likewise, but 0 for one that maps nothing.
        is_complete, is_exact: likewise, dtype bool.
    """

    devices: Devices
    mapped: Numbers
    exclusive: Numbers
    highest: Numbers
    new: Numbers
    inherited: Numbers
    runs: Numbers
    is_complete: Mask
    is_exact: Mask

    @classmethod
    def unread(cls, devices: Devices) -> Self:
        """Return what is known before any mapping was read: the details' counts."""
        mapped = devices.details["mapped_blocks"]
        exclusive, highest, new, inherited, runs = np.zeros((5, len(devices)), dtype=np.uint64)
        known = np.ones(len(devices), dtype=np.bool_)
        return cls(devices, mapped, exclusive, highest, new, inherited, runs, known, known)

    @property
    def shared(self) -> Numbers:
        """Those whose data block is mapped elsewhere, too."""
        shared: Numbers = np.where(self.mapped > self.exclusive, self.mapped - self.exclusive, 0)
        return shared

    def __iter__(self) -> Iterator[DeviceUsage]:
        """Return the rows one by one."""
        for begin in range(0, len(self), ROWS_AT_ONCE):
            some = self[begin : begin + ROWS_AT_ONCE]
            columns = (getattr(some, name).tolist() for name in self._names()[1:])
            for device, mapped, exclusive, highest, *rest in zip(
                some.devices, *columns, strict=True
            ):
                yield DeviceUsage(device, mapped, exclusive, highest if mapped else None, *rest)


def listed(pool: Pool) -> Devices:
    """Return the devices by ascending id; what only the mapping tree has lost does not matter.

    Raises:
        DamagedMetadataError: the details tree is damaged, and the pool's `on_damage` raises.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    table = pool.device_table
    for damage in (*table.lost_details, *table.disagreements()):
        pool.on_damage(damage)
    pool.verify_unchanged()
    return table.devices


def usage(pool: Pool, ask: Ask = Ask.ALL, *, on_progress: OnProgress | None = None) -> Usages:
    """Return what each device of the pool maps, by ascending id.

    Devices that only the mapping tree has are not returned, but what they map is
    not exclusive to another.

    Args:
        pool: in the state to look at.
        ask: what to count besides mappings.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises; else
            what the node held is left out.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.

    Source:
        `__snapshotted_since()`, drivers/md/dm-thin-metadata.c (Linux v6.6): a block is
        shared while the device's snap time is later than the mapping's time.
    """
    table = pool.device_table
    for damage in table.damages():
        pool.on_damage(damage)
    trees = MappingTrees.of(pool)
    counts = count_leaves(pool.source, trees.forest, ask, on_progress)
    found = _with_sums(Usages.unread(table.devices), trees, counts, ask)
    _tell(pool, trees, found, trees.bad_leaves(counts.codes))
    pool.verify_unchanged()
    return found


def _with_sums(rows: Usages, of_all: MappingTrees, counts: LeafCounts, ask: Ask) -> Usages:
    """Return `rows` with what their trees hold together; a leaf with a code counts nothing.

    Args:
        rows: of the devices.
        of_all: all trees; some may be those of devices that are not listed.
        counts: of their leaves.
        ask: what was counted.
    """
    forest = of_all.forest
    trees, is_there = places_among(of_all.ids, rows.devices.ids)
    every = len(of_all.ids) == len(rows) and bool(is_there.all())

    def column(of_trees: npt.NDArray[Any]) -> Numbers:
        numbers: Numbers = of_trees.view(np.uint64)
        if every:
            return numbers
        return np.where(is_there, np.append(numbers, np.uint64(0))[trees], np.uint64(0))

    rows = replace(
        rows,
        mapped=column(forest.totals(counts.mapped)),
        highest=column(forest.highest(counts.last_key)),
    )
    if Ask.EXCLUSIVE in ask:
        rows = replace(rows, exclusive=column(forest.totals(counts.exclusive)))
    if ask & (Ask.TIMES | Ask.RUNS):
        _count_by_tree(rows, trees, forest, counts, ask)
    return rows


def _count_by_tree(
    rows: Usages, trees: Places, forest: Forest, counts: LeafCounts, ask: Ask
) -> None:
    """Set what depends on the device, or on which leaf follows which."""
    filled = np.flatnonzero(rows.mapped)
    details, begin = rows.devices.details, 0
    for some in forest.few_at_once(trees[filled], _LEAVES_AT_ONCE):
        here = filled[begin : begin + len(some)]
        begin += len(some)
        leaves, owners = forest.leaf_places_of(some)
        if Ask.TIMES in ask:
            snapped, created = (
                details[name][here] for name in ("snapshotted_time", "creation_time")
            )
            rows.new[here] = counts.times.since(snapped, leaves, owners)
            rows.inherited[here] = rows.mapped[here] - counts.times.since(
                created, leaves, owners
            ).view(np.uint64)
        if Ask.RUNS in ask:
            rows.runs[here] = counts.nr_runs(leaves, owners, len(some))


def _tell(pool: Pool, trees: MappingTrees, found: Usages, bad: BadLeaves) -> None:
    """Tell of what is bad in each tree, and where the details say another number of mappings."""
    stored = found.devices.details["mapped_blocks"]
    differs = np.flatnonzero(found.devices.has_root & (found.mapped != stored))
    at = np.searchsorted(trees.ids, found.devices.ids[differs])
    other = dict(zip(at.tolist(), differs.tolist(), strict=True))
    for tree in sorted(bad.trees | other.keys()):
        for damage in bad.of(tree):
            pool.on_damage(damage)
        if tree in other:
            place = other[tree]
            pool.on_damage(
                Damage(
                    f"has {found.mapped[place]} mappings, but its details say {stored[place]}",
                    device_id=DeviceId(int(trees.ids[tree])),
                    kind=DamageKind.MAPPED_BLOCKS,
                )
            )


def bounded(left: Pool, rows: Usages, losses: "Losses") -> Usages:
    """Return what `usage` said of what is `left` of a pool, as bounds for what there was."""
    if losses.is_complete:
        return rows
    loss_of = {loss.tree.device_id: loss for loss in losses.devices}
    found = [loss_of.get(device_id) for device_id in rows.devices.ids.tolist()]
    most = [
        exclusive + (0 if loss is None else loss.at_most_missing)
        for exclusive, loss in zip(rows.exclusive.tolist(), found, strict=True)
    ]
    there_are = left.source.nr_data_blocks
    if there_are is not None:
        most = [min(number, there_are) for number in most]
    complete = [loss is not None and loss.is_complete for loss in found]
    return replace(
        rows,
        exclusive=np.array(most, dtype=object if max(most, default=0) > LAST_KEY else np.uint64),
        is_complete=np.array(complete, dtype=np.bool_),
        is_exact=np.zeros(len(rows), dtype=np.bool_),
    )
