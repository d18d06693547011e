"""What commands that look into a volume take: where its bytes are, and how many."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.decorators import FC

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.parameters import FILE, QUANTITY

if TYPE_CHECKING:
    from thinmeta.device.extents import Extents
    from thinmeta.device.inputs import Inputs
    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool
    from thinmeta.names.name_sources import NameSources
    from thinmeta.units import Quantity
    from thinmeta.volume.layout import Layout
    from thinmeta.volume.sources import Sources


class Files(NamedTuple):
    """Where a volume's bytes are, as far as the command line says: data and external origin."""

    data: Path | None
    origin: Path | None


MAX_BYTES = 2**63 - 1


def data_option(function: FC) -> FC:
    """Add `--data`."""
    return click.option(
        "--data",
        type=FILE,
        metavar="DATA",
        help="The pool's data device, or an image of it, FILE@OFFSET where it begins further on; "
        "not needed where --lvm names the disks, or --docker-root has the data.",
    )(function)


def origin_option(function: FC) -> FC:
    """Add `--origin`."""
    return click.option(
        "--origin",
        type=FILE,
        metavar="ORIGIN",
        help="The device's external origin, or an image of it.",
    )(function)


def size_option(function: FC) -> FC:
    """Add `--size`, which arrives as a `Quantity` of bytes."""
    return click.option(
        "--size",
        type=QUANTITY,
        metavar="SIZE",
        help="How large the device is: in bytes, or with a unit: 512M, 20971520s.",
    )(function)


def bytes_of(size: "Quantity | None") -> int | None:
    """Return `--size` in bytes; a number without a unit is one of bytes, too."""
    if size is None:
        return None
    if size.in_bytes(1) > MAX_BYTES:
        raise click.UsageError("--size: no device is larger than 8 EiB")
    return size.in_bytes(1)


def inputs_of(
    pool: "Pool", names: "NameSources", files: Files, table: Path | int | None = None
) -> "Inputs":
    """Return what is read of a volume: its pool, names, data and external origin, and a table."""
    inputs = names.inputs(pool.source.device.name)
    inputs.add(table)
    inputs.add(files.data, "the data device")
    inputs.add(files.origin, "the external origin")
    return inputs


def open_data(
    pool: "Pool", files: Files, names: "NameSources", report: DamageReport, *, direct: bool
) -> "Extents | None":
    """Open the data device, and warn if it is in use; None if nobody knows where it is.

    Args:
        pool: the pool.
        files: what the command line says.
        names: who may know where it is.
        report: is told.
        direct: read a block device past the page cache.

    Raises:
        InputError: it cannot be read.
    """
    from thinmeta.names.volume_sources import own_data
    from thinmeta.volume.sources import open_source

    given = None
    if files.data is not None:
        given = open_source(files.data, direct=direct)
        _warn_if_in_use(files.data, report)
    data = own_data(names, pool, given)
    for note in data.notes if data is not None else ():
        report.warn(note)
    return data


def open_needed_data(
    pool: "Pool", files: Files, names: "NameSources", report: DamageReport, *, direct: bool
) -> "Extents":
    """Open the data device, which must be known; see `open_data`."""
    data = open_data(pool, files, names, report, direct=direct)
    if data is None:
        raise click.UsageError("say where the data is: --data DATA, or --lvm with the disks")
    return data


def with_origin(  # noqa: PLR0913  # what it is made of
    chosen: "ChosenDevice",
    data: "Extents",
    files: Files,
    names: "NameSources",
    report: DamageReport,
    *,
    direct: bool,
) -> "Sources":
    """Return the files of a device: its data, and its external origin if it has one.

    Args:
        chosen: the device, which may know its origin.
        data: its data.
        files: what the command line says; an origin that it names is the one that counts.
        names: who may know where the origin is.
        report: is told.
        direct: read a block device past the page cache.

    Raises:
        InputError: the origin cannot be read, or the data block size is not known.
    """
    from thinmeta.names import volume_sources

    sources = volume_sources.with_origin(names, chosen, data, files.origin, direct=direct)
    if files.origin:
        _warn_if_in_use(files.origin, report)
    elif names.may_have_origin(chosen):
        report.warn(
            f"nobody says whether device {chosen.name} has an external origin, as others of its "
            "pool have: what it does not map is taken for zeros; --origin says otherwise"
        )
    return sources


def _warn_if_in_use(path: Path, report: DamageReport) -> None:
    from thinmeta.device.kernel import holders_of

    if holders := holders_of(path):
        report.warn(
            f"{path}: is in use by {holders[0]}: what is written meanwhile may be read as "
            "it was or as it is then"
        )


def read_layout(
    chosen: "ChosenDevice",
    report: DamageReport,
    *,
    size: int | None,
    data_bytes: int = MAX_BYTES,
    origin_bytes: int = 0,
) -> "tuple[Layout, Losses | None]":
    """Read where the bytes of `chosen` are; say so if that is what tells its size.

    Returns what is lost of it, too; see `DamageReport.prepared`.

    Args:
        chosen: the device.
        report: the policy, which knows what is lost.
        size: of the device, in bytes; None: as its name says, or up to the last mapped block.
        data_bytes: the size of the data device, if it is known.
        origin_bytes: the size of the external origin, if there is one.

    Raises:
        DamagedMetadataError: a part of that is lost, and nobody asked for salvage.
    """
    from thinmeta.model.volumes import layout_of

    size = chosen.size if size is None else size
    chosen.pool.data_block_bytes()  # refuses a size that is not known before all else
    device, losses = report.prepared_volume(chosen)
    layout = layout_of(device, losses, size=size, data_bytes=data_bytes, origin_bytes=origin_bytes)
    if size is None:
        report.warn(
            f"the metadata does not say how large device {chosen.name} is: its last mapped block "
            f"ends at {layout.size} bytes, which is taken for its end; --size says otherwise"
        )
    return layout, losses
