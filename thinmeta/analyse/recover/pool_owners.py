"""The devices of a pool in each of its states that are in use."""

from thinmeta.analyse.recover.lost_nodes import Owner
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.device_table import read_device_table
from thinmeta.model.pool import Pool
from thinmeta.model.superblock import Superblock, read_superblock


def superblocks_in_use(pool: Pool) -> list[Superblock]:
    """Return the live superblock, and that of a held metadata snapshot if it is sound."""
    live = pool.live_superblock
    if not live.held_root:
        return [live]
    try:
        held = read_superblock(pool.source.device, live.held_root, ignore_unsupported=True)
    except DamagedMetadataError:
        return [live]
    return [live, held]


def owners_of_devices(pool: Pool, superblock: Superblock) -> list[Owner]:
    """Return the devices that a superblock leads to, those that have a mapping tree."""
    table = read_device_table(pool.source, superblock)
    found = [
        Owner(
            int(superblock.blocknr),
            device.device_id,
            device.mapping_root,
            device.mapped_blocks,
            device.snap_time,
            device.creation_time,
        )
        for device in table.devices
        if device.mapping_root is not None
    ]
    found += [
        Owner(int(superblock.blocknr), device_id, root, None, 0, 0)
        for device_id, root in table.without_details.items()
    ]
    return found
