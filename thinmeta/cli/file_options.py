"""What commands that read files of a volume take, and how they open its file system."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.decorators import FC

from thinmeta.cli.damage import DamageReport, report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.parameters import ParameterType, quiet_option
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.volume_files import VolumeFiles
from thinmeta.cli.volume_options import (
    MAX_BYTES,
    Files,
    bytes_of,
    data_option,
    inputs_of,
    open_needed_data,
    origin_option,
    size_option,
    with_origin,
)

if TYPE_CHECKING:
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.model.state import AnyState
    from thinmeta.units import DeviceId, Quantity

_Function = TypeVar("_Function", bound=Callable[..., Any])


class VolumeChoice(NamedTuple):
    """What the command line says of the volumes whose files are read.

    Attributes:
        choice: the pool's metadata.
        files: where the data and the external origin are.
        size: of the device, in bytes; None: as its name says, else it ends nowhere.
        replay: read with the journal replayed.
        partition: read this partition of the volume.
        inside: read this logical volume, which lies on the volume, or on that partition.
        salvage: what to do about damage.
        quiet: say no warnings.
        is_json: say on standard error what is wrong as JSON.
    """

    choice: MetadataChoice
    files: Files
    size: int | None = None
    replay: bool = True
    partition: int | None = None
    inside: str | None = None
    salvage: Salvage = Salvage.NO
    quiet: bool = False
    is_json: bool = False

    def report(self) -> DamageReport:
        """Return the policy that the command line asks for."""
        return report_for(salvage=self.salvage, quiet=self.quiet, is_json=self.is_json)

    def device(
        self, pool: "Pool", device_id: "DeviceId", state: "AnyState | None" = None
    ) -> "ChosenDevice":
        """Return the device of an id, with its name; None is the state that was opened."""
        from thinmeta.model.device_spec import DeviceSpec

        spec = DeviceSpec.parse(str(device_id))._replace(state=state)
        return self.choice.choose(pool, spec)


class PathParameter(ParameterType):
    """A path within a volume, which arrives as its bytes."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the bytes that were typed."""
        import os

        return os.fsencode(value) if isinstance(value, str) else value


class LogicalVolumeParameter(ParameterType):
    """The name of a logical volume, with that of its group."""

    name = "VG/LV"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what no logical volume is called, in whichever spelling."""
        if "/" not in value.strip("/") and "-" not in value.strip("-"):
            self.fail(f"{value!r} names no logical volume: say VG/LV", param, ctx)
        return value


PATH = PathParameter()


def all_option(function: FC) -> FC:
    """Add `--all`; it arrives as `all_of_it`."""
    return click.option(
        "--all", "all_of_it", is_flag=True, help="Of a Docker device: PATH may be beside rootfs."
    )(function)


def no_replay_option(function: FC) -> FC:
    """Add `--no-replay`."""
    return click.option(
        "--no-replay",
        is_flag=True,
        help="Read what is on the disk, as if the journal were empty.",
    )(function)


def part_options(function: FC) -> FC:
    """Add `--partition` and `--inside`, which say where on a device the file system is."""
    inside = click.option(
        "--inside",
        type=LogicalVolumeParameter(),
        metavar="VG/LV",
        help="Read this logical volume of a device that has LVM on it, or in a partition.",
    )
    partition = click.option(
        "--partition",
        type=click.IntRange(1),
        metavar="N",
        help="Read this partition of a device that has a partition table.",
    )
    return inside(partition(function))


def volume_options(function: _Function) -> _Function:
    """Add what says which files are read, and how; it arrives as a `VolumeChoice`, `place`."""

    @wraps(function)
    def collected(  # noqa: PLR0913  # one parameter an option
        *args: Any,
        choice: MetadataChoice,
        data: Path | None,
        origin: Path | None,
        size: "Quantity | None",
        no_replay: bool,
        partition: int | None,
        inside: str | None,
        salvage: Salvage,
        quiet: bool,
        **others: Any,
    ) -> Any:
        files = Files(data, origin)
        place = VolumeChoice(
            choice, files, bytes_of(size), not no_replay, partition, inside, salvage, quiet
        )
        return function(*args, place=place, **others)

    for decorate in (
        quiet_option,
        salvage_option,
        part_options,
        no_replay_option,
        origin_option,
        size_option,
        data_option,
        metadata_options,
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


@contextmanager
def opened_volume(place: VolumeChoice, device: "DeviceSpec") -> Iterator[VolumeFiles]:
    """Open the file system of a device.

    Raises:
        InputError: there is none that is read here, or the data cannot be read.
        NotThereError: there is no such device, or no such partition.
        DamagedMetadataError: it is damaged, and nobody asked for salvage.
    """
    report = place.report()
    with opened(place.choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = place.choice.choose(pool, device)
        with opened_device(place, pool, chosen, report) as files:
            yield files


@contextmanager
def opened_device(
    place: VolumeChoice, pool: "Pool", chosen: "ChosenDevice", report: DamageReport
) -> Iterator[VolumeFiles]:
    """Open the file system of a device of an open pool; see `opened_volume`."""
    from thinmeta.files.opened_files import open_files
    from thinmeta.files.reading import VolumeSource
    from thinmeta.model.volumes import volume_of

    names = place.choice.names
    data = open_needed_data(pool, place.files, names, report, direct=False)
    sources = with_origin(chosen, data, place.files, names, report, direct=False)
    size = chosen.size if place.size is None else place.size
    volume = volume_of(
        chosen,
        sources,
        # What is not mapped is zeros, wherever the device ends.
        size=MAX_BYTES if size is None else size,
        prepare=lambda: report.prepared_volume(chosen),
    )
    with volume:
        found = open_files(
            VolumeSource(volume),
            partition=place.partition,
            inside=place.inside,
            replay=place.replay,
        )
        report.note_files(found)
        yield VolumeFiles(found, volume, report, inputs_of(pool, names, place.files))
