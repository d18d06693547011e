"""Which of the disks that were given is which physical volume of a group."""

from collections.abc import Sequence
from pathlib import Path

from thinmeta.errors import InputError
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.group import LvmDisk, VolumeGroup
from thinmeta.lvm.label import FoundVolume
from thinmeta.lvm.spellings import dashed


class GivenDisks:
    """The disks that were given, and what is on them."""

    def __init__(self, volumes: Sequence[FoundVolume[Disk]]) -> None:
        """Take the physical volumes that were found."""
        self._volumes = volumes

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._volumes)

    @property
    def paths(self) -> set[Path]:
        """Where they are."""
        return {found.disk.path for found in self._volumes}

    def place(self, group: VolumeGroup, disk: LvmDisk) -> tuple[FoundVolume[Disk] | None, str]:
        """Return where a physical volume is, None if it is missing, and what is odd about it.

        One that has the label of no physical volume of the group, or none at all, is the one
        that is missing, if there is one of each and it was said where it begins.

        Raises:
            InputError: it was given twice.
        """
        found = [volume for volume in self._volumes if volume.id == disk.id]
        if len(found) > 1:
            twice = ", ".join(volume.disk.name for volume in found)
            raise InputError(f"{group.name}: the physical volume {disk.name} was given as {twice}")
        if found:
            return found[0], ""
        there = {volume.id for volume in self._volumes}
        own = {each.id for each in group.disks.values()}
        missing = own - there
        strange = [each for each in self._volumes if each.disk.offset is not None]
        strange = [each for each in strange if each.id not in own]
        if len(missing) == 1 and len(strange) == 1:
            if not strange[0].id:
                return strange[0], ""
            return strange[0], (
                f"{strange[0].disk.name}: its label has the uuid {dashed(strange[0].id)}, and is "
                f"taken for {disk.name} of {group.name}, the only one that is missing "
                f"({dashed(disk.id)})"
            )
        others = [each.disk.path for each in self._volumes if each.id not in own]
        hint = f"; {others[0]}@0 takes that for it" if others and len(missing) == 1 else ""
        return None, (
            f"{group.name}: the physical volume {disk.name} is not among the disks that were "
            f"given: uuid {dashed(disk.id)}, once {disk.device or 'at an unknown path'}{hint}"
        )
