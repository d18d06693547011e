"""`thinmeta extract`."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, lost_lines, report_for, salvage_option
from thinmeta.cli.ending import say
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import force_option, open_output, output_option
from thinmeta.cli.parameters import DEVICE, FILE, format_option, quiet_option
from thinmeta.cli.progress import Progress, bytes_text
from thinmeta.cli.volume_options import (
    Files,
    bytes_of,
    data_option,
    inputs_of,
    open_needed_data,
    origin_option,
    read_layout,
    size_option,
    with_origin,
)

if TYPE_CHECKING:
    from thinmeta.device.inputs import Inputs
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.units import Quantity
    from thinmeta.volume.layout import Layout
    from thinmeta.volume.sources import Sources, Unreadable
    from thinmeta.volume.subject import Subject


@click.command()
@click.argument("device", type=DEVICE)
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
@format_option("text", "json", what="How to list, on standard error, what --salvage left out.")
@quiet_option
def extract(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    data: Path | None,
    origin: Path | None,
    size: "Quantity | None",
    choice: MetadataChoice,
    salvage: bool,
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
    """
    from thinmeta.device.outputs import OutputKind, kind_of
    from thinmeta.volume.sources import SMALLEST_READ

    if output in (None, Path("-")) and sys.stdout.isatty():
        raise click.UsageError("an image is not for a terminal: give -o FILE, or pipe it on")
    if map_path is not None and (not salvage or output in (None, Path("-"))):
        raise click.UsageError("--map is for --salvage with -o FILE or a block device")
    if map_path == Path("-"):
        raise click.UsageError("--map: a map is a file that is read and replaced, no stream")
    report = report_for(salvage=salvage, quiet=quiet or format_name == "json")
    kind = kind_of(output)
    with opened(choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = choice.choose(pool, device)
        size_bytes = chosen.size if size is None else bytes_of(size)
        # Past the page cache, where only whole sectors are read, as they are not for a stream.
        direct = kind is not OutputKind.STREAM and (size_bytes or 0) % SMALLEST_READ == 0
        files = Files(data, origin)
        inputs = inputs_of(pool, choice.names, files)
        if output is not None and kind is not OutputKind.STREAM:
            inputs.refuse(output)
        data_device = open_needed_data(pool, files, choice.names, report, direct=direct)
        parts = (chosen, data_device, files, choice.names, report)
        with closing(with_origin(*parts, direct=direct)) as sources:
            layout, losses = read_layout(
                chosen,
                report,
                size=size_bytes,
                data_bytes=sources.data.size,
                origin_bytes=sources.origin_bytes,
            )
            if layout.nr_left_out:
                report.warn(
                    f"device {chosen.name}: {layout.nr_left_out} of its mapped blocks are past the "
                    f"size of {layout.size} bytes and are left out"
                )
            elif not len(layout.pieces):
                report.warn(
                    f"device {chosen.name}: maps no blocks, so all of it will be zeros; "
                    "a repair may have lost its mappings"
                )
            if not salvage:
                report.finish()  # before there is any output
            is_json = format_name == "json"
            for line in lost_lines(losses) if is_json else ():
                say(line.decode(), nl=False)
            extraction = _Extraction(chosen, layout, sources, report, is_json=is_json, quiet=quiet)
            if output is None or kind is OutputKind.STREAM:
                extraction.to_stream(output, inputs, salvage=salvage)
            elif salvage:
                extraction.rescue(output, inputs, map_path, force=force)
            else:
                extraction.to_place(output, force=force)
    extraction.finish(output)


class _Extraction:
    """One extraction: where from, and what could not be read."""

    def __init__(  # noqa: PLR0913  # what it is about
        self,
        chosen: "ChosenDevice",
        layout: "Layout",
        sources: "Sources",
        report: DamageReport,
        *,
        is_json: bool,
        quiet: bool,
    ) -> None:
        self._chosen = chosen
        self._layout = layout
        self._sources = sources
        self._report = report
        self._is_json = is_json
        self._progress = Progress(quiet=quiet, text=bytes_text)
        self._lost_bytes = 0

    def to_stream(self, output: Path | None, inputs: "Inputs", *, salvage: bool) -> None:
        """Write it in order."""
        from thinmeta.volume.extract import raise_unreadable, stream

        on_unreadable = self._leave_out if salvage else raise_unreadable
        with self._progress, open_output(output, inputs) as file:
            for part in stream(
                self._layout,
                self._sources,
                on_unreadable=on_unreadable,
                on_progress=self._progress.advance,
            ):
                file.write(part)

    def to_place(self, output: Path, *, force: bool) -> None:
        """Write it to a file, whole or not at all, or to a block device."""
        from thinmeta.device.outputs import OutputKind, errors_of, kind_of
        from thinmeta.device.replacing import opened_device, replacing
        from thinmeta.volume.copy_target import BlockTarget, FileTarget
        from thinmeta.volume.extract import copy

        is_device = kind_of(output) is OutputKind.DEVICE
        place, new_target = (opened_device, BlockTarget) if is_device else (replacing, FileTarget)
        with (
            errors_of(str(output)),
            place(output, force=force) as fd,
            self._progress,
        ):
            target = new_target(fd, self._layout.size)
            for _ in copy(self._layout, self._sources, target, on_progress=self._progress.advance):
                pass

    def rescue(self, output: Path, inputs: "Inputs", map_path: Path | None, *, force: bool) -> None:
        """Write what can be had, and the map of it; go on where a run was cut short."""
        from thinmeta.device.outputs import errors_of
        from thinmeta.volume.rescue import open_rescue

        with (
            errors_of(str(output)),
            open_rescue(
                output,
                self._subject(),
                self._layout.size,
                inputs,
                map_path=map_path,
                force=force,
            ) as rescue,
            self._progress,
        ):
            rescue.run(
                self._layout,
                self._sources,
                on_unreadable=self._leave_out,
                on_progress=self._progress.advance,
            )

    def finish(self, output: Path | None) -> None:
        """Fail if anything is missing in what was written.

        Raises:
            SalvagedError: something is.
        """
        from thinmeta.errors import SalvagedError

        self._report.finish()
        if self._lost_bytes:
            raise SalvagedError(
                f"{output or 'standard output'}: {self._lost_bytes} bytes could not be read and "
                "are zeros; all else was written"
            )

    def _subject(self) -> "Subject":
        """Return what the map of a rescue goes with."""
        from thinmeta.model.superblock import checksum_of
        from thinmeta.volume.subject import Subject, sample

        pool = self._chosen.pool
        superblock = pool.superblock
        return Subject(
            f"device {self._chosen.name}, transaction {superblock.transaction_id}, "
            f"time {superblock.time}, blocks of {self._layout.block_bytes} bytes",
            f"superblock checksum {checksum_of(pool.source.device, superblock):#010x}, "
            f"mapping root {superblock.data_mapping_root}, "
            f"details root {superblock.device_details_root}",
            sample(self._sources.data),
            sample(self._sources.origin) if self._sources.origin is not None else None,
        )

    def _leave_out(self, unreadable: "Unreadable") -> None:
        from thinmeta.formats.unreadable import unreadable_json
        from thinmeta.volume.layout import Source

        self._lost_bytes += unreadable.length
        if self._is_json:
            say(unreadable_json(unreadable).decode(), nl=False)
        elif unreadable.source is not Source.LOST:  # which the report has told
            self._report.warn(str(unreadable))
