"""A removed volume of LVM's, as its text must have it for the volume to be there again."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from thinmeta.lvm.group import LogicalVolume, ThinVolume, VolumeGroup
from thinmeta.lvm.lvm_state import LvmState
from thinmeta.lvm.section_text import section_lines
from thinmeta.lvm.spellings import dashed
from thinmeta.lvm.text import Section
from thinmeta.names.name_sources import NameSources

_LINKS = ("origin", "external_origin")
_FOREIGN = ("merge",)
"""What only counts while LVM merges a snapshot."""

_SUFFIX = "_undeleted"
_LONGEST_NAME = 127


class RestoredVolume(NamedTuple):
    """A volume for LVM's text.

    Attributes:
        group: the volume group that it goes into.
        name: what it is called there.
        lines: its section, without the ends of lines.
        notes: what of it is not as it was, one line each.
    """

    group: str
    name: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]


class RestoredVolumes:
    """The volumes that come back to a pool, no two of them with one name or uuid."""

    def __init__(self, state: LvmState, pool: str | None) -> None:
        """Take what LVM knows of the pool.

        Raises:
            NotThereError: there is no such pool.
        """
        self._group, self._pool, _, _ = state.pool(pool)
        self._versions = [self._group, *state.versions(self._group)]
        self._names = set(self._group.volumes)
        self._ids = {each.id for each in self._group.volumes.values()}

    def restored(self, device_id: int, transaction_id: int, new_id: int) -> RestoredVolume | None:
        """Return a volume as the newest text that has it describes it; None if none has.

        Args:
            device_id: which it had.
            transaction_id: the pool's when it was created.
            new_id: the device id that it has from now on.
        """
        found = next(self._found(device_id, transaction_id), None)
        if found is None:
            return None
        version, volume, thin = found
        name, uuid = self._free_name(volume.name), volume.id
        if uuid in self._ids:
            seed = f"{self._group.id} {volume.id} {new_id} {name}"
            uuid = hashlib.sha256(seed.encode()).hexdigest()[: len(uuid)]
        self._names.add(name)
        self._ids.add(uuid)
        links, notes = self._links(version, thin)
        section: Section = {"id": dashed(uuid)}
        for key, value in volume.section.items():
            if isinstance(value, dict):
                section[key] = self._segment(value, links, new_id)
            elif key != "id":
                section[key] = value
        lines = tuple(section_lines(name, section, depth=2))
        return RestoredVolume(self._group.name, name, lines, notes)

    def _found(
        self, device_id: int, transaction_id: int
    ) -> Iterator[tuple[VolumeGroup, LogicalVolume, ThinVolume]]:
        for version in self._versions:
            pool = next(
                (each for each in version.volumes.values() if each.id == self._pool.id), None
            )
            for volume, thin in version.thin_volumes(pool.name) if pool is not None else ():
                if (thin.device_id, thin.transaction_id) == (device_id, transaction_id):
                    yield version, volume, thin

    def _free_name(self, name: str) -> str:
        free, number = name, 1
        while free in self._names:
            suffix = _SUFFIX if number == 1 else f"{_SUFFIX}{number}"
            free, number = f"{name[: _LONGEST_NAME - len(suffix)]}{suffix}", number + 1
        return free

    def _links(
        self, version: VolumeGroup, thin: ThinVolume
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return what the origins of a volume are called now, and which are there no more."""
        now = {each.id: each.name for each in self._group.volumes.values()}
        links, notes = {}, []
        for key, then in zip(_LINKS, (thin.origin, thin.external_origin), strict=True):
            volume = version.volumes.get(then)
            if volume is not None and volume.id in now:
                links[key] = now[volume.id]
            elif then:
                what = key.replace("_", " ")
                notes.append(f"its {what} was {version.name}/{then}, which is there no more")
        return links, tuple(notes)

    def _segment(self, values: Section, links: dict[str, str], new_id: int) -> Section:
        segment: Section = {}
        for key, value in values.items():
            if key == "thin_pool":
                segment[key] = self._pool.name
            elif key == "device_id":
                segment[key] = new_id
            elif key in _LINKS:
                segment.update({key: links[key]} if key in links else {})
            elif key not in _FOREIGN:
                segment[key] = value
        return segment


def restored_volumes(names: NameSources) -> RestoredVolumes | None:
    """Return the volumes that come back to the pool; None without LVM's text.

    Raises:
        NotThereError: that has no such pool.
    """
    return RestoredVolumes(names.state_with_origins(), names.lv) if names.lvm else None
