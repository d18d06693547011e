"""`thinmeta block`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import NUMBER, format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.whole_metadata import (
    WholeChoice,
    missing_from,
    opened_whole,
    warn_of,
    whole_metadata_options,
)
from thinmeta.errors import SalvagedError

if TYPE_CHECKING:
    from thinmeta.analyse.block.scanned_blocks import ScannedBlocks


@click.command()
@click.argument("blocks", type=NUMBER, metavar="[N...]", nargs=-1)
@whole_metadata_options
@format_option("text", "json")
@click.option(
    "--diff",
    "compared",
    type=(NUMBER, NUMBER),
    default=None,
    metavar="A B",
    help="Compare two blocks instead, by their fields and entries.",
)
@click.option("--raw", is_flag=True, help="Show the bytes beside what they mean, and all of them.")
@click.option("--all", "show_all", is_flag=True, help="Show all rows of each table; json has all.")
@output_option
@quiet_option
def block(  # noqa: PLR0913  # one parameter an option
    *,
    blocks: tuple[int, ...],
    choice: WholeChoice,
    format_name: str,
    compared: tuple[int, int] | None,
    raw: bool,
    show_all: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show what is in the metadata blocks N: each field, its place and its meaning.

    Also whether its checksum is right, what it is, who refers to it, how often it is in
    use, which states lead to it, and which other versions of it are on disk. For that
    all blocks are read, once, and no superblock is needed.
    """
    from thinmeta.analyse.block.scanned_blocks import ScannedBlocks

    if bool(blocks) == (compared is not None):
        raise click.UsageError("give the blocks N to show, or --diff with two blocks to compare")
    if compared and raw:
        raise click.UsageError("--raw does not go with --diff")
    report = DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened_whole(choice) as device:
        warn_of(device, choice, report)
        with progress:
            whole = ScannedBlocks.of(device, progress.advance)
        for warning in missing_from(whole.scan):
            report.warn(f"{device.name}: {warning}")
        whole.refuse_missing(*(compared or blocks))
        with open_output(output, choice.names.inputs(device.name)) as file:
            if compared:
                lines = _difference(whole, compared, format_name, show_all=show_all)
            else:
                lines = _blocks(whole, blocks, format_name, show_all=show_all, raw=raw)
            for line in lines:
                file.write(line)
        unreadable = [each for each in compared or blocks if whole.is_unreadable(each)]
    if unreadable:
        raise SalvagedError(
            f"{device.name}: blocks that cannot be read: {', '.join(map(str, unreadable))}"
        )


def _blocks(
    whole: "ScannedBlocks", blocks: tuple[int, ...], format_name: str, *, show_all: bool, raw: bool
) -> Iterator[bytes]:
    from thinmeta.analyse.block.look import look_at
    from thinmeta.formats.block import block_text
    from thinmeta.formats.block_objects import JSON_END, block_json

    for place, number in enumerate(blocks):
        found = look_at(whole, number)
        if format_name == "json":
            yield from block_json(found, raw=raw)
        else:
            yield b"\n" if place else b""
            yield from block_text(found, show_all=show_all, raw=raw)
    if format_name == "json":
        yield JSON_END


def _difference(
    whole: "ScannedBlocks", blocks: tuple[int, int], format_name: str, *, show_all: bool
) -> Iterator[bytes]:
    from thinmeta.analyse.block.block_diff import block_difference
    from thinmeta.analyse.block.look import look_at
    from thinmeta.formats.block_difference import difference_json, difference_text
    from thinmeta.formats.block_objects import JSON_END

    found = block_difference(*(look_at(whole, number) for number in blocks))
    if format_name == "json":
        yield from difference_json(found)
        yield JSON_END
    else:
        yield from difference_text(found, show_all=show_all)
