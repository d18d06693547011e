"""Logical volumes inside a volume, as of a virtual machine that uses LVM itself."""

from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError, NotThereError
from thinmeta.files.part_of_source import Lenient, PartOfSource
from thinmeta.files.reading import ByteSource
from thinmeta.lvm.group import LogicalVolume, VolumeGroup
from thinmeta.lvm.label import FoundVolume, physical_volumes
from thinmeta.lvm.places import segments_of
from thinmeta.lvm.spellings import is_called
from thinmeta.lvm.versions import newest_groups
from thinmeta.units import SECTOR_BYTES


class VolumeDisk(Lenient):
    """A volume as LVM sees it: a disk, perhaps with physical volumes on it."""

    offset = None

    def __init__(self, source: ByteSource) -> None:
        """Read `source`."""
        super().__init__(source)
        self.name = source.name
        self.path = Path(source.name)


class InsideVolume(NamedTuple):
    """A logical volume inside another volume.

    Attributes:
        source: its bytes.
        notes: what of LVM's metadata is damaged or odd, one line each.
    """

    source: PartOfSource
    notes: tuple[str, ...]


def open_inside(source: ByteSource, name: str) -> InsideVolume:
    """Open a logical volume that lies on `source`, or in partitions of it.

    Args:
        source: with LVM's physical volumes.
        name: of the logical volume, as `vg/lv`.

    Raises:
        NotThereError: there is none of this name; the message lists those there are.
        InputError: there is no LVM, or the volume is not linear, or lies elsewhere, too.
    """
    volumes, groups, notes = _groups_in(source)
    found = [
        (group, volume)
        for group in groups
        for volume in group.volumes.values()
        if is_called(name, group, volume)
    ]
    if len(found) != 1:
        what = f"{name} may be several" if found else f"there is no logical volume {name} inside"
        raise NotThereError(f"{source.name}: {what}; {names_inside(source)}")
    group, volume = found[0]
    shown = f"{source.name}, {group.name}/{volume.name}"
    pieces = _pieces(source, group, volume, {each.id: each.offset for each in volumes})
    return InsideVolume(PartOfSource(source, pieces, shown), tuple(notes))


def names_inside(source: ByteSource) -> str:
    """Return a line that tells which logical volumes are inside a volume.

    Raises:
        InputError: there is no LVM.
    """
    _, groups, _ = _groups_in(source)
    names = [f"{group.name}/{volume}" for group in groups for volume in group.volumes]
    return f"there are: {', '.join(names)}" if names else "there is none at all"


def _groups_in(
    source: ByteSource,
) -> tuple[list[FoundVolume[VolumeDisk]], list[VolumeGroup], list[str]]:
    try:
        volumes = physical_volumes(VolumeDisk(source))
    except InputError as error:
        raise InputError(f"{source.name}: there is no LVM on it, nor in a partition") from error
    found, notes = newest_groups([text for volume in volumes for text in volume.texts])
    notes = [note for volume in volumes for note in volume.notes] + notes
    return volumes, [each.group for each in found], notes


def _pieces(
    source: ByteSource, group: VolumeGroup, volume: LogicalVolume, begins: dict[str, int]
) -> list[tuple[int, int]]:
    pieces = []
    for segment, areas in segments_of(group, volume):
        if len(areas) > 1:
            raise InputError(f"{source.name}: {group.name}/{volume.name} is striped over disks")
        (disk, sector), length = areas[0], segment.extent_count * group.extent_sectors
        if disk.id not in begins:
            raise InputError(
                f"{source.name}: {group.name}/{volume.name} lies on {disk.name} as well, which is "
                "not on this device"
            )
        begin = begins[disk.id] + sector * SECTOR_BYTES
        if begin + length * SECTOR_BYTES > source.size:
            raise InputError(
                f"{source.name}: {group.name}/{volume.name} ends at byte "
                f"{begin + length * SECTOR_BYTES}, past the end of the device"
            )
        pieces.append((begin, length * SECTOR_BYTES))
    return pieces
