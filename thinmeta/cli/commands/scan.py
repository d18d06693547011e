"""`thinmeta scan`."""

from pathlib import Path

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.disk_scan import disk_lines, path_of
from thinmeta.cli.naming import metadata_words
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.whole_metadata import (
    WholeChoice,
    missing_from,
    opened_whole,
    warn_of,
    whole_metadata_argument,
)
from thinmeta.errors import InputError, SalvagedError


@click.command()
@whole_metadata_argument
@format_option("text", "json")
@click.option("--all", "show_all", is_flag=True, help="Show all states and orphans; json has all.")
@output_option
@quiet_option
def scan(  # one parameter an option
    *,
    choice: WholeChoice,
    format_name: str,
    show_all: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """List what is left in METADATA: states that the pool was in, and parts of devices.

    Metadata is copied when it is written, so older states and deleted devices stay until
    their blocks are used again. All blocks are read, and no superblock is needed.

    Of a disk that does not begin with metadata: the bytes where metadata begins, at any
    sector, as METADATA@BYTE takes them.
    """
    from thinmeta.analyse.recover.block_classes import BlockClass
    from thinmeta.analyse.recover.scan import scan as scanned
    from thinmeta.formats.scan import scan_json, scan_text

    report = DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    on_disk = disk_lines(choice, format_name, report, progress)
    if on_disk is not None:
        with open_output(
            output, choice.names.inputs(*map(str, filter(None, [path_of(choice)])))
        ) as file:
            for line in on_disk:
                file.write(line)
        return
    with opened_whole(choice) as device:
        path = device.name
        warn_of(device, choice, report)
        with progress:
            found = scanned(device, progress.advance)
        if found.is_empty:
            raise InputError(
                f"{path}: has no thin-pool superblock in its first block, "
                "and nothing else of a thin pool in any other"
            )
        for warning in missing_from(found):
            report.warn(f"{path}: {warning}")
        if format_name == "json":
            lines = scan_json(found)
        else:
            words = metadata_words(choice.names, choice.path, path)
            if not found.superblocks and choice.names.data_block_sectors() is None:
                words += ["--data-block-size", "SECTORS"]  # nothing says it
            lines = scan_text(found, words, show_all=show_all)
        with open_output(output, choice.names.inputs(device.name)) as file:
            for line in lines:
                file.write(line)
    if nr_unreadable := found.count(BlockClass.UNREADABLE):
        raise SalvagedError(
            f"{path}: blocks that cannot be read: {nr_unreadable}; what they held is missing"
        )
