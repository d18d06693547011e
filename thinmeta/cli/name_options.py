"""`--docker-root`, `--lvm` and `--lv`: who names the devices; `--bad-map`: what was never read."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thinmeta.cli.bad_map_option import bad_map_option
from thinmeta.cli.parameters import DISK, FILE

if TYPE_CHECKING:
    from thinmeta.names.name_sources import NameSources

ENVIRONMENT = "THINMETA_DOCKER_ROOT"

_Function = TypeVar("_Function", bound=Callable[..., Any])


def names_options(function: _Function) -> _Function:
    """Add `--docker-root`, `--lvm`, `--lv`, which arrive as `NameSources`; and `--bad-map`."""

    @wraps(function)  # also what click keeps on it
    def collected(
        *args: Any,
        docker_root: Path | None,
        lvm: tuple[str, ...],
        lv: str | None,
        metadata_lv: str | None,
        **others: Any,
    ) -> Any:
        if lv and not lvm:
            raise click.UsageError("--lv names a pool of --lvm, which was not given")
        if metadata_lv and not lvm:
            raise click.UsageError("--metadata-lv names a volume of --lvm, which was not given")
        is_said = docker_root is not None or lvm  # an option counts more than the environment
        names = _sources(
            docker_root, lvm, lv, metadata_lv, None if is_said else _from_environment()
        )
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
    docker_root: Path | None,
    lvm: tuple[str, ...],
    lv: str | None,
    metadata_lv: str | None,
    default_root: Path | None,
) -> "NameSources":
    from thinmeta.names.name_sources import NameSources

    names = NameSources(docker_root, lvm, lv, metadata_lv, default_root=default_root)
    return click.get_current_context().with_resource(names)


def _from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None
