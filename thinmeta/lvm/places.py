"""Where a logical volume lies: on which physical volumes, in bytes and as dmsetup's lines."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from thinmeta.device.extents import Extent, Extents, Stripes
from thinmeta.device.kernel import holders_of
from thinmeta.device.opening import open_to_read
from thinmeta.errors import InputError
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.group import LogicalVolume, LvmDisk, Segment, VolumeGroup
from thinmeta.lvm.label import FoundVolume
from thinmeta.lvm.spellings import dashed
from thinmeta.units import METADATA_BLOCK_BYTES, SECTOR_BYTES

FindVolume = Callable[[VolumeGroup, LvmDisk], FoundVolume[Disk]]


@dataclass(frozen=True, slots=True)
class TableLine:
    """A line of a device-mapper table; all in sectors of 512 bytes.

    Attributes:
        start: where it begins in the logical volume.
        length: how long it is.
        stripe_sectors: 0 for a linear target.
        areas: path that each physical volume had on its host, and the offset in it.
    """

    start: int
    length: int
    stripe_sectors: int
    areas: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """Return it as dmsetup takes it."""
        where = " ".join(f"{device} {offset}" for device, offset in self.areas)
        if not self.stripe_sectors:
            return f"{self.start} {self.length} linear {where}"
        striped = f"striped {len(self.areas)} {self.stripe_sectors}"
        return f"{self.start} {self.length} {striped} {where}"


class OnHost(NamedTuple):
    """What a pool is called on the host that it belongs to.

    Attributes:
        path: of the pool's device-mapper device.
        data: the logical volume that is its data device.
        data_table: where that lies on the physical volumes.
    """

    path: str
    data: str
    data_table: list[TableLine]


def table_lines(group: VolumeGroup, volume: LogicalVolume) -> list[TableLine]:
    """Return the device-mapper table that `volume` has when it is active.

    Raises:
        InputError: a segment is of another type than linear or striped.
    """
    return [
        TableLine(
            segment.start_extent * group.extent_sectors,
            segment.extent_count * group.extent_sectors,
            segment.stripe_sectors,
            tuple((_host_path(disk), sector) for disk, sector in areas),
        )
        for segment, areas in segments_of(group, volume)
    ]


def extents_of(
    group: VolumeGroup, volume: LogicalVolume, find: FindVolume, name: str, *, direct: bool
) -> Extents:
    """Open the bytes of `volume`.

    Args:
        group: it is in.
        volume: a linear or striped one.
        find: returns where a physical volume of the group is, or raises InputError.
        name: for messages.
        direct: read block devices past the page cache, where all is aligned to 4 KiB.

    Raises:
        InputError: a segment is of another type, or a physical volume is not there.
    """
    segments = segments_of(group, volume)
    where = {disk.id: find(group, disk) for _, areas in segments for disk, _ in areas}
    direct = direct and all(
        number % METADATA_BLOCK_BYTES == 0
        for segment, areas in segments
        for number in (
            segment.stripe_sectors * SECTOR_BYTES,
            group.extent_sectors * SECTOR_BYTES,
            *(where[disk.id].offset + sector * SECTOR_BYTES for disk, sector in areas),
        )
    )
    fds = {disk.fd: _opened(disk, direct=direct) for disk in {at.disk for at in where.values()}}

    def piece(segment: Segment, areas: list[tuple[LvmDisk, int]]) -> Extent | Stripes:
        length = segment.extent_count // len(areas) * group.extent_sectors * SECTOR_BYTES
        extents = tuple(
            Extent(fds[at.disk.fd], at.offset + sector * SECTOR_BYTES, length)
            for at, sector in ((where[disk.id], sector) for disk, sector in areas)
        )
        striped = segment.stripe_sectors
        return Stripes(extents, striped * SECTOR_BYTES) if striped else extents[0]

    return Extents(name, [piece(segment, areas) for segment, areas in segments])


def segments_of(
    group: VolumeGroup, volume: LogicalVolume
) -> list[tuple[Segment, list[tuple[LvmDisk, int]]]]:
    """Return each segment with its areas: physical volume, and sector from its start.

    Raises:
        InputError: a segment is of another type than linear or striped, or cannot be.
    """
    where = f"{group.name}/{volume.name}"
    end = 0
    found = []
    for segment in volume.segments:
        if segment.kind != "striped":
            raise InputError(
                f"{where}: has a segment of type {segment.kind}, and only linear and striped "
                "ones can be read in place; where LVM can, activate it and read the device"
            )
        if segment.start_extent != end:
            raise InputError(f"{where}: its segments do not follow each other at extent {end}")
        end += segment.extent_count
        extents = segment.extent_count // len(segment.areas)
        if segment.stripe_sectors and extents * group.extent_sectors % segment.stripe_sectors:
            raise InputError(f"{where}: its segment at extent {segment.start_extent} is no stripes")
        areas = []
        for name, first in segment.areas:
            disk = group.disks.get(name)
            if disk is None:
                raise InputError(f"{where}: lies on {name}, which is no physical volume")
            if first + extents > disk.pe_count:
                raise InputError(f"{where}: ends after the last extent of {name}")
            areas.append((disk, disk.pe_start + first * group.extent_sectors))
        found.append((segment, areas))
    return found


def active_holders(
    group: VolumeGroup, volume: LogicalVolume, disks: Iterable[Path], sysfs: Path
) -> list[str]:
    """Return the device-mapper names of what holds `volume` on this machine.

    Args:
        group: it is in.
        volume: the volume.
        disks: on which it is; copies of disks, in files, are held by nothing.
        sysfs: where the kernel tells about devices.
    """
    if not any(disk.is_block_device() or holders_of(disk, sysfs) for disk in disks):
        return []
    return [
        name.read_text().strip()
        for uuid in sysfs.glob("block/dm-*/dm/uuid")
        if uuid.read_text().startswith(f"LVM-{group.id}{volume.id}")
        for name in uuid.parents[1].glob("holders/*/dm/name")
    ]


def _host_path(disk: LvmDisk) -> str:
    known = disk.device.startswith("/") and " " not in disk.device
    return disk.device if known else f"/dev/disk/by-id/lvm-pv-uuid-{dashed(disk.id)}"


def _opened(disk: Disk, *, direct: bool) -> int:
    if not direct or not disk.path.is_block_device():
        return os.dup(disk.fd)
    try:
        return open_to_read(disk.path, direct=True)
    except OSError as error:
        raise InputError(f"{disk.path}: {error.strerror}") from error
