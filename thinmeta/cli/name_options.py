"""`--docker-root`, `--lvm` and others: who names the devices; `--bad-map`: what was never read."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thinmeta.cli.bad_map_option import bad_map_option
from thinmeta.cli.parameters import DISK, FILE
from thinmeta.names.container_roots import GivenRoots

if TYPE_CHECKING:
    from thinmeta.names.name_sources import NameSources

ENVIRONMENT = "THINMETA_DOCKER_ROOT"

_Function = TypeVar("_Function", bound=Callable[..., Any])


def names_options(function: _Function) -> _Function:
    """Add `--docker-root`, `--lvm` and others, which arrive as `NameSources`; and `--bad-map`."""

    @wraps(function)  # also what click keeps on it
    def collected(
        *args: Any,
        docker_root: Path | None,
        lvm: tuple[str, ...],
        lv: str | None,
        metadata_lv: str | None,
        containerd_root: Path | None,
        **others: Any,
    ) -> Any:
        if lv and not lvm:
            raise click.UsageError("--lv names a pool of --lvm, which was not given")
        if metadata_lv and not lvm:
            raise click.UsageError("--metadata-lv names a volume of --lvm, which was not given")
        if docker_root is not None and containerd_root is not None:
            what = "they name the devices of different pools: give one of them"
            raise click.UsageError(f"--docker-root and --containerd-root: {what}")
        is_said = docker_root or containerd_root or lvm  # options count more than the environment
        roots = GivenRoots(docker_root, containerd_root, None if is_said else _from_environment())
        names = _sources(roots, lvm, lv, metadata_lv)
        return function(*args, names=names, **others)

    for decorate in (
        click.option(
            "--metadata-lv",
            metavar="VG/LV",
            help="Read this volume of --lvm as the metadata, such as vg/pool_meta0.",
        ),
        click.option(
            "--lv",
            metavar="VG/POOL",
            help="Which thin pool of those in --lvm; with #SEQNO as that version of LVM's text "
            "describes it.",
        ),
        click.option(
            "--lvm",
            type=DISK,
            metavar="FILE",
            multiple=True,
            help="Names from LVM: its text metadata, a folder of texts such as /etc/lvm, or a "
            "disk that holds one, FILE@OFFSET where it begins further on; once for each disk.",
        ),
        click.option(
            "--containerd-root",
            metavar="DIR",
            type=FILE,
            help="Names from containerd's devmapper snapshotter: /var/lib/containerd, a copy of "
            "it, or the pool's own file POOL.db.",
        ),
        click.option(
            "--docker-root",
            metavar="DIR",
            type=FILE,
            help="Names from Docker, Podman or CRI-O: /var/lib/docker, /var/lib/containers/storage "
            f"or a copy of it; of a live pool that is the default. {ENVIRONMENT} sets it, too.",
        ),
        bad_map_option,
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


def _sources(
    roots: GivenRoots, lvm: tuple[str, ...], lv: str | None, metadata_lv: str | None
) -> "NameSources":
    from thinmeta.names.name_sources import NameSources

    names = NameSources(
        roots.docker,
        lvm,
        lv,
        metadata_lv,
        containerd_root=roots.containerd,
        default_root=roots.default,
    )
    return click.get_current_context().with_resource(names)


def _from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None
