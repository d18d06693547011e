"""`thinmeta fate`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import lost_lines, report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option

if TYPE_CHECKING:
    from thinmeta.analyse.fate_ranges import Fates
    from thinmeta.formats.style import Buffer
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.losses import Losses


@click.command()
@click.argument("device", type=DEVICE)
@metadata_options
@format_option("text", "json", "csv")
@click.option("--verbose", is_flag=True, help="Show the ranges; json and csv always do.")
@salvage_option
@output_option
@quiet_option
def fate(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    choice: MetadataChoice,
    format_name: str,
    verbose: bool,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show what became of the data of DEVICE, which is one of a past state.

    DEVICE is an id or a name with its state, such as 12@5120:5127, by the roots that
    `thinmeta scan` lists, or 12@snap; or root:N for the mapping tree at metadata
    block N, which no state holds. Each data block that it maps is held against what
    the pool maps now: what is kept, shared or free may be read back, what is taken
    cannot.
    """
    from thinmeta.analyse.fate import fates, live_state

    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        past = choice.choose(pool, device)
        _, of_pool = report.prepared(live_state(past), progress)
        (past,), of_device = report.prepared_devices(past)
        with progress:
            found = fates(past, progress.advance)
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            for text in _text(past, found, format_name, verbose=verbose):
                file.write(text)
            if format_name == "json":
                for line in lost_lines(_joined(of_pool, of_device)):
                    file.write(line)
        report.finish()


def _joined(*parts: "Losses | None") -> "Losses | None":
    from thinmeta.model.losses import Losses

    known = [part for part in parts if part is not None]
    return Losses.joined(known) if known else None


def _text(
    past: "ChosenDevice", found: "Fates", format_name: str, *, verbose: bool
) -> "Iterator[Buffer]":
    from thinmeta.formats import fate as formats

    if format_name == "csv":
        yield formats.CSV_HEADER
    elif format_name == "json":
        yield formats.summary_json(past, found)
    else:
        yield formats.summary_text(past, found)
        if not verbose:
            return
        yield b"\n"
    yield from formats.range_lines(found.pieces(), format_name)
