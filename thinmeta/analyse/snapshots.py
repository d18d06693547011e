"""The forest of snapshots: which device was the origin of which, as far as it can be inferred.

The metadata does not say it. It says, for each device, the pool's clock when it was
created and when it was last snapshotted; and the clock goes up by one with each
snapshot, which is created at the new time.

* A device with mappings older than itself was created as a snapshot.
* Its origin is older than it, and was last snapshotted when it was created or later.
* Whatever both have mapped from before, at the same block, must be the same.
* If the origin's snap time is the snapshot's creation time, it cannot be another.
  Else it is the device that still shares most with the snapshot; of equals, the one
  created last.

Source: `__create_snap()` and `__set_snapshot_details()`, drivers/md/dm-thin-metadata.c
(Linux v6.6).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from thinmeta.analyse.leaf_counts import Ask
from thinmeta.analyse.usage import DeviceUsage, bounded, usage
from thinmeta.errors import Damage
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas import block_time
from thinmeta.units import DeviceId, OnProgress
from thinmeta.walk.difference import TwoTreeWindow, unshared_leaves, windows
from thinmeta.walk.nodes import Keys, Mask, Metadata


class Basis(Enum):
    """What tells a snapshot's origin."""

    CLOCK = "clock"
    """It was last snapshotted when the snapshot was created."""
    SHARING = "sharing"
    """It could be the origin by its times, and shares most with the snapshot."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A device's place in the forest.

    Attributes:
        usage: what it maps, and what of that nothing else maps.
        parent_id: its origin; None if it has none, or the origin is not there any more.
        basis: how the origin is known; None without one.
        shares_with: where a snapshot's origin is gone: the device that shares most with
            it and does not come from it; None if nothing shares.
    """

    usage: DeviceUsage
    parent_id: DeviceId | None = None
    basis: Basis | None = None
    shares_with: DeviceId | None = None

    @property
    def is_snapshot(self) -> bool:
        """Whether it has mappings that are older than itself."""
        return self.usage.inherited > 0


def snapshots(
    pool: Pool, *, losses: Losses | None = None, on_progress: OnProgress | None = None
) -> list[Snapshot]:
    """Return the place of each device in the forest of snapshots, by ascending id.

    Where the times leave only one origin, no mappings are compared but with that one;
    trees are compared where they part, so the cost follows what was written since.

    Args:
        pool: in the state to look at.
        losses: what is lost of the pool, by which the usages become bounds; None if nothing is.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    rows = usage(pool, Ask.EXCLUSIVE | Ask.TIMES, on_progress=on_progress)
    family = _Family(pool, [row for row in rows if row.shared])
    placed = {row.device.device_id: family.with_origin(row) for row in rows}
    for device_id, each in placed.items():
        if each.is_snapshot and each.parent_id is None:
            own = _with_descendants(device_id, placed.values())
            placed[device_id] = replace(each, shares_with=family.closest(each.usage, own))
    pool.verify_unchanged()
    if losses is None:
        return list(placed.values())
    rows = bounded(pool, rows, losses)
    return [replace(each, usage=row) for each, row in zip(placed.values(), rows, strict=True)]


@dataclass(frozen=True, slots=True)
class _Likeness:
    """How many of a snapshot's inherited mappings a device has, and how many it contradicts."""

    shared: int
    contradicted: int


class _Family:
    """The devices that share anything, compared with each other."""

    def __init__(self, pool: Pool, rows: list[DeviceUsage]) -> None:
        self._source = pool.source
        self._rows = rows
        self._known: dict[tuple[int, int], _Likeness] = {}

    def with_origin(self, row: DeviceUsage) -> Snapshot:
        if not row.inherited or not row.shared:
            return Snapshot(row)
        created = row.device.creation_time
        older = [
            other.device
            for other in self._rows
            if other.device.creation_time < created <= other.device.snap_time
        ]
        on_time = [device for device in older if device.snap_time == created]
        later = [device for device in older if device.snap_time > created]
        for devices, basis in ((on_time, Basis.CLOCK), (later, Basis.SHARING)):
            fitting = [device for device in devices if not self._like(row, device).contradicted]
            if (origin := self._most_alike(row, fitting)) is not None:
                return Snapshot(row, origin, basis)
        return Snapshot(row)

    def closest(self, row: DeviceUsage, but: set[DeviceId]) -> DeviceId | None:
        """Return the device that has most of what `row` inherited."""
        others = [each.device for each in self._rows if each.device.device_id not in but]
        return self._most_alike(row, others) if row.shared else None

    def _most_alike(self, row: DeviceUsage, devices: list[ThinDevice]) -> DeviceId | None:
        best = max(
            devices,
            key=lambda device: (self._like(row, device).shared, device.creation_time),
            default=None,
        )
        return best.device_id if best and self._like(row, best).shared else None

    def _like(self, row: DeviceUsage, other: ThinDevice) -> _Likeness:
        pair = row.device.device_id, other.device_id
        if pair not in self._known:
            self._known[pair] = _compare(self._source, row, other)
        return self._known[pair]


def _compare(source: Metadata, row: DeviceUsage, other: ThinDevice) -> _Likeness:
    created = row.device.creation_time
    roots = row.device.mapping_root, other.mapping_root
    left, right = unshared_leaves(source, roots, prune=True)
    missing = contradicted = 0
    for window in windows(source, left, right, (_known_already, _known_already)):
        inherited = block_time.time(window.left_values) < created
        values, is_mapped = _at(window.left_keys, window)
        same = is_mapped & (
            block_time.data_block(values) == block_time.data_block(window.left_values)
        )
        older = is_mapped & (block_time.time(values) < created)
        missing += int(np.count_nonzero(inherited & ~same))
        contradicted += int(np.count_nonzero(inherited & older & ~same))
    return _Likeness(row.inherited - missing, contradicted)


def _at(keys: Keys, window: TwoTreeWindow) -> tuple[Keys, Mask]:
    """Return what the right side has at `keys`, and whether it has anything."""
    if not len(window.right_keys):
        return np.zeros(len(keys), dtype=np.uint64), np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(window.right_keys, keys), len(window.right_keys) - 1)
    return window.right_values[at], window.right_keys[at] == keys


def _known_already(damage: Damage) -> None:
    """Pass over `damage`, which was told when the usage was counted."""


def _with_descendants(device_id: DeviceId, placed: Iterable[Snapshot]) -> set[DeviceId]:
    """Return the device and all that come from it, directly or not."""
    found = {device_id}
    by_creation = sorted(placed, key=lambda each: each.usage.device.creation_time)
    for each in by_creation:  # an origin is older than its snapshots
        if each.parent_id in found:
            found.add(each.usage.device.device_id)
    return found
