"""`thinmeta info`."""

from dataclasses import replace
from pathlib import Path

import click

from thinmeta.cli.damage import report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option


@click.command()
@metadata_argument
@format_option("text", "json")
@click.option(
    "--histograms",
    "with_histograms",
    is_flag=True,
    help="Lengths of runs and ref counts of blocks, too; reads all mappings.",
)
@salvage_option
@output_option
@quiet_option
def info(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    format_name: str,
    with_histograms: bool,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show what METADATA says of the pool as a whole: how full it is, and its flags.

    Blocks in use are those of the live pool, with -m too. Where damage hides a
    number the rest is shown, and the exit code is 5.
    """
    from thinmeta.analyse.info import describe
    from thinmeta.formats import info as formats

    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        report.warn_of_time(whole_pool)
        if whole_pool.superblock_damage is not None:
            report.fail_for(whole_pool.superblock_damage, whole_pool.source.device.name)
        left, _ = report.prepared(whole_pool, progress)
        # What is made up for lost details is not what the superblock says.
        pool = replace(left, superblock=whole_pool.superblock)
        described = describe(pool)
        is_json = format_name == "json"
        lines = list((formats.info_json if is_json else formats.info_text)(described))
        lost = list(described.lost)
        if with_histograms:
            from thinmeta.analyse.histograms import histograms_of

            with progress:
                histograms = histograms_of(pool, progress.advance)
            lines += (formats.histograms_json if is_json else formats.histograms_text)(histograms)
            lost += [damage for damage in histograms.lost if damage not in lost]
        pool.verify_unchanged()
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            for line in lines:
                file.write(line)
        for damage in [*lost[1:], *described.disagreements]:
            report.warn(str(damage))
        if lost:
            report.fail_for(lost[0], pool.source.device.name)
        report.finish()
