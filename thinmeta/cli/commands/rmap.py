"""`thinmeta rmap`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinmeta.cli.damage import lost_lines, report_for
from thinmeta.cli.file_options import VolumeChoice, no_replay_option, part_options
from thinmeta.cli.files_by_block import FilesByBlock
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import (
    ParameterType,
    format_option,
    quiet_option,
    refuse_options,
)
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.volume_options import MAX_BYTES, Files, data_option
from thinmeta.units import Quantity

if TYPE_CHECKING:
    from thinmeta.analyse.rmap import Region
    from thinmeta.volume.byte_ranges import ByteRanges

_Bounds = tuple[Quantity, Quantity]
_OF_FILES = ("data", "no_replay", "partition", "inside")


class _RegionParameter(ParameterType):
    """A `B..E`, which arrives as two quantities."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; what is no region is a usage error."""
        if not isinstance(value, str):
            return value
        begin, dots, end = value.partition("..")
        if not dots:
            self.fail(f"{value!r} is no region: give B..E, from B up to but without E", param, ctx)
        try:
            bounds = Quantity.parse(begin), Quantity.parse(end)
        except ValueError as error:
            self.fail(f"{value!r} is no region B..E: {error}", param, ctx)
        same_unit = bounds[0].is_bytes == bounds[1].is_bytes or not bounds[0].number
        if same_unit and bounds[1].number <= bounds[0].number:
            self.fail(_empty(value), param, ctx)
        return value, bounds


@click.command()
@metadata_argument
@click.option(
    "--region",
    "regions",
    type=_RegionParameter(),
    metavar="B..E",
    multiple=True,
    required=True,
    help="These data blocks, from B up to but without E; with units (0..1G) bytes of the "
    "data device. Repeatable.",
)
@click.option(
    "--files",
    "of_files",
    is_flag=True,
    help="Show the files that are in these blocks, device by device.",
)
@format_option("text", "json", "csv")
@data_option
@no_replay_option
@part_options
@salvage_option
@output_option
@quiet_option
def rmap(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    regions: tuple[tuple[str, _Bounds], ...],
    of_files: bool,
    format_name: str,
    data: Path | None,
    no_replay: bool,
    partition: int | None,
    inside: str | None,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show which devices map which data blocks, as thin_rmap does, but all of them.

    Ranges are half-open, in blocks. thin_rmap leaves out what devices have below
    nodes of the metadata that they share.

    Where metadata is damaged nothing is shown, and the exit code is 5; with --salvage
    all that is sound is.

    With --files: below each line whose file, or what else, is in the blocks, such as those
    of a bad sector; with a region in bytes in these only. It takes the data: --data, --lvm or
    --docker-root say where it is.
    """
    from thinmeta.analyse.rmap import rmap as reversed_map
    from thinmeta.formats.rmap import rmap_lines
    from thinmeta.model.superblock import bytes_of_a_data_block

    if not of_files:
        refuse_options(_OF_FILES, "only goes")
    elif format_name == "csv":
        raise click.UsageError("--files goes with text and json, not with csv")
    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        in_bytes = any(bound.is_bytes for _, bounds in regions for bound in bounds)
        block_bytes = 1
        if in_bytes:
            whole_pool.data_block_bytes()  # fails where nobody knows it
            block_bytes = bytes_of_a_data_block(whole_pool.superblock)
        blocks = [_in_blocks(text, bounds, block_bytes) for text, bounds in regions]
        pool, losses = report.prepared(whole_pool, progress)
        if of_files:
            from thinmeta.formats.files import joined
            from thinmeta.formats.region_files import region_lines

            files = Files(data, None)
            place = VolumeChoice(
                choice, files, None, not no_replay, partition, inside, salvage, quiet
            )
            found = FilesByBlock(place, whole_pool, report)
            runs = found.runs(pool, _in_bytes(regions, pool.data_block_bytes()), progress)
            with open_output(output, found.inputs) as file, progress:
                for lines in joined(region_lines(runs, is_json=format_name == "json")):
                    file.write(lines)
                for line in lost_lines(losses) if format_name == "json" else ():
                    file.write(line)
            found.finish()
            return
        pieces = reversed_map(pool, blocks, on_progress=progress.advance)
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file, progress:
            for part in rmap_lines(pieces, format_name):
                file.write(part)
            if format_name == "json":
                for line in lost_lines(losses):
                    file.write(line)
        report.finish()


def _in_blocks(text: str, bounds: _Bounds, block_bytes: int) -> "Region":
    """Return a region in blocks; of bytes, all blocks that it touches."""
    from thinmeta.analyse.rmap import Region

    begin, end = (bound.in_bytes(block_bytes) for bound in bounds)
    if end <= begin:
        raise click.BadParameter(_empty(text), param_hint="'--region'")
    return Region(begin // block_bytes, -(-end // block_bytes))


def _in_bytes(regions: tuple[tuple[str, _Bounds], ...], block_bytes: int) -> "ByteRanges":
    """Return regions as bytes of the data device, no more than any has."""
    import numpy as np

    from thinmeta.volume.byte_ranges import ByteRanges

    bounds = [
        [
            min(bound.number if bound.is_bytes else bound.number * block_bytes, MAX_BYTES)
            for bound in pair
        ]
        for _, pair in regions
    ]
    begin, end = np.array(bounds, dtype=np.uint64).T
    return ByteRanges.of(begin, end)


def _empty(text: str) -> str:
    return f"the region {text} is empty: its end must be greater than its begin"
