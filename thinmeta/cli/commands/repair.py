"""`thinmeta repair`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import SalvageReport, lost_lines
from thinmeta.cli.metadata import MetadataChoice, metadata_options
from thinmeta.cli.new_metadata import (
    bytes_of,
    new_metadata_options,
    size_as_before,
    warn_of_unusable_ids,
)
from thinmeta.cli.output import open_output
from thinmeta.cli.parameters import FILE, format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.repairing import (
    opened_for_repair,
    tell_of_choices,
    tell_of_likely,
    tell_of_written,
)

if TYPE_CHECKING:
    from thinmeta.units import Quantity


@click.command()
@metadata_options
@click.option(
    "-i",
    "--input",
    "source",
    type=FILE,
    metavar="METADATA",
    help="The same as --pool.",
)
@new_metadata_options
@format_option("text", "json")
@click.option(
    "--no-report",
    is_flag=True,
    hidden=True,
    help="Do not say what was written, as thin_repair does not.",
)
@quiet_option
def repair(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    source: Path | None,
    output: Path,
    force: bool,
    metadata_size: "Quantity | None",
    format_name: str,
    no_report: bool,
    quiet: bool,
    transaction_id: int | None,
    nr_data_blocks: int,
) -> None:
    """Make new metadata out of what is left of a broken pool's.

    The old metadata is only read. What is lost is said on stderr, and the exit code is
    then 6; what is shared stays shared. It is what `dump --repair` prints, restored. The
    new metadata is as large as the old, or as the device that it is written to.

    A repair chooses the state itself, and says in a table what each choice keeps; --state
    takes another.
    """
    from thinmeta.analyse.recover.repair import header_of
    from thinmeta.builder.metadata_target import open_target
    from thinmeta.builder.restore import build_within
    from thinmeta.formats.printable import command_text
    from thinmeta.formats.repair import repaired_json, repaired_text
    from thinmeta.formats.states import choices_json
    from thinmeta.model.listing import Listing

    if source and choice.path:
        raise click.UsageError("METADATA is given twice: with --input and with --pool")
    report = SalvageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    size = bytes_of(metadata_size, report)
    choice = choice._replace(path=source or choice.path)
    with opened_for_repair(choice, report, progress) as chosen:
        found = chosen.pool
        report.warn_of(found)
        inputs = choice.names.inputs(found.source.device.name)
        inputs.refuse(output)
        pool, losses = report.prepared(found, progress, found=chosen.rebuilt)
        choices = tell_of_choices(chosen, losses, choice, report, progress)
        words = choice.words(found.source.device.name)
        words += [] if choice.state is None else ["--state", str(choice.state)]
        again = f"{command_text('dump', '--repair', '--salvage-likely', *words)} | "
        again += command_text("restore", "-i", "-", "-o", "NEW")
        tell_of_likely(chosen, losses, again, report, progress)
        listing = Listing(pool, sharing=True, losses=losses)
        header = header_of(pool)._replace(
            transaction_id=max(transaction_id or 0, pool.superblock.transaction_id),
            nr_data_blocks=max(nr_data_blocks, pool.superblock.data_space_map.nr_blocks) or None,
        )
        size = size_as_before(size, output, pool.source.nr_blocks)
        with open_target(output, inputs, force=force, size_bytes=size) as target:
            restored = build_within(header, listing.parts, target)
        tell_of_written(chosen, output, report)
    warn_of_unusable_ids(restored, report)
    if no_report:
        report.finish()
        return
    style = repaired_json if format_name == "json" else repaired_text
    with open_output(None, inputs) as file:
        for line in style(output, restored):
            file.write(line)
        if format_name == "json":
            for line in (*lost_lines(losses), *choices_json(choices)):
                file.write(line)
    report.finish()
