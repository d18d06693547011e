"""What the command line says of names: where METADATA is, and the words that name it again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.bad_map_option import bad_map_words
from thinmeta.cli.parameters import METADATA_ENVIRONMENT, from_environment
from thinmeta.errors import InputError

if TYPE_CHECKING:
    from thinmeta.cli.damage import DamageReport
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.device.compressed import Inspect
    from thinmeta.device.kernel import ActivePool
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.names.name_sources import NameSources


def metadata_words(names: "NameSources", path: Path | None, opened: str = "") -> list[str]:
    """Return the words of a command line that name the same metadata, and its names.

    Args:
        names: as they were given.
        path: that was given; None if none was.
        opened: what was opened then. It is not among the words where it lies on disks,
            or is empty: the words for names, or the environment, lead to it.
    """
    if path is None and opened and not names.has_disks:
        path = Path(opened)
    words = ["-p", str(path)] if path is not None else []
    words += bad_map_words()
    words += [word for file in names.lvm for word in ("--lvm", file)]
    words += ["--lv", names.lv] if names.lv is not None else []
    words += ["--metadata-lv", names.metadata_lv] if names.metadata_lv is not None else []
    words += ["--docker-root", str(names.docker_root)] if names.docker_root else []
    return words + (
        ["--containerd-root", str(names.containerd_root)] if names.containerd_root else []
    )


def metadata_place(
    path: Path | None, names: "NameSources", *, exclusive: bool, inspect: "Inspect"
) -> "Path | BlockDevice | None":
    """Return where METADATA is; None if nothing says it.

    That is the path, or what is opened on LVM's disks, or what the environment or Docker's
    root names.

    Args:
        path: as it was given.
        names: who may know it.
        exclusive: refuse a pool that is active, on LVM's disks.
        inspect: refuses what is no metadata there.
    """
    if path is not None:
        return path
    device = names.open_metadata(exclusive=exclusive, inspect=inspect)
    return device if device is not None else names.metadata_path(from_environment())


def listing_of(pool: "Pool") -> "Pool":
    """Return the pool in which devices are found: with lists that were lost, if it is salvaged."""
    from thinmeta.cli.damage import DamageReport

    report = pool.on_damage
    return report.with_lost_lists(pool) if isinstance(report, DamageReport) else pool


def resolved(
    names: "NameSources", pool: "Pool", spec: "DeviceSpec", path: Path | None
) -> "DeviceSpec":
    """Return `spec` with the device id that its name stands for.

    Args:
        names: who knows it.
        pool: the pool.
        spec: as it was typed.
        path: of the metadata, as for `metadata_words`.

    Raises:
        UsageError: there is no source of names.
        NotThereError: see `NameSources.resolved`.
    """
    if spec.name is None:
        return spec
    return names.resolved(pool, spec, _scan_command(names, pool, spec, path))


def resolved_anywhen(
    names: "NameSources",
    pool: "Pool",
    spec: "DeviceSpec",
    path: Path | None,
    report: "DamageReport | None" = None,
) -> "DeviceSpec":
    """Return the same, of a device that was deleted in the state where it is found, which is said.

    Args:
        names: as for `resolved`; so are the others, and the errors.
        pool: the pool.
        spec: as it was typed.
        path: of the metadata.
        report: says it; None is the one that is told what the pool is damaged of.
    """
    if spec.name is None:
        return spec  # without loading what finds names
    from thinmeta.analyse.deleted import past_fates
    from thinmeta.analyse.removed_names import resolved_anywhen as found_anywhen
    from thinmeta.cli.damage import DamageReport
    from thinmeta.formats.deleted import found_note

    found = found_anywhen(names, pool, spec, _scan_command(names, pool, spec, path))
    if report is None and isinstance(pool.on_damage, DamageReport):
        report = pool.on_damage
    if found.past is not None and report is not None:
        (fates,) = past_fates(pool.for_salvage(lambda _damage: None), [found.past])
        report.warn(found_note(found, fates))
    return found.spec


def _scan_command(names: "NameSources", pool: "Pool", spec: "DeviceSpec", path: Path | None) -> str:
    from thinmeta.formats.printable import command_text

    if not names.catalogues(pool):
        raise click.UsageError(
            f"{spec.text!r} names no device: give an id such as 186, or say where names "
            "come from: --docker-root DIR, --lvm FILE"
        )
    return command_text("scan", *metadata_words(names, path, pool.source.device.name))


def only_active_pool() -> "ActivePool":
    """Return the only thin-pool that is active on this machine.

    Raises:
        InputError: there is none, or there are several.
    """
    from thinmeta.device.kernel import active_pools

    missing = f"no METADATA was given and {METADATA_ENVIRONMENT} is not set"
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
