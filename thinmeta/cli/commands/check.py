"""`thinmeta check`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.ending import failure
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import NUMBER, format_option
from thinmeta.cli.progress import Progress
from thinmeta.errors import ExitCode, ThinmetaError, WipedSuperblockError

if TYPE_CHECKING:
    from thinmeta.analyse.check.findings import CheckOptions, CheckReport


@click.command()
@metadata_argument
@format_option("text", "json")
@click.option("--skip-mappings", is_flag=True, help="Only the superblock and the device trees.")
@click.option("--super-block-only", is_flag=True, help="Only the superblock.")
@click.option(
    "--ignore-non-fatal", is_flag=True, help="End with 0 where only leaks or the like are found."
)
@click.option(
    "--mapping-root", type=NUMBER, metavar="BLOCK", help="Root of the mapping tree to check."
)
@click.option(
    "--details-root", type=NUMBER, metavar="BLOCK", help="Root of the device details to check."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing at all; the exit code tells.")
@output_option
def check(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    format_name: str,
    skip_mappings: bool,
    super_block_only: bool,
    ignore_non_fatal: bool,
    mapping_root: int | None,
    details_root: int | None,
    quiet: bool,
    output: Path | None,
) -> None:
    """Check the pool whose metadata device or image METADATA is; nothing is written to it.

    All that is wrong is found in one go: superblock, metadata snapshot, devices, every
    mapping tree, and both space maps, whose reference counts are counted anew.

    Exit codes: 0 healthy; 7 only findings that are not fatal, such as leaked blocks; 5
    damage.
    """
    from thinmeta.analyse.check.findings import CheckExtent, CheckOptions, Severity
    from thinmeta.units import MetadataBlock

    extent = CheckExtent.DEVICES if skip_mappings else CheckExtent.ALL
    options = CheckOptions(
        CheckExtent.SUPERBLOCK if super_block_only else extent,
        None if mapping_root is None else MetadataBlock(mapping_root),
        None if details_root is None else MetadataBlock(details_root),
    )
    try:
        report = _checked(choice, options, format_name, output, quiet=quiet)
    except ThinmetaError as error:
        # That there was a superblock once is damage, whatever else may be left.
        is_damage = isinstance(error, WipedSuperblockError)
        code = ExitCode.DAMAGE if is_damage else error.exit_code
        if quiet:
            raise SystemExit(int(code)) from error
        raise failure(str(error), code) from error
    if report.worst is None or (report.worst is Severity.NOT_FATAL and ignore_non_fatal):
        return
    is_fatal = report.worst is Severity.FATAL
    code = ExitCode.DAMAGE if is_fatal else ExitCode.LEAKS
    if quiet:
        raise SystemExit(int(code))
    what = "the metadata is damaged" if is_fatal else "found only what is not fatal"
    raise failure(f"{choice.path or 'the active pool'}: {what}", code)


def _checked(
    choice: MetadataChoice,
    options: "CheckOptions",
    format_name: str,
    output: Path | None,
    *,
    quiet: bool,
) -> "CheckReport":
    """Check, and print what is found unless it was to be quiet."""
    from thinmeta.analyse.check.checker import check_pool
    from thinmeta.formats.check_report import REPORTS

    damage_report = DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, damage_report) as pool:
        damage_report.warn_of(pool)
        damage_report.warn_of_time(pool)
        if quiet and output is None:
            return check_pool(pool, options)
        style = REPORTS[format_name]()
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            file.write(style.header(pool.live_superblock))
            with progress:
                report = check_pool(pool, options, progress.advance)
            for line in style.report(report):
                file.write(line)
        return report
