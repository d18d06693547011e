"""Devices of past states beside those that a pool has now, as one pool: what undeletes them.

What the past devices have comes with them, but for data blocks that somebody else owns now.
Where a data block is another device's, too, by the same mapping, the kernel copies it before
either writes to it only if both were snapshotted after it was mapped. The devices say that, or
they are given a time that does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.fate import fates_of
from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.analyse.rival_devices import among_each_other
from thinmeta.errors import InputError
from thinmeta.model.device_columns import Devices, DevicesById
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.device_table import DeviceTable
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas import block_time
from thinmeta.units import MAX_DEVICE_ID, DeviceId, OnProgress
from thinmeta.walk.left_out import KeyRanges

LEFT_OUT = (Fate.TAKEN, Fate.UNKNOWN, Fate.PAST_END)
"""What does not come with a device: it is another's, or may be, or is not there."""


class Undeleted(NamedTuple):
    """A past device beside the live ones.

    Attributes:
        chosen: in its past state.
        device: as it is beside the others, under an id that is free.
        fates: what became of its blocks; where several devices that come back had one block,
            the others, too, own it.
    """

    chosen: ChosenDevice
    device: ThinDevice
    fates: Fates

    @property
    def nr_left_out(self) -> int:
        """How many of its mappings do not come with it."""
        return sum(self.fates.counts[each] for each in LEFT_OUT)

    @property
    def left_out(self) -> KeyRanges:
        """The origin blocks of these mappings."""
        return KeyRanges.of(self.fates.keys[np.isin(self.fates.fate, LEFT_OUT)])


@dataclass(frozen=True, slots=True)
class Undeletion:
    """A pool with devices that it had before.

    Attributes:
        pool: all devices together; what is to be left out is still in the past ones.
        undeleted: the past ones, in the order in which they were chosen.
        copying: ids of live devices that copy more before they write than they did.
    """

    pool: Pool
    undeleted: tuple[Undeleted, ...]
    copying: tuple[DeviceId, ...]

    @property
    def left_out(self) -> Mapping[int, KeyRanges]:
        """What is to be left out, of those devices where anything is, by their new ids."""
        return {each.device.device_id: each.left_out for each in self.undeleted if each.nr_left_out}


def undelete(
    live: Pool,
    chosen: Sequence[ChosenDevice],
    reserved: Collection[int] = (),
    on_progress: OnProgress | None = None,
) -> Undeletion:
    """Put past devices beside those that a pool has now.

    A device keeps its id where that is free, and else gets one above all.

    Args:
        live: the pool as it is now; its `on_damage` is told what is damaged of that.
        chosen: the devices, each in a state that is past; the details of each are known.
        reserved: further ids that are not free.
        on_progress: told of each piece of the live mapping trees that was read.

    Raises:
        DamagedMetadataError: something is damaged, and the `on_damage` of its pool raises.
        InputError: no id is free; or a device's blocks need a later time than the kernel has.
    """
    fates = among_each_other(chosen, fates_of(live, chosen, on_progress))
    table = live.device_table
    ids = _ids(table, chosen, reserved)
    later = live.superblock.time + 1
    now = DevicesById(table.devices)
    undeleted, copying = [], {}
    for each, found, device_id in zip(chosen, fates, ids, strict=True):
        device = each.device
        assert device is not None  # as the caller promises
        if _newest(found, Fate.KEPT, Fate.SHARED) >= device.snap_time:
            device = device._replace(snap_time=later)
        own = now.get(device.device_id)
        if own is not None and _newest(found, Fate.KEPT) >= own.snap_time:
            copying[own.device_id] = own._replace(snap_time=later)
        undeleted.append(Undeleted(each, device._replace(device_id=device_id), found))
    together = {each.device_id: each for each in table.devices}
    together |= copying | {each.device.device_id: each.device for each in undeleted}
    superblock = live.superblock
    if any(each.snap_time == later for each in together.values()):
        _refuse_late(live, later)
        superblock = superblock._replace(time=later)
    devices = Devices.of([together[each] for each in sorted(together)])
    known = table._replace(devices=devices)
    pool = replace(live, superblock=superblock, known_devices=known)
    return Undeletion(pool, tuple(undeleted), tuple(copying))


def _newest(fates: Fates, *some: Fate) -> int:
    """Return the newest time of the mappings with some fates; -1 without any."""
    values = fates.values[np.isin(fates.fate, some)]
    return int(block_time.time(values).max()) if len(values) else -1


def _refuse_late(live: Pool, time: int) -> None:
    if time > block_time.MAX_TIME:
        raise InputError(
            f"{live.source.device.name}: the pool's time is {time - 1}, the last that there is: "
            "what the devices share cannot be told from what they own"
        )


def _ids(
    table: DeviceTable, chosen: Sequence[ChosenDevice], reserved: Collection[int]
) -> list[DeviceId]:
    """Return an id for each device: its own where that is free, or one above all."""
    used = {*table.devices.ids.tolist(), *table.without_details, *reserved}
    own = {each.device_id for each in chosen if each.device_id is not None}
    above = max((each for each in used | own if each <= MAX_DEVICE_ID), default=0) + 1
    found = []
    for each in chosen:
        device_id = each.device_id
        if device_id is None or device_id in used or device_id > MAX_DEVICE_ID:
            device_id = DeviceId(above if above <= MAX_DEVICE_ID else _lowest_free(used | own))
            above = max(above, device_id + 1)
        used.add(device_id)
        found.append(device_id)
    return found


def _lowest_free(used: Collection[int]) -> int:
    free = next((each for each in range(MAX_DEVICE_ID + 1) if each not in used), None)
    if free is None:
        raise InputError("all device ids are in use")
    return free
