"""Where a logical volume lies: on which physical volumes, in bytes and as dmsetup's lines."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from thinmeta.device.extents import Extent, Extents, Stripes
from thinmeta.device.kernel import holders_of
from thinmeta.device.opening import open_to_read
from thinmeta.errors import InputError
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.given_disks import GivenDisks
from thinmeta.lvm.group import LogicalVolume, LvmDisk, Segment, VolumeGroup
from thinmeta.lvm.spellings import dashed
from thinmeta.units import METADATA_BLOCK_BYTES, SECTOR_BYTES

_MOST_LEVELS = 8
"""A volume of a cache of raid1 images has three."""

_INSTEAD = {
    "mirror": "read one of its legs, VG/LV_mimage_0, by `--metadata-lv` or as --data",
    "vdo": "it is deduplicated and compressed",
    "vdo-pool": "it is deduplicated and compressed",
    "error": "LVM put it where a physical volume is lost",
    "zero": "it holds nothing",
}
"""What is to be said of types that cannot be read in place."""

PlacedSegment = tuple[Segment, list[tuple[LvmDisk, int]]]
"""A segment, and of each area the physical volume and the sector from its start."""


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
    """Return a device-mapper table to read `volume` by, of its first leg if it has several.

    Raises:
        InputError: a segment is of a type that cannot be read in place.
    """
    segments, _ = next(legs_of(group, volume))
    return [
        TableLine(
            segment.start_extent * group.extent_sectors,
            segment.extent_count * group.extent_sectors,
            segment.stripe_sectors,
            tuple((_host_path(disk), sector) for disk, sector in areas),
        )
        for segment, areas in segments
    ]


def extents_of(
    group: VolumeGroup, volume: LogicalVolume, given: GivenDisks, name: str, *, direct: bool
) -> Extents:
    """Open the bytes of `volume`; what is on a disk that is missing cannot be read.

    Args:
        group: it is in.
        volume: a linear or striped one, or one that such a one has all the bytes of.
        given: the disks.
        name: for messages.
        direct: read block devices past the page cache, where all is aligned to 4 KiB.

    Raises:
        InputError: a segment is of another type, or none of its disks is there.
    """
    segments, notes = _best_leg(group, volume, given)
    placed = {disk.id: given.place(group, disk) for _, areas in segments for disk, _ in areas}
    where = {disk_id: at for disk_id, (at, _) in placed.items() if at is not None}
    odd = dict.fromkeys(note for _, note in placed.values() if note)
    if not where and odd:
        raise InputError(next(iter(odd)))
    direct = (
        direct
        and len(where) == len(placed)
        and all(
            number % METADATA_BLOCK_BYTES == 0
            for segment, areas in segments
            for number in (
                segment.stripe_sectors * SECTOR_BYTES,
                group.extent_sectors * SECTOR_BYTES,
                *(where[disk.id].offset + sector * SECTOR_BYTES for disk, sector in areas),
            )
        )
    )
    fds = {disk.fd: _opened(disk, direct=direct) for disk in {at.disk for at in where.values()}}
    starts = {disk_id: (fds[at.disk.fd], at.offset) for disk_id, at in where.items()}
    missing = {}
    for disk_id, (at, note) in placed.items():
        if at is None:
            fd = Extents.open_missing()
            missing[fd] = note
            odd[f"{note}; what is on it cannot be read"] = odd.pop(note)
            starts[disk_id] = fd, 0

    def piece(segment: Segment, areas: list[tuple[LvmDisk, int]]) -> Extent | Stripes:
        length = segment.extent_count // len(areas) * group.extent_sectors * SECTOR_BYTES
        extents = tuple(
            Extent(fd, begin + sector * SECTOR_BYTES, length)
            for (fd, begin), sector in ((starts[disk.id], sector) for disk, sector in areas)
        )
        striped = segment.stripe_sectors
        return Stripes(extents, striped * SECTOR_BYTES) if striped else extents[0]

    pieces = [piece(segment, areas) for segment, areas in segments]
    return Extents(name, pieces, missing=missing, notes=(*notes, *odd))


def _best_leg(
    group: VolumeGroup, volume: LogicalVolume, given: GivenDisks
) -> tuple[list[PlacedSegment], list[str]]:
    """Return the segments of the first leg of which all disks are there, and what to warn of."""
    legs = [*legs_of(group, volume)]
    for number, (segments, notes) in enumerate(legs):
        if all(given.place(group, disk)[0] for _, areas in segments for disk, _ in areas):
            where = f"{group.name}/{volume.name}"
            instead = f"{where}: leg {number} is read, for a disk of those before is missing"
            return segments, [*notes, instead] if number else notes
    return legs[0]


def legs_of(
    group: VolumeGroup, volume: LogicalVolume, nr_levels: int = _MOST_LEVELS
) -> Iterator[tuple[list[PlacedSegment], list[str]]]:
    """Return the segments of each set of disks that has all bytes of a volume.

    Of a linear or striped volume there is one, of a raid1 one for each image.

    Returns:
        The segments, and what to warn of, one line each.

    Raises:
        InputError: a segment is of a type that cannot be read in place, or cannot be.
    """
    first = volume.segments[0] if volume.segments else None
    if first is None or not first.legs:
        yield segments_of(group, volume), []
        return
    where = f"{group.name}/{volume.name}"
    notes = []
    if cache := _ahead(group, first):
        notes.append(
            f"{where}: is cached by {cache}, which may hold newer data: what is read is as it "
            "was before; where LVM can, `lvconvert --uncache` writes it back first"
        )
    for name in first.legs:
        leg = group.volume(name)
        if nr_levels == 0 or len(volume.segments) > 1 or leg.nr_extents != first.extent_count:
            raise InputError(f"{where}: cannot be made of {name}")
        for segments, more in legs_of(group, leg, nr_levels - 1):
            yield segments, [*notes, *more]


def _ahead(group: VolumeGroup, segment: Segment) -> str:
    """Return the volume that may have newer bytes than a segment; empty if none has."""
    cache = group.volumes.get(segment.cache)
    if segment.kind == "cache" and cache is not None and cache.segments[0].kind == "cache-pool":
        return segment.cache if cache.segments[0].cache else ""
    return segment.cache


def segments_of(group: VolumeGroup, volume: LogicalVolume) -> list[PlacedSegment]:
    """Return each segment with its areas: physical volume, and sector from its start.

    Raises:
        InputError: a segment is of another type than linear or striped, or cannot be.
    """
    where = f"{group.name}/{volume.name}"
    end = 0
    found = []
    for segment in volume.segments:
        if segment.kind != "striped":
            why = f": {_INSTEAD[segment.kind]}" if segment.kind in _INSTEAD else ""
            raise InputError(
                f"{where}: has a segment of type {segment.kind}{why}; linear and striped ones, "
                "legs of raid1 and what is below a cache can be read in place; where LVM can, "
                "activate it and read the device"
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
