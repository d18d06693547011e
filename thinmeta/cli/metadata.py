"""Which metadata a command reads: the one place where METADATA is resolved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import click

from thinmeta.cli.name_options import names_options
from thinmeta.cli.naming import (
    listing_of,
    metadata_place,
    metadata_words,
    only_active_pool,
    resolved,
    resolved_anywhen,
)
from thinmeta.cli.parameters import (
    BLOCK_SIZE,
    FILE,
    METADATA_ENVIRONMENT,
    STATE,
    ParameterType,
)
from thinmeta.errors import (
    DamagedMetadataError,
    NoSnapshotError,
    NoSuperblockError,
    OnDamage,
)

if TYPE_CHECKING:
    from thinmeta.cli.damage import DamageReport
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.model.state import AnyState
    from thinmeta.names.name_sources import NameSources


_Function = TypeVar("_Function", bound=Callable[..., Any])


class MetadataChoice(NamedTuple):
    """What the command line says of the metadata to read.

    Attributes:
        path: where it is; None if nothing says so.
        state: which state of it to read; None is the live one.
        ignore_unsupported: read superblocks that are not known here.
        names: who names its devices, and perhaps knows where it is.
        data_block_sectors: the data block size, instead of the superblock's.
        likely_block_sectors: the data block size where the superblock is lost, as others say.
    """

    path: Path | None
    state: "AnyState | None"
    ignore_unsupported: bool
    names: "NameSources"
    data_block_sectors: int | None = None
    likely_block_sectors: int | None = None

    def for_devices(self, *specs: "DeviceSpec") -> Self:
        """Return the choice that fits `specs`: if all are of one state, read that one.

        That is what allows to read a metadata snapshot of a pool that is active, and a
        past state where the superblock is damaged.
        """
        states = [spec.state for spec in specs]
        if self.state is None and states[0] is not None and len(set(states)) == 1:
            return self._replace(state=states[0])
        return self

    def words(self, opened: str) -> list[str]:
        """Return the words of a command line that read the same metadata in the same way.

        The state is not among them.

        Args:
            opened: the metadata that was opened.
        """
        words = metadata_words(self.names, self.path, opened)
        words += ["--ignore-unsupported"] if self.ignore_unsupported else []
        if self.data_block_sectors is not None:
            words += ["--data-block-size", str(self.data_block_sectors)]
        return words

    def choose(self, pool: "Pool", spec: "DeviceSpec") -> "ChosenDevice":
        """Find the device that `spec` names, now or before; errors as of `choose_device`."""
        from thinmeta.model.device_spec import choose_device

        listing = listing_of(pool)
        chosen = choose_device(listing, self.resolved_anywhen(listing, spec))
        is_of_listing = chosen.pool is listing  # what else is lost of the pool is told later
        return self.names.introduced(chosen._replace(pool=pool) if is_of_listing else chosen)

    def resolved_anywhen(
        self, pool: "Pool", spec: "DeviceSpec", report: "DamageReport | None" = None
    ) -> "DeviceSpec":
        """Return `spec` with the device id and the state of it; see `naming.resolved_anywhen`."""
        return resolved_anywhen(self.names, pool, spec, self.path, report)

    def resolved(self, pool: "Pool", spec: "DeviceSpec") -> "DeviceSpec":
        """Return `spec` with the device id that its name stands for; see `naming.resolved`."""
        return resolved(self.names, pool, spec, self.path)


def metadata_options(
    function: _Function, *, block_size: ParameterType = BLOCK_SIZE, has_states: bool = True
) -> _Function:
    """Add `--pool` and its options; they arrive as a `MetadataChoice`, `choice`.

    Args:
        function: the command.
        block_size: what `--data-block-size` takes.
        has_states: whether it reads whichever state is asked for; else it refuses -m and
            --state, and its help has them not.
    """

    @wraps(function)  # also what click keeps on it
    def collected(  # noqa: PLR0913  # one parameter an option
        *args: Any,
        pool: Path | None,
        metadata_snapshot: bool,
        state: "AnyState | None",
        ignore_unsupported: bool,
        data_block_sectors: int | None,
        names: "NameSources",
        metadata: Path | None = None,
        **others: Any,
    ) -> Any:
        if pool and metadata:
            raise click.UsageError("METADATA is given twice: as an argument and with --pool")
        if metadata_snapshot:
            state = _snapshot(state)
        choice = MetadataChoice(
            pool or metadata, state, ignore_unsupported, names, data_block_sectors
        )
        return function(*args, choice=choice, **others)

    for decorate in (
        names_options,
        click.option(
            "--ignore-unsupported",
            is_flag=True,
            help="Read superblock versions and incompat flags that are not known.",
        ),
        click.option(
            "--data-block-size",
            "data_block_sectors",
            type=block_size,
            metavar="SECTORS",
            help="The data block size, instead of what the superblock says.",
        ),
        click.option(
            "--state",
            type=STATE,
            metavar="STATE",
            hidden=not has_states,
            help="Read this state: live, snap, or MAPROOT[:DETAILSROOT] as scan lists them.",
        ),
        click.option(
            "-m",
            "--metadata-snap",
            "metadata_snapshot",
            is_flag=True,
            hidden=not has_states,
            help="Read the metadata snapshot; the only way to read an active pool.",
        ),
        click.option(
            "-p",
            "--pool",
            metavar="METADATA",
            type=FILE,
            help="The pool's metadata: a device, or an image of one, compressed, packed or not; "
            f"FILE@OFFSET where it begins further on. {METADATA_ENVIRONMENT} sets it, too.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


def metadata_argument(
    function: _Function, *, block_size: ParameterType = BLOCK_SIZE, has_states: bool = True
) -> _Function:
    """Add METADATA as an argument, too, where a command has no other arguments."""
    argument = click.argument("metadata", required=False, type=FILE)
    return argument(metadata_options(function, block_size=block_size, has_states=has_states))


def _snapshot(state: "AnyState | None") -> "AnyState":
    from thinmeta.model.state import State

    if state not in (None, State.SNAP):
        raise click.UsageError("-m is --state snap, and another state is given")
    return State.SNAP


@contextmanager
def opened(
    choice: MetadataChoice,
    on_damage: OnDamage,
    *,
    all_blocks: bool = False,
    needs_superblock: bool = True,
) -> Iterator["Pool"]:
    """Open the metadata that was asked for, or that of the only active pool.

    Args:
        choice: which.
        on_damage: told of each damage.
        all_blocks: unpack a compressed image past what its superblock counts, too.
        needs_superblock: see `model.pool.open_pool`. Where it is of no use, an error says
            whether other metadata is left, and names the commands that go on with it.

    Raises:
        InputError: there is none, or more than one pool is active.
        WipedSuperblockError: only the superblock is gone.
        NoSnapshotError: no metadata snapshot is held.
        DamagedMetadataError: the superblock is damaged.
    """
    is_open = False
    try:
        with _opened(
            choice, on_damage, all_blocks=all_blocks, needs_superblock=needs_superblock
        ) as pool:
            is_open = True
            yield pool
    except NoSuperblockError as error:
        from thinmeta.cli.wiped import refusal

        raise refusal(choice, error) from None
    except DamagedMetadataError as error:
        if is_open:
            raise
        from thinmeta.cli.wiped import recovery_commands

        what = f"{error.damage.what}; {recovery_commands(choice)}"
        raise DamagedMetadataError(error.damage._replace(what=what), error.name) from error


@contextmanager
def _opened(
    choice: MetadataChoice, on_damage: OnDamage, *, all_blocks: bool, needs_superblock: bool
) -> Iterator["Pool"]:
    from thinmeta.device.kernel import ActivePool, holders_of
    from thinmeta.device.opening import open_blocks, snapshot_commands
    from thinmeta.device.signatures import refuse_foreign, refuse_other_formats
    from thinmeta.model.pool import open_pool
    from thinmeta.model.state import State

    active = None
    state = choice.state or State.LIVE
    is_needed = needs_superblock and isinstance(state, State)
    inspect = refuse_foreign if is_needed else refuse_other_formats
    exclusive = state is not State.SNAP
    place = metadata_place(choice.path, choice.names, exclusive=exclusive, inspect=inspect)
    if place is None:
        active = only_active_pool()
        place, state = active.metadata, choice.state or State.SNAP
    path = place if isinstance(place, Path) else None  # on LVM's disks it has none
    name = str(place if isinstance(place, Path) else place.name)
    if all_blocks and active is None and isinstance(place, Path):
        place = open_blocks(place, inspect=inspect, exclusive=exclusive)
    try:
        with open_pool(
            place,
            state=state,
            needs_superblock=needs_superblock,
            ignore_unsupported=choice.ignore_unsupported,
            data_block_sectors=choice.data_block_sectors,
            on_damage=on_damage,
        ) as pool:
            if choice.names.lvm:
                from thinmeta.names.disagreements import transaction_note

                if note := transaction_note(pool, choice.names):
                    pool.source.device.notes += (note,)
            if pool.superblock_damage is None or pool.superblock.data_block_sectors:
                yield pool
            else:
                sectors = choice.likely_block_sectors or choice.names.data_block_sectors()
                yield pool.with_data_block_sectors(sectors) if sectors else pool
    except DamagedMetadataError as error:
        raise DamagedMetadataError(error.damage, name) from error
    except NoSnapshotError as error:
        if active is None and path is not None:
            active = next((ActivePool(holder, path) for holder in holders_of(path)), None)
        if active is None:
            raise
        commands = snapshot_commands(active.name)
        raise NoSnapshotError(f"{error}; of the active pool {active.name}: {commands}") from error
