"""`thinmeta table`."""

import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, FILE, format_option, quiet_option
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.table_place import TablePlace, data_segments, open_place, origin_segments
from thinmeta.cli.volume_options import (
    Files,
    bytes_of,
    data_option,
    inputs_of,
    origin_option,
    size_option,
)
from thinmeta.errors import InputError, NotThereError
from thinmeta.units import SECTOR_BYTES

if TYPE_CHECKING:
    from thinmeta.formats.dm_table import DmTables, ThinLine
    from thinmeta.formats.style import Buffer
    from thinmeta.lvm.places import OnHost
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.units import Quantity

_STDIN = 0
_ANY_POOL = "/dev/mapper/POOL"


@click.command()
@click.argument("device", required=False)
@metadata_options
@click.option(
    "--linear",
    type=FILE,
    metavar="DATA_DEVICE",
    help="Map the device straight onto DATA_DEVICE, without the pool.",
)
@click.option(
    "--on-disks",
    is_flag=True,
    help="Map the device straight onto LVM's disks: --lvm says where the data is on them.",
)
@data_option
@origin_option
@size_option
@salvage_option
@click.option("--pool-name", metavar="NAME", help="The pool's dm name or path on the host.")
@click.option("--name", metavar="NAME", help="The dm name of the device to create.")
@click.option(
    "--dm-table",
    type=FILE,
    metavar="FILE",
    help="What `dmsetup table` printed: it says which pool, device and size. `-` is stdin.",
)
@format_option("text", "json")
@output_option
@quiet_option
def table(  # noqa: PLR0913  # one parameter an option
    *,
    device: str | None,
    choice: MetadataChoice,
    linear: Path | None,
    on_disks: bool,
    data: Path | None,
    origin: Path | None,
    size: "Quantity | None",
    salvage: Salvage,
    pool_name: str | None,
    name: str | None,
    dm_table: Path | None,
    format_name: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Print what to type on a host to mount DEVICE: a dmsetup table, and the commands.

    To read files of ext2, ext3, ext4 and XFS takes none of this, nor root: thinmeta files
    lists them, thinmeta copy copies them out. This is the way for other file systems.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block N,
    for --linear; append @snap for the state that a metadata snapshot holds, with --linear
    also @MAPROOT for one that is past. With --dm-table it may be a dm name, or be left out
    if there is only one thin device.

    The table is for an active pool. With --linear it needs none; what is lost, which
    --salvage goes on past, then fails to be read. With --data the file
    system and its journal are looked at, to say how to mount it.
    """
    from thinmeta.formats.dm_table import linear_lines, thin_line
    from thinmeta.formats.table import Plan, table_json, table_text, thin_target_json
    from thinmeta.model.state import State
    from thinmeta.volume.filesystem import recognise
    from thinmeta.volume.linear import linear_targets

    tables = _tables(dm_table)
    thin = _thin_line(tables, device) if tables else None
    if device is None and thin is None:
        raise click.UsageError("Missing argument 'DEVICE'.")
    spec: DeviceSpec = DEVICE.convert(str(thin.device_id) if thin else device, None, None)
    if linear and on_disks:
        raise click.UsageError("--linear and --on-disks are two ways to map it; give one")
    is_linear = linear is not None or on_disks
    if not is_linear and (spec.root is not None or spec.state not in (None, State.LIVE)):
        raise click.UsageError(f"the kernel's thin target has no {spec.text}; --linear maps it")
    sectors = thin.sectors if thin else None
    if size is not None:
        sectors = _sectors(bytes_of(size))
    report = report_for(salvage=salvage, quiet=quiet)
    if tables is not None:
        choice = choice._replace(likely_block_sectors=tables.data_block_sectors())
    with opened(choice.for_devices(spec), report) as pool, ExitStack() as files:
        report.warn_of(pool)
        chosen = choice.choose(pool, spec)
        if not salvage:
            report.finish()  # before there is any output
        device_id = chosen.device.device_id if chosen.device else spec.device_id
        host = choice.names.on_host()
        if sectors is None and chosen.size is not None:
            sectors = chosen.size // SECTOR_BYTES
        place = TablePlace(
            is_linear, Files(data, origin), sectors, thin.origin if thin else None, chosen
        )
        volume = open_place(place, choice.names, report, files)
        if sectors is None:
            sectors = volume.size // SECTOR_BYTES
        plan = Plan(
            device=chosen.name,
            device_id=device_id,
            sectors=sectors,
            name=name or ("thin-" + re.sub(r"\W+", "-", chosen.name)),
            before=place.to_activate(host, on_disks=on_disks),
            file_system=recognise(volume) if volume.has_data else None,
            looked=volume.has_data,
            volume=_volume_words(choice, place, has_data=volume.has_data, salvage=salvage),
        )
        if not is_linear:
            path = _pool_path(chosen, host, pool_name, (tables, thin))
            write = thin_target_json if format_name == "json" else thin_line
            line = write(sectors, path, device_id or 0, place.origin_name)
            lines: Iterable[Buffer] = [line]
        else:
            segments = data_segments(linear, host)
            on = origin_segments(place, choice.names, on_disks=on_disks)
            targets = linear_targets(volume.layout, segments, on)
            lines = linear_lines(*targets, as_json=format_name == "json")
        read = (pool, choice.names, place.files, _STDIN if dm_table == Path("-") else dm_table)
        with open_output(output, inputs_of(*read)) as file:
            for part in (table_json if format_name == "json" else table_text)(plan, lines):
                file.write(part)
        report.finish()


def _tables(path: Path | None) -> "DmTables | None":
    from thinmeta.formats.dm_table import DmTables

    if path is None:
        return None
    name = "standard input" if path == Path("-") else str(path)
    try:
        with click.open_file(str(path), errors="replace") as file:
            tables = DmTables.parse(file.read())
    except OSError as error:
        raise InputError(f"{name}: {(error.strerror or str(error)).lower()}") from error
    if not tables.thins and not tables.pools:
        raise InputError(f"{name}: has no line of a thin device or a thin-pool")
    return tables


def _thin_line(tables: "DmTables", device: str | None) -> "ThinLine | None":
    """Return the line that `device` names; None if it names none.

    Raises:
        NotThereError: there are several, or nothing was named.
    """
    found = [thin for thin in tables.thins if device in (None, thin.name, str(thin.device_id))]
    if len(found) > 1 or (device is None and not found):
        listed = ", ".join(f"{thin.name or 'without name'} ({thin.device_id})" for thin in found)
        raise NotThereError(
            f"the table has {len(found)} thin devices {'' if device is None else device}: "
            f"{listed or 'name one by its id'}"
        )
    return found[0] if found else None


def _sectors(size: int | None) -> int | None:
    if size is not None and size % SECTOR_BYTES:
        raise click.UsageError(f"--size: a device has whole sectors of {SECTOR_BYTES} bytes")
    return None if size is None else size // SECTOR_BYTES


def _pool_path(
    chosen: "ChosenDevice",
    host: "OnHost | None",
    pool_name: str | None,
    tables_thin: "tuple[DmTables | None, ThinLine | None]",
) -> str:
    """Return the pool as a table names it: as far as anybody knows it."""
    from thinmeta.device.kernel import holders_of

    if pool_name:
        is_name = "/" not in pool_name and not re.fullmatch(r"\d+:\d+", pool_name)
        return f"/dev/mapper/{pool_name}" if is_name else pool_name
    tables, thin = tables_thin
    if tables is not None and (known := tables.pool_of(thin)):
        return known
    if host is not None:
        return host.path
    holders = holders_of(Path(chosen.pool.source.device.name))
    return f"/dev/mapper/{holders[0]}" if holders else _ANY_POOL


def _volume_words(
    choice: MetadataChoice, place: TablePlace, *, has_data: bool, salvage: Salvage
) -> list[str]:
    """Return the words of a command line that name the device, and where its data is."""
    chosen = place.chosen
    words = [chosen.name, *choice.words(chosen.pool.source.device.name)]
    if choice.state is not None and "@" not in chosen.name:
        words += ["--state", str(choice.state)]
    if place.files.data is not None:
        words += ["--data", str(place.files.data)]
    elif not has_data:
        words += ["--data", "DATA"]
    if place.files.origin:
        words += ["--origin", str(place.files.origin)]
    return [*words, *salvage.words]
