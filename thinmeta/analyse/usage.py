"""How much each device maps, and how much of that nothing else maps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thinmeta.analyse.leaf_counts import Ask, LeafCounts, count_leaves
from thinmeta.errors import Damage, DamageKind, OnDamage
from thinmeta.model.pool import Pool
from thinmeta.model.salvage import DeviceLoss, Losses
from thinmeta.model.thin_device import ThinDevice
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.bad_leaves import BadLeaves
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import OnProgress, read_tree
from thinmeta.walk.nodes import DETAILS, MAPPINGS


@dataclass(frozen=True, slots=True)
class DeviceUsage:
    """What one device maps; what was not asked for is 0.

    Attributes:
        device: as the pool lists it.
        mapped: blocks that it maps, counted; its details may say otherwise.
        exclusive: those whose data block is mapped nowhere else in the pool.
        highest: the last block that it maps; None if it maps nothing.
        new: those mapped since its snap time, which no snapshot of it has.
        inherited: those older than the device itself, which was created as a snapshot.
        runs: neighbours of one time joined, as `ThinDevice.runs()` does.
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


def listed(pool: Pool) -> list[ThinDevice]:
    """Return the devices by ascending id; what only the mapping tree has lost does not matter.

    Raises:
        DamagedMetadataError: the details tree is damaged, and the pool's `on_damage` raises.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    read_tree(pool.source, pool.superblock.device_details_root, DETAILS, on_damage=pool.on_damage)
    for damage in pool.device_table.disagreements():
        pool.on_damage(damage)
    pool.verify_unchanged()
    return list(pool.device_table.devices)


def usage(
    pool: Pool, ask: Ask = Ask.ALL, *, on_progress: OnProgress | None = None
) -> list[DeviceUsage]:
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
    for damage in [*table.lost, *table.disagreements()]:
        pool.on_damage(damage)
    roots = _roots(pool)
    forest = grow(pool.source, np.array(list(roots.values()), dtype=np.uint64), MAPPINGS)
    counts = count_leaves(pool.source, forest, ask, on_progress)
    sums = _Sums(forest, counts, ask)
    bad = BadLeaves(forest, counts.codes)
    devices = {device.device_id: device for device in table.devices}
    found = {device.device_id: replace(unread(device), mapped=0) for device in table.devices}
    for tree, device_id in enumerate(roots):
        for damage in bad.of(tree):
            pool.on_damage(replace(damage, device_id=device_id))
        if device_id in devices:
            found[device_id] = sums.of_device(devices[device_id], tree)
            _compare(found[device_id], pool.on_damage)
    pool.verify_unchanged()
    return list(found.values())


def bounded(rows: Sequence[DeviceUsage], losses: Losses) -> list[DeviceUsage]:
    """Return what `usage` said of what is left, as bounds for what there was."""
    if losses.is_complete:
        return list(rows)
    loss_of = {loss.tree.device_id: loss for loss in losses.devices}
    return [_bounded(row, loss_of.get(row.device.device_id)) for row in rows]


def _bounded(row: DeviceUsage, loss: DeviceLoss | None) -> DeviceUsage:
    if loss is None:
        return replace(row, is_complete=False, is_exact=False)
    most = row.exclusive + loss.at_most_missing
    there_are = row.device.source.nr_data_blocks
    return replace(
        row,
        exclusive=most if there_are is None else min(most, there_are),
        is_complete=loss.is_complete,
        is_exact=False,
    )


def unread(device: ThinDevice) -> DeviceUsage:
    """Return what is known of a device before any mapping was read: its details' count."""
    return DeviceUsage(device, device.mapped_blocks, 0, None, 0, 0, 0)


def _roots(pool: Pool) -> dict[DeviceId, MetadataBlock]:
    """Return the mapping trees of all devices, also of those without details."""
    table = pool.device_table
    return {
        device.device_id: device.mapping_root
        for device in table.devices
        if device.mapping_root is not None
    } | table.unlisted


class _Sums:
    """What trees hold together; a leaf with a code counts nothing."""

    def __init__(self, forest: Forest, counts: LeafCounts, ask: Ask) -> None:
        self._forest, self._counts, self._ask = forest, counts, ask
        self._mapped = forest.totals(counts.mapped).tolist()
        self._exclusive = forest.totals(counts.exclusive).tolist()
        self._highest = forest.highest(counts.last_key).tolist()

    def of_device(self, device: ThinDevice, tree: int) -> DeviceUsage:
        mapped, counts = self._mapped[tree], self._counts
        new = inherited = runs = 0
        if self._ask & (Ask.TIMES | Ask.RUNS) and mapped:
            places = self._forest.leaf_places(tree)
            if Ask.TIMES in self._ask:
                new = counts.times.since(device.snap_time, places)
                inherited = mapped - counts.times.since(device.creation_time, places)
            if Ask.RUNS in self._ask:
                runs = counts.nr_runs(places)
        return DeviceUsage(
            device,
            mapped=mapped,
            exclusive=self._exclusive[tree],
            highest=self._highest[tree] if mapped else None,
            new=new,
            inherited=inherited,
            runs=runs,
        )


def _compare(counted: DeviceUsage, on_damage: OnDamage) -> None:
    device = counted.device
    if counted.mapped != device.mapped_blocks:
        on_damage(
            Damage(
                f"has {counted.mapped} mappings, but its details say {device.mapped_blocks}",
                device_id=device.device_id,
                kind=DamageKind.MAPPED_BLOCKS,
            )
        )
