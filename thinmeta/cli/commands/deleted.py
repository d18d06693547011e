"""`thinmeta deleted`."""

from functools import partial
from pathlib import Path

import click

from thinmeta.cli.damage import report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option


@click.command()
@partial(metadata_argument, has_states=False)
@format_option("text", "json")
@salvage_option
@output_option
@quiet_option
def deleted(  # one parameter an option
    *,
    choice: MetadataChoice,
    format_name: str,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
) -> None:
    """List the devices that were deleted from the pool METADATA, best kept first.

    Each with its name, as LVM's older texts or Docker know it, the newest state that has all
    of it, and what became of its data since: whether others use it now. All blocks of the
    metadata are read, and all mappings of the pool, once.
    """
    from thinmeta.analyse.deleted import deleted_devices
    from thinmeta.analyse.recover.block_classes import BlockClass
    from thinmeta.analyse.recover.scan import scan
    from thinmeta.formats.deleted import deleted_json, deleted_text
    from thinmeta.model.state import Roots, State

    if isinstance(choice.state, Roots):
        raise click.UsageError("deleted holds all states against the live one: it takes no --state")
    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report, all_blocks=True) as pool:
        report.warn_of(pool)
        live, _ = report.prepared(pool.in_state(State.LIVE), progress)
        catalogues = choice.names.catalogues(pool)
        with progress:
            found = scan(pool.source.device, progress.advance)
        with progress:
            devices = deleted_devices(found, live, catalogues, progress.advance)
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            lines = (
                deleted_json(devices)
                if format_name == "json"
                else deleted_text(devices, choice.words(pool.source.device.name))
            )
            for line in lines:
                file.write(line)
        if nr_unreadable := found.count(BlockClass.UNREADABLE):
            report.costs(
                f"{pool.source.device.name}: blocks that cannot be read: {nr_unreadable}; what "
                "was deleted may be more, and newer states may have more of it"
            )
        report.finish()
