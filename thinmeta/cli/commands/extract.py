"""`thinmeta extract`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import report_for
from thinmeta.cli.extraction import Extracting
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import force_option, output_option
from thinmeta.cli.parameters import DEVICE, FILE, format_option, quiet_option, refuse_options
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.volume_options import (
    Files,
    bytes_of,
    data_option,
    inputs_of,
    origin_option,
    size_option,
)
from thinmeta.errors import SalvagedError

if TYPE_CHECKING:
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.units import Quantity


@click.command()
@click.argument("device", type=DEVICE, required=False)
@click.option(
    "--all",
    "folder",
    type=FILE,
    metavar="DIR",
    help="Write all volumes of the state, each to a file in DIR that has its name.",
)
@data_option
@output_option
@size_option
@origin_option
@metadata_options
@salvage_option
@click.option(
    "--map",
    "map_path",
    type=FILE,
    metavar="FILE",
    help="Where --salvage keeps its map. Default: OUT.map; a block device has no default.",
)
@force_option("--force")
@format_option(
    "text",
    "json",
    what="How to list, on standard error, what --salvage left out; and the report of --all.",
)
@quiet_option
def extract(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec | None",
    folder: Path | None,
    data: Path | None,
    origin: Path | None,
    size: "Quantity | None",
    choice: MetadataChoice,
    salvage: Salvage,
    map_path: Path | None,
    force: bool,
    format_name: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Write the contents of DEVICE as a sparse raw image.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. What it does not map is a hole, or is taken from
    its external origin.

    With --salvage, what is lost or cannot be read is left a hole and listed. The
    output, and a map in the format of GNU ddrescue (OUT.map, or where --map says), stay
    when the run is cut short; the same command goes on from there.

    --all DIR takes no DEVICE: it writes every volume, goes on after one that cannot be
    had, and prints what became of each. The exit code is that of the worst.
    """
    from thinmeta.cli.all_volumes import extract_all
    from thinmeta.device.outputs import OutputKind, kind_of

    _refuse(device, folder, output, map_path, salvage=bool(salvage))
    is_json = format_name == "json"
    report = report_for(salvage=salvage, quiet=quiet or is_json)
    files = Files(data, origin)
    how = Extracting(
        files, choice.names, report, salvage=bool(salvage), is_json=is_json, quiet=quiet
    )
    if folder is not None:
        with opened(choice, report) as pool:
            report.warn_of(pool)
            extract_all(pool, folder, how, force=force)
        return
    assert device is not None  # as `_refuse` sees to
    is_stream = kind_of(output) is OutputKind.STREAM
    with opened(choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = choice.choose(pool, device)
        inputs = inputs_of(pool, choice.names, files)
        if output is not None and not is_stream:
            inputs.refuse(output)
        with how.opened(chosen, bytes_of(size), is_stream=is_stream) as (extraction, _):
            if output is None or is_stream:
                extraction.to_stream(output, inputs, salvage=bool(salvage))
            elif salvage:
                extraction.rescue(output, inputs, map_path, force=force)
            else:
                extraction.to_place(output, force=force)
    report.finish()
    if extraction.lost_bytes:
        raise SalvagedError(
            f"{output or 'standard output'}: {extraction.lost_bytes} bytes could not be read and "
            "are zeros; all else was written"
        )


def _refuse(
    device: "DeviceSpec | None",
    folder: Path | None,
    output: Path | None,
    map_path: Path | None,
    *,
    salvage: bool,
) -> None:
    """Refuse what does not go together on the command line."""
    if folder is not None:
        if device is not None:
            raise click.UsageError("--all takes no DEVICE: it writes all of them")
        refuse_options(("output", "map_path", "size", "origin"), "does not go", "--all")
        return
    if device is None:
        raise click.UsageError("Missing argument 'DEVICE'; --all DIR writes all of them.")
    if output in (None, Path("-")) and sys.stdout.isatty():
        raise click.UsageError("an image is not for a terminal: give -o FILE, or pipe it on")
    if map_path is not None and (not salvage or output in (None, Path("-"))):
        raise click.UsageError("--map is for --salvage with -o FILE or a block device")
    if map_path == Path("-"):
        raise click.UsageError("--map: a map is a file that is read and replaced, no stream")
