"""Writing the contents of volumes, of one or of all: what `thinmeta extract` is made of."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from thinmeta.cli.damage import DamageReport, lost_lines
from thinmeta.cli.ending import say
from thinmeta.cli.output import open_output
from thinmeta.cli.progress import Progress, bytes_text
from thinmeta.cli.volume_options import Files, open_needed_data, read_layout, with_origin

if TYPE_CHECKING:
    from thinmeta.device.inputs import Inputs
    from thinmeta.model.device_spec import ChosenDevice
    from thinmeta.model.losses import Losses
    from thinmeta.names.name_sources import NameSources
    from thinmeta.volume.layout import Layout
    from thinmeta.volume.sources import Sources, Unreadable
    from thinmeta.volume.subject import Subject


class Extracting(NamedTuple):
    """How volumes are written.

    Attributes:
        files: where their bytes are.
        names: who may know where they are.
        report: is told what is wrong.
        salvage: whether the report goes on past it.
        is_json: say what could not be read as objects.
        quiet: show no progress.
        is_one_of_many: the volume is not the only one that is written.
    """

    files: Files
    names: "NameSources"
    report: DamageReport
    salvage: bool
    is_json: bool
    quiet: bool
    is_one_of_many: bool = False

    @contextmanager
    def opened(
        self, chosen: "ChosenDevice", size: int | None, *, is_stream: bool = False
    ) -> Iterator["tuple[Extraction, Losses | None]"]:
        """Open a volume to be written, and say what is odd about it; return what is lost, too.

        Args:
            chosen: the device.
            size: of it, in bytes; None: as its name says, or up to the last mapped block.
            is_stream: it goes where nothing can be written past the page cache.

        Raises:
            InputError: its data, or its external origin, cannot be read.
            DamagedMetadataError: a part of its mappings is lost, and nobody asked for salvage.
        """
        from thinmeta.volume.sources import SMALLEST_READ

        size = chosen.size if size is None else size
        # Past the page cache, where only whole sectors are read, as they are not for a stream.
        direct = not is_stream and (size or 0) % SMALLEST_READ == 0
        report = self.report
        data = open_needed_data(chosen.pool, self.files, self.names, report, direct=direct)
        parts = (chosen, data, self.files, self.names, report)
        with closing(with_origin(*parts, direct=direct)) as sources:
            layout, losses = read_layout(
                chosen,
                report,
                size=size,
                data_bytes=sources.data.size,
                origin_bytes=sources.origin_bytes,
            )
            self._warn_of(chosen, layout)
            if not self.salvage and not self.is_one_of_many:
                report.finish()  # before there is any output
            for line in lost_lines(losses) if self.is_json else ():
                say(line.decode(), nl=False)
            yield (
                Extraction(
                    chosen,
                    layout,
                    sources,
                    report,
                    is_json=self.is_json,
                    quiet=self.quiet,
                    is_one_of_many=self.is_one_of_many,
                ),
                losses,
            )

    def _warn_of(self, chosen: "ChosenDevice", layout: "Layout") -> None:
        if layout.nr_left_out:
            self.report.warn(
                f"device {chosen.name}: {layout.nr_left_out} of its mapped blocks are past the "
                f"size of {layout.size} bytes and are left out"
            )
        elif not len(layout.pieces):
            self.report.warn(
                f"device {chosen.name}: maps no blocks, so all of it will be zeros; "
                "a repair may have lost its mappings"
            )


class Extraction:
    """One extraction: where from, and what could not be read.

    Attributes:
        lost_bytes: how many bytes could not be read, and are zeros.
    """

    def __init__(  # noqa: PLR0913  # what it is about
        self,
        chosen: "ChosenDevice",
        layout: "Layout",
        sources: "Sources",
        report: DamageReport,
        *,
        is_json: bool,
        quiet: bool,
        is_one_of_many: bool,
    ) -> None:
        """Take what `extracting` has opened."""
        self._chosen = chosen
        self._layout = layout
        self._sources = sources
        self._report = report
        self._is_json = is_json
        self._is_one_of_many = is_one_of_many
        self._progress = Progress(quiet=quiet, text=bytes_text)
        self.lost_bytes = 0

    @property
    def size(self) -> int:
        """How large the volume is, in bytes."""
        return self._layout.size

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

        self.lost_bytes += unreadable.length
        if self._is_json:
            say(unreadable_json(unreadable, self._chosen.device_id).decode(), nl=False)
        elif unreadable.source is not Source.LOST:  # which the report has told
            whose = f"device {self._chosen.name}: " if self._is_one_of_many else ""
            self._report.warn(f"{whose}{unreadable}")
