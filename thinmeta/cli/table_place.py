"""Where a device's bytes are, for `thinmeta table`."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.volume_options import MAX_BYTES, Files, open_data, read_layout, with_origin
from thinmeta.errors import InputError
from thinmeta.units import SECTOR_BYTES

if TYPE_CHECKING:
    from thinmeta.lvm.places import OnHost, TableLine
    from thinmeta.model.device_spec import ChosenDevice, ExternalOrigin
    from thinmeta.names.name_sources import NameSources
    from thinmeta.volume.contents import Volume
    from thinmeta.volume.layout import Layout
    from thinmeta.volume.linear import DeviceSegment


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where a device's bytes are, as the command line says, or who knows the device."""

    is_linear: bool
    files: Files
    sectors: int | None
    table_origin: str | None
    chosen: "ChosenDevice"

    @property
    def known_origin(self) -> "ExternalOrigin | None":
        """The external origin that LVM knows, if nothing else says which it is."""
        is_said = self.files.origin or self.table_origin
        return None if is_said else self.chosen.external_origin

    @property
    def origin_name(self) -> str | None:
        """The external origin, as a table names it."""
        if self.known_origin is not None:
            return self.known_origin.path
        if self.files.origin is None:
            return self.table_origin
        from thinmeta.device.part_of_file import PartOfFile

        if not self.is_linear and PartOfFile.of(self.files.origin).offset is not None:
            raise click.UsageError(
                f"a thin target has a whole device for its origin: make one of {self.files.origin} "
                "by losetup --offset"
            )
        return str(self.files.origin)

    def to_activate(self, host: "OnHost | None", *, on_disks: bool) -> list[str]:
        """Return the commands that activate what the table names."""
        volumes = [host.data] if self.is_linear and host else []
        if self.known_origin is not None and not on_disks:
            volumes.append(self.known_origin.name)
        return [f"lvchange -y -ay {volume}" for volume in volumes]


def data_segments(linear: Path | None, host: "OnHost | None") -> "list[DeviceSegment]":
    """Return what the data device consists of: one device, or pieces of LVM's disks.

    Raises:
        UsageError: nobody says where the disks are.
        InputError: the data is striped.
    """
    if linear is not None:
        return [_whole(str(linear))]
    if host is None:
        raise click.UsageError("--on-disks needs LVM's metadata: --lvm FILE")
    return _pieces(host.data, host.data_table, "--linear")


def origin_segments(
    place: TablePlace, names: "NameSources", *, on_disks: bool
) -> "list[DeviceSegment]":
    """Return what the external origin consists of; nothing if there is none.

    Raises:
        InputError: it should be found on LVM's disks, and no linear table maps it.
    """
    from thinmeta.names.lvm_volumes import external_origin_table

    known = place.known_origin
    if known is not None and on_disks:
        lines = external_origin_table(names.state_with_origins(), known)
        return _pieces(known.name, lines, "--origin")
    return [_whole(place.origin_name)] if place.origin_name else []


def _whole(device: str) -> "DeviceSegment":
    from thinmeta.device.part_of_file import PartOfFile
    from thinmeta.volume.linear import DeviceSegment

    path, offset = PartOfFile.of(device)
    return DeviceSegment(str(path), offset or 0, 2**63 - SECTOR_BYTES - (offset or 0))


def _pieces(volume: str, lines: "list[TableLine]", instead: str) -> "list[DeviceSegment]":
    from thinmeta.volume.linear import DeviceSegment

    if any(line.stripe_sectors for line in lines):
        raise InputError(f"{volume}: is striped, so no linear table maps it; give {instead}")
    return [
        DeviceSegment(device, offset * SECTOR_BYTES, line.length * SECTOR_BYTES)
        for line in lines
        for device, offset in line.areas
    ]


def open_place(
    place: TablePlace, names: "NameSources", report: DamageReport, files: ExitStack
) -> "Volume":
    """Return the volume, which reads where its bytes are when that is asked for.

    Raises:
        InputError: where they are is not known, or not to be read.
    """
    from thinmeta.device.extents import Extents
    from thinmeta.volume.contents import Volume
    from thinmeta.volume.sources import Sources

    given, chosen = place.files, place.chosen
    if place.is_linear and place.table_origin and given.origin is None:
        raise click.UsageError(
            f"the device has the external origin {place.table_origin}, whose size is not known: "
            "give it with --origin"
        )
    if place.known_origin is not None and not place.known_origin.id:
        raise InputError(
            f"LVM has the external origin {place.known_origin.name} no more, and another volume "
            "may have its name: give the device that it is now with --origin"
        )
    sources = None
    try:
        data = open_data(chosen.pool, given, names, report, direct=False)
        if data is not None or (place.is_linear and given.origin):
            opened = data or Extents("no data device", [])
            sources = with_origin(chosen, opened, given, names, report, direct=False)
    except InputError as error:
        if place.is_linear or given.data or given.origin:
            raise
        data = None  # a thin target needs none, only who looks at the file system
        report.warn(f"{error}; the table needs it not, but nobody looked at the file system")
    if sources is None:
        # Nothing is read, so that it is enough to know how large the origin is.
        sources = Sources(Extents("no data device", []), chosen.pool.data_block_bytes())
        origin_bytes = place.known_origin.size if place.known_origin else 0
    else:
        origin_bytes = sources.origin_bytes

    def load() -> "Layout":
        layout, _ = read_layout(
            chosen,
            report,
            size=None if place.sectors is None else place.sectors * SECTOR_BYTES,
            data_bytes=sources.data.size if data else MAX_BYTES,
            origin_bytes=origin_bytes // SECTOR_BYTES * SECTOR_BYTES,
        )
        return layout

    return files.enter_context(Volume(f"device {chosen.name}", load, sources))
