"""The images of a raid1 that has a pool's metadata: is another one newer than the one read?"""

from collections.abc import Iterator
from contextlib import closing, suppress

import numpy as np

from thinmeta.device.blocks import BlockBatch, BlockDevice
from thinmeta.errors import InputError
from thinmeta.lvm.given_disks import GivenDisks
from thinmeta.lvm.group import LogicalVolume, VolumeGroup
from thinmeta.lvm.places import extents_of
from thinmeta.schemas.decode import checked_superblock
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION

_FIRST = np.array([SUPERBLOCK_LOCATION], dtype=np.uint64)


def newer_image(
    group: VolumeGroup, volume: LogicalVolume, given: GivenDisks, first: BlockBatch
) -> str | None:
    """Say which other image of a raid1 has a later superblock; None if none has.

    Args:
        group: it is in.
        volume: the metadata, be it a raid1, what is cached over one, or anything else.
        given: the disks.
        first: its first block, as it was read.
    """
    read = _transaction_of(first)
    later = [
        (transaction_id, image)
        for image in _images(group, volume)
        if (transaction_id := _transaction_in(group, image, given)) is not None
        and (read is None or transaction_id > read)
    ]
    if not later:
        return None
    transaction_id, image = max(later, key=lambda each: each[0])
    what = "has no sound superblock" if read is None else f"is at transaction {read}"
    return (
        f"{group.name}/{volume.name}: the image that is read {what}, and {image.name} is at "
        f"{transaction_id}: `--metadata-lv {group.name}/{image.name}` reads that"
    )


def _images(group: VolumeGroup, volume: LogicalVolume) -> Iterator[LogicalVolume]:
    """Yield the images of a raid1, also of one that is below a cache."""
    seen = {volume.name}
    while volume.segments and len(legs := volume.segments[0].legs) == 1 and legs[0] not in seen:
        seen.add(legs[0])
        volume = group.volume(legs[0])
    for name in volume.segments[0].legs if volume.segments else ():
        yield group.volume(name)


def _transaction_in(group: VolumeGroup, image: LogicalVolume, given: GivenDisks) -> int | None:
    with suppress(InputError):  # its disk is not there, or it is of a type that is not read
        extents = extents_of(group, image, given, image.name, direct=True)
        with closing(BlockDevice.over(extents)) as device:
            return _transaction_of(device.read(_FIRST))
    return None


def _transaction_of(first: BlockBatch) -> int | None:
    if first.faults[0]:
        return None
    fields, fault = checked_superblock(first.rows[0], SUPERBLOCK_LOCATION)
    return None if fault else int(fields.trans_id)
