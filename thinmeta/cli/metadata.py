"""Which metadata a command reads: the one place where METADATA is resolved."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from thinmeta.errors import DamagedMetadataError, InputError, NoSnapshotError, OnDamage

if TYPE_CHECKING:
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.pool import Pool

ENVIRONMENT = "THINMETA_POOL"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class MetadataChoice:
    """What the command line says of the metadata to read."""

    path: Path | None
    metadata_snapshot: bool
    ignore_unsupported: bool

    def for_devices(self, *specs: "DeviceSpec") -> Self:
        """Return the choice that fits `specs`: only of a metadata snapshot, so read one.

        That is what allows to read them from a pool that is active.
        """
        only_snapshot = all(spec.state is not None and spec.state.value == "snap" for spec in specs)
        return replace(self, metadata_snapshot=self.metadata_snapshot or only_snapshot)


def metadata_options(function: _Function) -> _Function:
    """Add `--pool` and its options; they arrive as a `MetadataChoice`, `choice`."""

    def collected(
        *args: Any,
        pool: Path | None,
        metadata_snapshot: bool,
        ignore_unsupported: bool,
        metadata: Path | None = None,
        **others: Any,
    ) -> Any:
        if pool and metadata:
            raise click.UsageError("METADATA is given twice: as an argument and with --pool")
        path = pool or metadata or _from_environment()
        choice = MetadataChoice(path, metadata_snapshot, ignore_unsupported)
        return function(*args, choice=choice, **others)

    collected.__name__ = function.__name__
    collected.__doc__ = function.__doc__
    collected.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for decorate in (
        click.option(
            "--ignore-unsupported",
            is_flag=True,
            help="Read superblock versions and incompat flags that are not known.",
        ),
        click.option(
            "-m",
            "--metadata-snap",
            "metadata_snapshot",
            is_flag=True,
            help="Read the metadata snapshot; the only way to read an active pool.",
        ),
        click.option(
            "-p",
            "--pool",
            metavar="METADATA",
            type=click.Path(path_type=Path),
            help="The pool's metadata: a device, or an image of one, compressed or not.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


def metadata_argument(function: _Function) -> _Function:
    """Add METADATA as an argument, too, where a command has no other arguments."""
    argument = click.argument("metadata", required=False, type=click.Path(path_type=Path))
    return argument(metadata_options(function))


def _from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None


@contextmanager
def opened(choice: MetadataChoice, on_damage: OnDamage) -> Iterator["Pool"]:
    """Open the metadata that was asked for, or that of the only active pool.

    Raises:
        InputError: there is none, or more than one pool is active.
        NoSnapshotError: no metadata snapshot is held.
    """
    from thinmeta.device.kernel import ActivePool, holders_of
    from thinmeta.device.opening import snapshot_commands
    from thinmeta.model.pool import open_pool

    if choice.path is None:
        active = _only_active_pool()
        path, snapshot = active.metadata, True
    else:
        active = None
        path, snapshot = choice.path, choice.metadata_snapshot
    try:
        with open_pool(
            path,
            metadata_snapshot=snapshot,
            ignore_unsupported=choice.ignore_unsupported,
            on_damage=on_damage,
        ) as pool:
            yield pool
    except DamagedMetadataError as error:
        raise DamagedMetadataError(error.damage, str(path)) from error
    except NoSnapshotError as error:
        active = active or next((ActivePool(name, path) for name in holders_of(path)), None)
        if active is None:
            raise
        commands = snapshot_commands(active.name)
        raise NoSnapshotError(f"{error}; of the active pool {active.name}: {commands}") from error


def _only_active_pool() -> Any:
    from thinmeta.device.kernel import active_pools

    missing = f"no METADATA was given and {ENVIRONMENT} is not set"
    try:
        pools = active_pools()
    except InputError as error:
        raise InputError(f"{missing}; {error}") from error
    if not pools:
        raise InputError(f"{missing}; no thin-pool is active on this machine")
    if len(pools) > 1:
        found = ", ".join(f"{pool.name} ({pool.metadata})" for pool in pools)
        raise InputError(f"{missing}; several thin-pools are active: {found}")
    return pools[0]
