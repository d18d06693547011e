"""A pool at a glance: what the superblock says, how full the pool is, what that means."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from thinmeta.errors import Damage, DamagedMetadataError, raise_damage
from thinmeta.model.pool import Pool
from thinmeta.model.state import AnyState, State
from thinmeta.model.superblock import SpaceMapRoot, Superblock
from thinmeta.units import METADATA_BLOCK_BYTES, SECTOR_BYTES

_MAX_RESERVE = 4096
"""Blocks: 16 MiB. Source: `__set_metadata_reserve()`, drivers/md/dm-thin-metadata.c (v4.20 on)."""

_MAX_LOW_WATER = 1024
"""Blocks: 4 MiB. Source: `calc_metadata_threshold()`, drivers/md/dm-thin.c."""

_NEARLY_FULL_PERCENT = 80
"""Where LVM begins to warn. Source: `WARNING_THRESH`, lvm2's dmeventd_thin.c."""


class Condition(Enum):
    """What an administrator should know of a pool."""

    NEEDS_CHECK = "needs_check"
    """The kernel met an error in the metadata and keeps the pool read-only."""

    DATA_FULL = "data_full"
    """No data block is free."""

    DATA_NEARLY_FULL = "data_nearly_full"
    """At least 80 % of the data blocks are in use, which is where LVM begins to warn."""

    METADATA_FULL = "metadata_full"
    """Nothing but the kernel's reserve is free."""

    METADATA_NEARLY_FULL = "metadata_nearly_full"
    """So little is free that the kernel asks for more: 4 MiB, or a quarter of it all."""

    SNAPSHOT_HELD = "snapshot_held"
    """A metadata snapshot is held, and with it what the pool would have freed since."""


@dataclass(frozen=True, slots=True)
class Space:
    """The blocks of the data or the metadata device, as the live superblock counts them.

    Attributes:
        block_bytes: of one block.
        nr_blocks: in all.
        used: with a ref count above 0.
        reserved: that the kernel keeps for itself.
    """

    block_bytes: int
    nr_blocks: int
    used: int
    reserved: int = 0

    @property
    def free(self) -> int:
        """Blocks that can still be had; `dmsetup status` counts reserved ones as used."""
        return max(0, self.nr_blocks - self.used - self.reserved)


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """A pool at a glance.

    Attributes:
        state: the one that was read.
        superblock: of that state.
        data: the live pool's, whatever the state.
        metadata: likewise.
        nr_devices: in the state; None if damage hides some.
        mapped_blocks: of all devices, as their details say; None likewise.
        data_blocks_above_1: data blocks with a ref count above 1 in the data space
            map. It counts leaves, not devices: a block in a leaf that devices share
            counts once. None where damage hides some, and in any other state
            than the live one, which alone has space maps.
        conditions: what to know.
        lost: damage that hides numbers.
        disagreements: devices that only one of the two device trees has.
    """

    state: AnyState
    superblock: Superblock
    data: Space
    metadata: Space
    nr_devices: int | None
    mapped_blocks: int | None
    data_blocks_above_1: int | None
    conditions: tuple[Condition, ...]
    lost: tuple[Damage, ...]
    disagreements: tuple[Damage, ...]


def describe(pool: Pool) -> PoolInfo:
    """Describe a pool; reads no mappings.

    Damage hides numbers and raises nothing; the pool's `on_damage` is not asked.
    """
    live = pool.live_superblock
    data = _space(live.data_space_map, live.data_block_sectors * SECTOR_BYTES)
    metadata = replace(
        _space(live.metadata_space_map, METADATA_BLOCK_BYTES),
        reserved=min(_MAX_RESERVE, live.metadata_space_map.nr_blocks // 10),
    )
    table = pool.device_table
    mapped = table.devices.details["mapped_blocks"]
    lost = list(table.lost)
    above_1 = None
    if pool.state is State.LIVE:
        counts = replace(pool.data_ref_counts, on_damage=raise_damage)
        above_1 = unless_lost(counts.nr_shared, lost)
    return PoolInfo(
        state=pool.state,
        superblock=pool.superblock,
        data=data,
        metadata=metadata,
        nr_devices=None if table.lost else len(table.devices),
        mapped_blocks=None if table.lost else sum(mapped.tolist()),
        data_blocks_above_1=above_1,
        conditions=_conditions(live, data, metadata),
        lost=tuple(lost),
        disagreements=tuple(table.disagreements()),
    )


_Read = TypeVar("_Read")


def unless_lost(read: Callable[[], _Read], lost: list[Damage]) -> _Read | None:
    """Return what `read` returns; None, and the damage added to `lost`, if damage ends it."""
    try:
        return read()
    except DamagedMetadataError as error:
        lost.append(error.damage)
        return None


def _space(root: SpaceMapRoot, block_bytes: int) -> Space:
    return Space(block_bytes, root.nr_blocks, root.nr_allocated)


def _conditions(live: Superblock, data: Space, metadata: Space) -> tuple[Condition, ...]:
    low_water = min(_MAX_LOW_WATER, metadata.nr_blocks // 4)
    holds = {
        Condition.NEEDS_CHECK: live.needs_check,
        Condition.DATA_FULL: not data.free,
        Condition.DATA_NEARLY_FULL: 100 * data.used >= _NEARLY_FULL_PERCENT * data.nr_blocks,
        Condition.METADATA_FULL: not metadata.free,
        Condition.METADATA_NEARLY_FULL: metadata.nr_blocks - metadata.used <= low_water,
        Condition.SNAPSHOT_HELD: bool(live.held_root),
    }
    if holds[Condition.DATA_FULL]:
        holds[Condition.DATA_NEARLY_FULL] = False
    if holds[Condition.METADATA_FULL]:
        holds[Condition.METADATA_NEARLY_FULL] = False
    return tuple(condition for condition, is_so in holds.items() if is_so)
