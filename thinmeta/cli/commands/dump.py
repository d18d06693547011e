"""`thinmeta dump`."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, SalvageReport, lost_lines
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, NUMBER, NUMBER_32, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.repairing import (
    opened_for_repair,
    tell_of_choices,
    tell_of_contradictions,
    tell_of_likely,
)
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.units import SECTOR_BYTES

if TYPE_CHECKING:
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.listing import Listing
    from thinmeta.model.pool import Pool
    from thinmeta.walk.stream import StreamPart


@click.command()
@partial(metadata_argument, block_size=NUMBER_32)  # as thin_dump, which prints any
@click.option(
    "-f",
    "--format",
    "format_name",
    type=click.Choice(["xml", "human_readable", "json"]),
    default="xml",
    show_default=True,
    help="json: one object a line, what devices share written out in full.",
)
@click.option(
    "--compat",
    type=click.Choice(["1.1", "0.9"]),
    default="1.1",
    show_default=True,
    help="The thin_dump to equal; 0.9 writes shared mappings in each device.",
)
@click.option(
    "--dev-id",
    "devices",
    type=DEVICE,
    metavar="DEVICE",
    multiple=True,
    help="Only this device, by its id or a name; repeatable.",
)
@click.option(
    "--ignore-unknown",
    is_flag=True,
    hidden=True,
    help="Leave out devices of --dev-id that are not there, as thin_dump does.",
)
@click.option("--skip-mappings", is_flag=True, help="Devices only, without what they map.")
@click.option(
    "-r",
    "--repair",
    is_flag=True,
    help="Print what the pool is best gone on with: --salvage, and where the superblock or "
    "what it leads to is lost, the best state that a scan finds.",
)
@salvage_option
@output_option
@quiet_option
@click.option(
    "--transaction-id", type=NUMBER, metavar="N", default=0, help="Print N where it is higher."
)
@click.option(
    "--nr-data-blocks", type=NUMBER, metavar="N", default=0, help="Print N where it is higher."
)
def dump(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    format_name: str,
    compat: str,
    devices: "tuple[DeviceSpec, ...]",
    ignore_unknown: bool,
    skip_mappings: bool,
    repair: bool,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
    transaction_id: int,
    nr_data_blocks: int,
) -> None:
    """Print the pool whose metadata device or image METADATA is, as thin_dump prints it.

    METADATA is a device, an image, or an image compressed with gzip, bzip2, xz or
    zstd. Without it the environment's THINMETA_POOL is read, or else the metadata
    snapshot of the only active thin-pool.

    Where metadata is damaged the output ends before the first line that could be
    wrong, and the exit code is 5. With --salvage it goes on: all that is sound is
    printed, and what is lost is said on stderr.
    """
    from thinmeta.formats.printable import command_text
    from thinmeta.formats.style import DumpHeader
    from thinmeta.formats.style import dump as dumped
    from thinmeta.formats.styles import style_for
    from thinmeta.model.listing import Listing

    style, sharing = style_for(format_name, compat)
    choice = _of_one_state(choice, devices)
    salvage_report = SalvageReport(likely=salvage is Salvage.LIKELY, quiet=quiet)
    report = salvage_report if repair or salvage else DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    with ExitStack() as stack:
        chosen = None
        if repair:
            chosen = stack.enter_context(opened_for_repair(choice, salvage_report, progress))
        opened_pool = chosen.pool if chosen else stack.enter_context(opened(choice, report))
        report.warn_of(opened_pool)
        resolved = [choice.resolved(opened_pool, device) for device in devices]
        selected = frozenset(each.device_id for each in resolved if each.device_id is not None)
        pool, losses = report.prepared(
            opened_pool, progress, selected or None, chosen.rebuilt if chosen else None
        )
        if chosen is not None:
            tell_of_choices(chosen, losses, choice, salvage_report, progress, is_all=not selected)
            words = [word for each in sorted(selected) for word in ("--dev-id", str(each))]
            words += choice.words(opened_pool.source.device.name)
            words += [] if choice.state is None else ["--state", str(choice.state)]
            again = command_text("dump", "--repair", "--salvage-likely", *words)
            tell_of_likely(chosen, losses, again, salvage_report, progress)
            tell_of_contradictions(chosen, selected or None, salvage_report)
        listing = Listing(
            pool,
            selected=selected or None,
            ignore_unknown=ignore_unknown,
            sharing=sharing,
            losses=losses,
            mappings=not skip_mappings,
        )
        superblock = pool.superblock
        header = DumpHeader(
            superblock,
            max(transaction_id, superblock.transaction_id),
            pool.data_block_bytes() // SECTOR_BYTES,
            max(nr_data_blocks, _nr_data_blocks(pool, format_name)),
        )
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file, progress:
            lost = lost_lines(losses) if format_name == "json" else ()
            for text in dumped(header, _parts(listing, progress, report), style, lost):
                file.write(text)
        report.finish()


def _of_one_state(choice: MetadataChoice, devices: "tuple[DeviceSpec, ...]") -> MetadataChoice:
    """Return the choice of the state that the devices are of.

    Raises:
        UsageError: they are of several, or one has no id.
    """
    from thinmeta.model.state import State

    if not devices:
        return choice
    for device in devices:
        if device.root is not None:
            raise click.UsageError(f"--dev-id takes an id or a name, not {device.text}")
    choice = choice.for_devices(*devices)
    if any(device.state not in (None, choice.state or State.LIVE) for device in devices):
        raise click.UsageError("--dev-id: a dump is of one state; give --state")
    return choice


def _nr_data_blocks(pool: "Pool", format_name: str) -> int:
    """Return what to print: a held superblock says 0, which only thin_dump's texts repeat."""
    superblock = pool.live_superblock if format_name == "json" else pool.superblock
    return superblock.data_space_map.nr_blocks


def _parts(listing: "Listing", progress: Progress, report: DamageReport) -> "Iterator[StreamPart]":
    for part in listing.parts():
        progress.advance(part.nr_leaves, listing.nr_leaves)
        yield part
    if report.incomplete is not None:
        report.finish()  # before the end is printed, which only a complete dump has
