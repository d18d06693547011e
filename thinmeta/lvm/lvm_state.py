"""LVM's volume groups, read from their text metadata or from the disks themselves."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.device.compressed import Inspect
from thinmeta.device.extents import Extents
from thinmeta.device.kernel import SYSFS
from thinmeta.device.opening import live_message
from thinmeta.device.signatures import refuse_foreign
from thinmeta.errors import InputError, LiveDeviceError, NotThereError
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.given_disks import GivenDisks
from thinmeta.lvm.group import LogicalVolume, ThinPool, VolumeGroup, read_group
from thinmeta.lvm.label import FoundText, FoundVolume
from thinmeta.lvm.places import (
    OnHost,
    TableLine,
    active_holders,
    extents_of,
    table_lines,
)
from thinmeta.lvm.raid_images import newer_image
from thinmeta.lvm.spellings import dashed, is_called, spellings
from thinmeta.lvm.versions import FoundGroup, newest_groups, read_file, texts_in

_MOST_HISTORY = 4 << 20
"""Characters of older texts that are read, newest first."""


class FoundPool(NamedTuple):
    """A thin pool, where it is described, and what is odd about that."""

    group: VolumeGroup
    volume: LogicalVolume
    pool: ThinPool
    note: str = ""

    def __str__(self) -> str:
        """Return its name."""
        return f"{self.group.name}/{self.volume.name}"


class LvmState:
    """Volume groups, and the disks that they were found on; a context manager.

    Attributes:
        source: the files, for messages.
        groups: in their newest versions.
        given: the disks.
        notes: what is damaged or odd, one line each.
    """

    def __init__(
        self,
        source: str,
        groups: Sequence[FoundGroup],
        volumes: Sequence[FoundVolume[Disk]],
        notes: Sequence[str],
        disks: ExitStack,
    ) -> None:
        """Take over `disks`; see `read_lvm`."""
        self.source = source
        self.groups = tuple(found.group for found in groups)
        self.notes = tuple(notes)
        self._others = {found.group.id: found.others for found in groups}
        self.given = GivenDisks(volumes)
        self._disks = disks

    @property
    def has_disks(self) -> bool:
        """Whether there are disks to read volumes from, and not only text."""
        return bool(self.given)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the disks."""
        self.close()

    def close(self) -> None:
        """Close the disks; what was opened from them stays open."""
        self._disks.close()

    def pool(self, name: str | None) -> FoundPool:
        """Return the thin pool that is called `name`, without one the only one there is.

        One that is no more is found in the newest version of the text that has it;
        `NAME#SEQNO` is the pool as that version describes it.

        Raises:
            NotThereError: there is none, or there are several; lists them.
        """
        pools = [found for group in self.groups for found in _pools(group)]
        listed = f"there are: {_listed(pools)}" if pools else "there is none at all"
        found = [each for each in pools if name is None or is_called(name, *each[:2])]
        if len(found) == 1:
            return found[0]
        older = None if found or name is None else self._older_pool(name)
        if older is not None:
            return older
        what = "say which thin pool" if name is None else f"no one thin pool is called {name}"
        raise NotThereError(f"{self.source}: {what if pools else 'no thin pool'}; {listed}")

    def _older_pool(self, name: str) -> FoundPool | None:
        """Return a pool that another version of a text has, the newest one that does."""
        plain, _, seqno = name.partition("#")
        for group in self.groups:
            for version in self.versions(group):
                for found in _pools(version):
                    if seqno in ("", str(version.seqno)) and is_called(plain, *found[:2]):
                        what = "as asked for" if seqno else "the newest one that has it"
                        note = (
                            f"{found} is read as version {version.seqno} of LVM's text"
                            f"{version.when} describes it, {what}; version {group.seqno} counts now"
                        )
                        return found._replace(note=note)
        return None

    def on_host(self, pool: str | None) -> OnHost:
        """Return what a pool is called on the host that it belongs to.

        Raises:
            NotThereError: there is no such pool.
            InputError: its data is neither linear nor striped.
        """
        group, volume, thin_pool, _ = self.pool(pool)
        data = group.volume(thin_pool.data)
        path = spellings(group.name, volume.name)[-1]
        has_volumes = any(group.thin_volumes(volume.name))
        return OnHost(
            f"{path}-tpool" if has_volumes else path,
            f"{group.name}/{data.name}",
            table_lines(group, data),
        )

    def open_metadata(
        self,
        pool: str | None,
        metadata_lv: str | None = None,
        *,
        exclusive: bool = True,
        inspect: Inspect = refuse_foreign,
        sysfs: Path = SYSFS,
    ) -> BlockDevice:
        """Open the metadata of a pool where it lies on the disks.

        Args:
            pool: its name; None for the only one.
            metadata_lv: another volume to read as the metadata, whatever the pool has.
            exclusive: refuse a pool that is active; False is for reading a metadata snapshot.
            inspect: refuses what is no metadata.
            sysfs: where the kernel tells about active devices.

        Raises:
            NotThereError: there is no such pool.
            InputError: it cannot be read in place, or there is no pool in it.
            LiveDeviceError: `exclusive`, and it is active.
        """
        note = ""
        if metadata_lv is not None:
            group, metadata = self.find(metadata_lv)
            volume = metadata
        else:
            group, volume, thin_pool, note = self.pool(pool)
            metadata = group.volume(thin_pool.metadata)
        if exclusive and (holders := active_holders(group, metadata, self.given.paths, sysfs)):
            raise LiveDeviceError(live_message(Path(f"{group.name}/{volume.name}"), holders))
        device = BlockDevice.over(self._opened(group, metadata, direct=True))
        first = device.read(np.zeros(1, dtype=np.uint64))
        newer = newer_image(group, metadata, self.given, first) or ""
        device.notes += (*self.notes, *filter(None, [note, newer]))
        try:
            if first.faults[0] != Fault.READ_ERROR:
                inspect(first.rows[0].tobytes())
        except InputError as error:
            device.close()
            hint = f"; {newer}" if newer else ""
            raise type(error)(f"{device.name}: {error}{hint}") from error
        return device

    def open_data(self, pool: str | None) -> Extents:
        """Open the data of a pool where it lies on the disks; errors as of `open_lv`."""
        group, _, thin_pool, _ = self.pool(pool)
        return self._opened(group, group.volume(thin_pool.data), direct=False)

    def open_lv(self, name: str) -> Extents:
        """Open a linear or striped logical volume, hidden ones too, where it lies on the disks.

        Raises:
            NotThereError: there is no such volume.
            InputError: it is of another type, or a physical volume is not there.
        """
        return self._opened(*self.find(name), direct=False)

    def versions(self, group: VolumeGroup) -> Iterator[VolumeGroup]:
        """Yield the other known versions of a group's text, newest first."""
        left = _MOST_HISTORY
        for text in self._others[group.id]:
            left -= len(text)
            if left < 0:
                return
            with suppress(InputError):  # a newer text was written over its end
                yield read_group(text, self.source)

    def linear_table(self, name: str) -> list[TableLine]:
        """Return the device-mapper table of a linear or striped logical volume.

        Raises:
            NotThereError: there is no such volume.
            InputError: it is of another type.
        """
        return table_lines(*self.find(name))

    def find(self, name: str) -> tuple[VolumeGroup, LogicalVolume]:
        """Return the logical volume that is called `name`, and its group.

        Raises:
            NotThereError: there is none, or there are several.
        """
        found = [
            (group, volume)
            for group in self.groups
            for volume in group.volumes.values()
            if is_called(name, group, volume)
        ]
        if len(found) != 1:
            listed = ", ".join(f"{group.name}/{volume.name}" for group, volume in found)
            what = f"{name} may be {listed}" if found else f"there is no logical volume {name}"
            raise NotThereError(f"{self.source}: {what}")
        return found[0]

    def _opened(self, group: VolumeGroup, volume: LogicalVolume, *, direct: bool) -> Extents:
        name = f"{group.name}/{volume.name} in {self.source}"
        return extents_of(group, volume, self.given, name, direct=direct)


def _pools(group: VolumeGroup) -> list[FoundPool]:
    volumes = group.volumes.values()
    return [FoundPool(group, volume, volume.pool) for volume in volumes if volume.pool]


def _listed(pools: Sequence[FoundPool]) -> str:
    """Return the pools' names; those of groups that are called alike with the group's uuid."""
    ids: dict[str, set[str]] = {}
    for each in pools:
        ids.setdefault(each.group.name, set()).add(each.group.id)

    def shown(each: FoundPool) -> str:
        is_only = len(ids[each.group.name]) == 1
        return str(each) if is_only else f"{dashed(each.group.id)}/{each.volume.name}"

    return ", ".join(map(shown, pools))


def read_lvm(files: Sequence[str]) -> LvmState:
    """Read volume groups from text metadata, disks that hold it, or both.

    Args:
        files: backups of the text metadata, disks and images of disks with physical
            volumes, `FILE@OFFSET` for one that begins further on. A text that is given
            counts, whatever version the disks have. Of a folder such as /etc/lvm all texts.

    Raises:
        InputError: one of them cannot be used, or none describes a group.
    """
    source = ", ".join(files)
    texts: list[FoundText] = []
    volumes: list[FoundVolume[Disk]] = []
    notes: list[str] = []
    with ExitStack() as disks:
        for name in files:
            if Path(name).is_dir():
                texts += texts_in(Path(name))
                continue
            disk = Disk.open(name)
            disks.callback(disk.close)
            notes += disk.notes
            match read_file(disk):
                case FoundText() as text:
                    texts.append(text)
                case found:
                    volumes += found
        for volume in volumes:
            texts += volume.texts
            notes += volume.notes
        groups, odd = newest_groups(texts)
        if not groups:
            why = "; ".join([*notes, *odd][:3]) or "no text metadata was found"
            raise InputError(f"{source}: there is no volume group: {why}")
        return LvmState(source, groups, volumes, [*notes, *odd], disks.pop_all())
