"""`thinmeta extract`."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.bytes_progress import BytesProgress
from thinmeta.cli.ending import say
from thinmeta.cli.messages import DamageReport
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import (
    _descriptor,
    open_output,
    output_option,
    refuse_input,
    refuse_inputs,
    replacing,
    terminated_by_exception,
)
from thinmeta.cli.parameters import DEVICE, quiet_option
from thinmeta.cli.salvage import report_for, salvage_option
from thinmeta.cli.volumes import (
    Files,
    bytes_of,
    data_option,
    open_data,
    origin_option,
    read_layout,
    size_option,
    with_origin,
)
from thinmeta.errors import OutputError

if TYPE_CHECKING:
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.units import Quantity
    from thinmeta.volume.layout import Layout
    from thinmeta.volume.salvage import Rescue
    from thinmeta.volume.sources import Sources, Unreadable
    from thinmeta.volume.target import Target


@click.command()
@click.argument("device", type=DEVICE)
@data_option
@output_option
@size_option
@origin_option
@metadata_options
@salvage_option
@click.option(
    "-f",
    "--format",
    "format_name",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to list, on standard error, what --salvage left out.",
)
@quiet_option
def extract(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    data: Path | None,
    origin: Path | None,
    size: "Quantity | None",
    choice: MetadataChoice,
    salvage: bool,
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
    output, and beside it a map in the format of GNU ddrescue (OUT.map), stay when the
    run is cut short; the same command goes on from there.
    """
    from thinmeta.volume.sources import SMALLEST_READ

    if output in (None, Path("-")) and sys.stdout.isatty():
        raise click.UsageError("an image is not for a terminal: give -o FILE, or pipe it on")
    report = report_for(salvage=salvage, quiet=quiet or format_name == "json")
    is_stream = _is_stream(output)
    with opened(choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = choice.choose(pool, device)
        size_bytes = chosen.size if size is None else bytes_of(size)
        # Past the page cache, where only whole sectors are read, as they are not for a stream.
        direct = not is_stream and (size_bytes or 0) % SMALLEST_READ == 0
        files = Files(data, origin)
        data_device = open_data(files, choice.names, report, direct=direct)
        if data_device is None:
            raise click.UsageError("say where the data is: --data DATA, or --lvm with the disks")
        with closing(with_origin(chosen, data_device, files, report, direct=direct)) as sources:
            layout = read_layout(
                chosen,
                report,
                size=size_bytes,
                data_bytes=sources.data.size,
                origin_bytes=sources.origin_bytes,
            )
            if not salvage:
                report.finish()  # before there is any output
            extraction = _Extraction(chosen, layout, sources, report, format_name, quiet=quiet)
            if output is None or is_stream:
                extraction.to_stream(output)
            else:
                with _errors_of(output):
                    _refuse_sources(output, Path(pool.source.device.name), files)
                    extraction.to_place(Path(os.path.realpath(output)), salvage=salvage)
    extraction.finish(output)


class _Extraction:
    """One extraction: where from, and what could not be read."""

    def __init__(  # noqa: PLR0913  # what it is about
        self,
        chosen: "ChosenDevice",
        layout: "Layout",
        sources: "Sources",
        report: DamageReport,
        format_name: str,
        *,
        quiet: bool,
    ) -> None:
        self._chosen = chosen
        self._layout = layout
        self._sources = sources
        self._report = report
        self._is_json = format_name == "json"
        self._quiet = quiet
        self._lost_bytes = 0
        if self._is_json:
            for line in report.json_lines():
                say(line.decode(), nl=False)

    def to_stream(self, output: Path | None) -> None:
        """Write it in order."""
        from thinmeta.cli.salvage import SalvageReport
        from thinmeta.volume.extract import raise_unreadable, stream

        is_salvage = isinstance(self._report, SalvageReport)
        on_unreadable = self._leave_out if is_salvage else raise_unreadable
        with self._progress(self._layout.size) as progress:
            metadata = self._chosen.pool.source.device.name
            with open_output(output, metadata) as file:
                for part in stream(
                    self._layout,
                    self._sources,
                    on_unreadable=on_unreadable,
                    on_progress=progress.advance,
                ):
                    file.write(part)

    def to_place(self, output: Path, *, salvage: bool) -> None:
        """Write it to a file or a block device."""
        from thinmeta.volume.salvage import open_rescue
        from thinmeta.volume.target import BlockTarget, FileTarget

        size = self._layout.size
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if salvage:
            with terminated_by_exception(), open_rescue(output, self._subject(), size) as rescue:
                self._rescue(rescue)
        elif output.is_block_device():
            fd = os.open(output, os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC)
            with os.fdopen(fd, "wb", buffering=0) as device:
                self._copy(BlockTarget(device.fileno(), size))
                os.fsync(device.fileno())
        else:
            with replacing(output) as file:
                self._copy(FileTarget(file.fileno(), size))

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

    def _copy(self, target: "Target") -> None:
        from thinmeta.volume.extract import copy

        with self._progress(self._to_copy([(0, self._layout.size)])) as progress:
            for _ in copy(self._layout, self._sources, target, on_progress=progress.advance):
                pass

    def _rescue(self, rescue: "Rescue") -> None:
        with self._progress(self._to_copy(rescue.map.unfinished())) as progress:
            rescue.run(
                self._layout,
                self._sources,
                on_unreadable=self._leave_out,
                on_progress=progress.advance,
            )

    def _subject(self) -> str:
        """Return what the map of a rescue goes with."""
        superblock = self._chosen.pool.superblock
        return (
            f"device {self._chosen.name}, transaction {superblock.transaction_id}, "
            f"time {superblock.time}, blocks of {self._layout.block_bytes} bytes"
        )

    def _leave_out(self, unreadable: "Unreadable") -> None:
        from thinmeta.formats.unreadable import unreadable_json
        from thinmeta.volume.layout import Source

        self._lost_bytes += unreadable.length
        if self._is_json:
            say(unreadable_json(unreadable).decode(), nl=False)
        elif unreadable.source is not Source.LOST:  # which the report has told
            self._report.warn(str(unreadable))

    def _to_copy(self, parts: list[tuple[int, int]]) -> int:
        """Return how many bytes of some parts of the volume are anywhere but in holes."""
        return sum(int(self._layout.between(*part).length.sum()) for part in parts)

    @contextmanager
    def _progress(self, total: int) -> "Iterator[BytesProgress]":
        progress = BytesProgress(total, quiet=self._quiet)
        try:
            yield progress
        finally:
            progress.clear()


def _is_stream(output: Path | None) -> bool:
    """Tell whether `output` can only be written from beginning to end."""
    if output is None or output == Path("-") or _descriptor(output) is not None:
        return True
    return output.exists() and not (output.is_file() or output.is_dir() or output.is_block_device())


@contextmanager
def _errors_of(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "is in use" if error.errno == errno.EBUSY else error.strerror
        raise OutputError(f"{output}: cannot be written: {reason}") from error


def _refuse_sources(output: Path, metadata: Path, files: Files) -> None:
    """Refuse to write over what is read.

    Raises:
        OutputError: `output` is one of them.
    """
    refuse_inputs(output, str(metadata))
    for path, what in ((files.data, "data device"), (files.origin, "external origin")):
        try:
            if path is not None:
                refuse_input(output, path)
        except OutputError as error:
            message = f"{output}: is the {what} itself, which is never written to"
            raise OutputError(message) from error
