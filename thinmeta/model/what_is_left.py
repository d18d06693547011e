"""What is left of a damaged pool, as a pool like any other."""

from dataclasses import replace

from thinmeta.errors import OnDamage
from thinmeta.model.device_columns import Devices, DevicesById
from thinmeta.model.device_table import DeviceTable
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice


def salvaged(pool: Pool, losses: Losses, on_damage: OnDamage) -> Pool:
    """Return what is left of a pool: its devices, with the mappings that were found.

    A device whose details are lost is among them. Its times are later than those of all
    mappings, so that a pool that is made of this copies each block before it writes to
    it, once: the pool's own time is as late, or it would copy for ever.
    """
    left = pool.for_salvage(on_damage)
    superblock = left.superblock
    if any(loss.has_no_details for loss in losses.devices):
        superblock = superblock._replace(time=max(superblock.time, losses.newest + 1))
    return replace(left, superblock=superblock, known_devices=_salvaged_table(left, losses))


def _salvaged_table(pool: Pool, losses: Losses) -> DeviceTable:
    table = pool.device_table
    there = DevicesById(table.devices)
    superblock = pool.superblock
    later = losses.newest + 1
    devices = []
    for loss in losses.devices:
        tree = loss.tree
        if tree.device_id is None:
            continue
        known = there.get(tree.device_id) or ThinDevice(
            device_id=tree.device_id,
            mapped_blocks=0,
            transaction_id=max(0, superblock.transaction_id - 1),
            creation_time=later,
            snap_time=later,
            mapping_root=tree.root,
        )
        devices.append(known._replace(mapped_blocks=loss.found))
    return DeviceTable(Devices.of(devices), {}, table.lost, table.lost_details)
