"""The metadata of commands that copy it, block by block, whatever state it is in."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thinmeta.cli.metadata import MetadataChoice, opened
from thinmeta.cli.name_options import names_options
from thinmeta.cli.naming import metadata_place
from thinmeta.cli.parameters import FILE
from thinmeta.errors import Damage, DamagedMetadataError, InputError, raise_damage
from thinmeta.units import MetadataBlock

if TYPE_CHECKING:
    from thinmeta.analyse.recover.scan import Scan
    from thinmeta.cli.damage import DamageReport
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.names.name_sources import NameSources

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class WholeChoice:
    """What the command line says of the metadata to read.

    Attributes:
        path: where it is; None if nothing says so.
        metadata_snapshot: take a pool that is active, too.
        names: who may know where it is.
    """

    path: Path | None
    metadata_snapshot: bool
    names: "NameSources"


def whole_metadata_argument(function: _Function) -> _Function:
    """Add METADATA as an argument, too, where a command has no other arguments."""
    argument = click.argument("metadata", required=False, type=FILE)
    return argument(whole_metadata_options(function))


def whole_metadata_options(function: _Function) -> _Function:
    """Add METADATA as `-i` and `-p`, `-m` and `--lvm`; it arrives as `choice`."""

    @wraps(function)  # also what click keeps on it
    def collected(
        *,
        pool: Path | None,
        metadata_snapshot: bool,
        names: "NameSources",
        metadata: Path | None = None,
        **others: Any,
    ) -> Any:
        if metadata and pool:
            raise click.UsageError("METADATA is given twice: as an argument and with an option")
        return function(choice=WholeChoice(metadata or pool, metadata_snapshot, names), **others)

    for decorate in (
        names_options,
        click.option(
            "-m",
            "--metadata-snap",
            "metadata_snapshot",
            is_flag=True,
            help="Take an active pool, too, of which only a metadata snapshot stands still.",
        ),
        click.option(
            "-i",
            "--input",
            "-p",
            "--pool",
            "pool",
            metavar="METADATA",
            type=FILE,
            help="The metadata: a device, or an image of one, compressed, packed or not; "
            "FILE@OFFSET where it begins further on.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


@contextmanager
def opened_whole(choice: WholeChoice, into: int | None = None) -> Iterator["BlockDevice"]:
    """Open metadata that needs no superblock, as long as any block has a right checksum.

    Args:
        choice: which.
        into: an empty file that gets what is compressed, if it can.

    Raises:
        InputError: there is none, or it is something else.
        NoSnapshotError: the pool is active, and no metadata snapshot is held.
    """
    from thinmeta.device.opening import open_blocks
    from thinmeta.device.signatures import refuse_other_formats
    from thinmeta.device.sweep import refuse_without_metadata
    from thinmeta.model.state import State
    from thinmeta.names.name_sources import NameSources

    exclusive = not choice.metadata_snapshot
    inspect = refuse_other_formats
    place = metadata_place(choice.path, choice.names, exclusive=exclusive, inspect=inspect)
    if place is None or (isinstance(place, Path) and choice.metadata_snapshot):
        snapshot = MetadataChoice(place, State.SNAP, ignore_unsupported=True, names=NameSources())
        with opened(snapshot, raise_damage, all_blocks=True) as pool:
            yield pool.source.device
        return
    if isinstance(place, Path):
        place = open_blocks(place, inspect=inspect, into=into)
    with closing(place) as device:
        try:
            refuse_without_metadata(device)
        except InputError as error:
            raise InputError(f"{device.name}: {error}") from error
        yield device


def warn_of(device: "BlockDevice", choice: WholeChoice, report: "DamageReport") -> None:
    """Say what was odd about opening metadata, and how LVM's transaction id is not the pool's."""
    from thinmeta.model.pool import open_pool
    from thinmeta.model.superblock import read_superblock
    from thinmeta.names.disagreements import transaction_note
    from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION

    for note in device.notes:
        report.warn(note)
    if choice.names.lvm:
        with suppress(InputError, DamagedMetadataError):  # there may be no superblock to tell
            # First alone: where `open_pool` fails it closes the device.
            read_superblock(device, MetadataBlock(SUPERBLOCK_LOCATION), ignore_unsupported=True)
            if odd := transaction_note(open_pool(device, ignore_unsupported=True), choice.names):
                report.warn(odd)


def missing_from(found: "Scan") -> Iterator[str]:
    """Return what a scan did not find that should be there, in words."""
    live = found.live_superblock
    if live is None:
        yield "the superblock is damaged, so nothing says which state is the live one"
    elif len(found.classes) < live.metadata_space_map.nr_blocks:
        yield (
            f"ends after {len(found.classes)} of {live.metadata_space_map.nr_blocks} blocks; "
            "what the others held is missing"
        )


def refuse_damaged_superblock(device: "BlockDevice") -> None:
    """Say that a copy has no sound superblock, once the copy is made.

    Raises:
        DamagedMetadataError: the superblock of `device` is damaged.
    """
    import numpy as np

    from thinmeta.device.blocks import Fault
    from thinmeta.schemas.decode import checked_superblock
    from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION

    first = device.read(np.array([SUPERBLOCK_LOCATION], dtype=np.uint64))
    if first.faults[0] != Fault.NONE:
        what: str | None = "the superblock cannot be read"
    else:
        what = checked_superblock(first.rows[0], SUPERBLOCK_LOCATION).fault
    if what is not None:
        raise DamagedMetadataError(Damage(what, MetadataBlock(SUPERBLOCK_LOCATION)), device.name)
