"""Who names the devices: Docker's root and LVM's metadata, as given on the command line."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thinmeta.cli.parameters import FILE
from thinmeta.errors import InputError, NotThereError

if TYPE_CHECKING:
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.device.containers import Inspect
    from thinmeta.device.extents import Extents
    from thinmeta.device.inputs import Inputs
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.names.catalogue import Catalogue, NamedDevice
    from thinmeta.names.docker.root import DockerRoot
    from thinmeta.names.lvm import LvmState
    from thinmeta.names.lvm_places import OnHost

ENVIRONMENT = "THINMETA_DOCKER_ROOT"

_DOCKER_ROOT = Path("/var/lib/docker")
_DOCKERS_ROOT = "Docker's root"

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class NameChoice:
    """What the command line says of names.

    Attributes:
        docker_root: Docker's root; None if none was given.
        lvm: files of LVM's metadata, and disks that hold it.
        lv: the pool among LVM's, as `vg/pool`; None if none was given.
    """

    docker_root: Path | None = None
    lvm: tuple[str, ...] = ()
    lv: str | None = None
    _read: "dict[Path, DockerRoot]" = field(default_factory=dict, repr=False, compare=False)
    _catalogues: "dict[Path, list[Catalogue]]" = field(
        default_factory=dict, repr=False, compare=False
    )
    _lvm: "list[LvmState]" = field(default_factory=list, repr=False, compare=False)

    def open_metadata(self, *, exclusive: bool, inspect: "Inspect") -> "BlockDevice | None":
        """Open the pool's metadata where it lies on the disks of `--lvm`, if that names any.

        Args:
            exclusive: refuse a pool that is active.
            inspect: refuses what is no metadata.

        Raises:
            InputError: it cannot be read there.
            LiveDeviceError: `exclusive`, and the pool is active.
            NotThereError: there is no such pool.
        """
        state = self._lvm_state()
        if state is None or not state.has_disks:
            return None
        return state.open_metadata(self.lv, exclusive=exclusive, inspect=inspect)

    def open_data(self) -> "Extents | None":
        """Open the pool's data device, if `--lvm` or Docker's root has it.

        Raises:
            InputError: it cannot be read there.
        """
        from thinmeta.names.docker.root import loop_files
        from thinmeta.volume.sources import open_source

        state = self._lvm_state()
        if state is not None and state.has_disks:
            return state.open_data(self.lv)
        files = loop_files(self.docker_root) if self.docker_root else None
        if files is None:
            return None
        return open_source(files[1])

    def inputs(self, *paths: str) -> "Inputs":
        """Return what a command reads: `paths`, and all that the options for names lead to.

        Below Docker's root that is everything, read or not.
        """
        from thinmeta.device.inputs import Inputs

        inputs = Inputs(*map(Path, paths))
        for name in self.lvm:
            path = Path(name)
            inputs.add(path if path.exists() else Path(name.rpartition("@")[0]))
        if self.docker_root is not None:
            from thinmeta.names.docker.root import folder_of, loop_files

            inputs.add_folder(folder_of(self.docker_root), _DOCKERS_ROOT)
            with suppress(InputError):
                for path in loop_files(self.docker_root) or ():
                    inputs.add(path)
        for docker in self._read.values():
            inputs.add_folder(docker.root, _DOCKERS_ROOT, docker.files_read)
        return inputs

    def metadata_path(self) -> Path | None:
        """Return the pool's metadata where Docker keeps it in a file under its root.

        Raises:
            InputError: the root that was given is none.
        """
        from thinmeta.names.docker.root import loop_files

        files = loop_files(self.docker_root) if self.docker_root else None
        return files[0] if files else None

    def docker(self, metadata: Path) -> "DockerRoot | None":
        """Return Docker's root, if one was given or `metadata` is live and there is one.

        Args:
            metadata: the pool's metadata, as it was opened.

        Raises:
            InputError: the root that was given is none.
        """
        path = self.docker_root or _root_of_live(metadata)
        if path is None:
            return None
        from thinmeta.names.docker.root import read_docker_root

        if path not in self._read:
            self._read[path] = read_docker_root(path)
        return self._read[path]

    def catalogues(self, metadata: Path) -> "list[Catalogue]":
        """Return the names from all sources there are; read once, Docker's first.

        Args:
            metadata: the pool's metadata, as it was opened.

        Raises:
            InputError: a source that was given cannot be used.
            NotThereError: LVM's metadata has no such pool.
        """
        if not self._catalogues.get(metadata):
            docker, state = self.docker(metadata), self._lvm_state()
            found = [docker.catalogue()] if docker else []
            self._catalogues[metadata] = found + ([state.catalogue(self.lv)] if state else [])
        return self._catalogues[metadata]

    def data_block_sectors(self) -> int | None:
        """Return the pool's data block size, as LVM knows it."""
        state = self._lvm_state()
        return state.pool(self.lv).pool.chunk_sectors if state is not None else None

    def on_host(self) -> "OnHost | None":
        """Return what LVM calls the pool on its host; None without LVM's metadata."""
        state = self._lvm_state()
        return state.on_host(self.lv) if state is not None else None

    def resolved(self, pool: "Pool", spec: "DeviceSpec") -> "DeviceSpec":
        """Return `spec` with the device id that its name stands for.

        Raises:
            UsageError: there is no source of names.
            NotThereError: nobody is called so, or several are, or it was removed.
        """
        from thinmeta.model.state import Roots
        from thinmeta.names.catalogue import find

        if spec.name is None:
            return spec
        catalogues = self.catalogues(Path(pool.source.device.name))
        if not catalogues:
            raise click.UsageError(
                f"{spec.text!r} names no device: give an id such as 186, or say where names "
                "come from: --docker-root DIR, --lvm FILE"
            )
        named = find(catalogues, spec.name)
        if named.is_deleted and not isinstance(spec.state or pool.state, Roots):
            raise NotThereError(
                f"{named.name} was removed; it was device {named.device_id}. If its mappings are "
                f"still there, `thinmeta scan` finds the state: {named.name}@MAPROOT"
            )
        return replace(spec, device_id=named.device_id)

    def introduced(self, chosen: "ChosenDevice") -> "ChosenDevice":
        """Return a device with its name and its size, if there is a source of them."""
        known = [] if chosen.device_id is None else self._known(chosen.pool, chosen.device_id)
        if not known:
            return chosen
        size = next((each.size for each in known if each.size is not None), None)
        return replace(chosen, known_as=known[0].name, size=size)

    def _known(self, pool: "Pool", device_id: int) -> "list[NamedDevice]":
        return [
            named
            for catalogue in self.catalogues(Path(pool.source.device.name))
            for named in catalogue.devices
            if named.device_id == device_id and not named.is_deleted
        ]

    def _lvm_state(self) -> "LvmState | None":
        if self.lvm and not self._lvm:
            from thinmeta.names.lvm import read_lvm

            state = read_lvm(self.lvm)
            click.get_current_context().call_on_close(state.close)
            self._lvm.append(state)
        return self._lvm[0] if self._lvm else None


def names_options(function: _Function) -> _Function:
    """Add `--docker-root`, `--lvm` and `--lv`; they arrive as a `NameChoice`, `names`."""

    def collected(
        *args: Any,
        docker_root: Path | None,
        lvm: tuple[str, ...],
        lv: str | None,
        **others: Any,
    ) -> Any:
        if lv and not lvm:
            raise click.UsageError("--lv names a pool of --lvm, which was not given")
        names = NameChoice(docker_root or _from_environment(), lvm, lv)
        return function(*args, names=names, **others)

    collected.__name__ = function.__name__
    collected.__doc__ = function.__doc__
    collected.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    for decorate in (
        click.option("--lv", metavar="VG/POOL", help="Which thin pool of those in --lvm."),
        click.option(
            "--lvm",
            metavar="FILE",
            multiple=True,
            help="Names from LVM: its text metadata, or a disk that holds it, FILE@OFFSET "
            "where it begins further on; once for each disk.",
        ),
        click.option(
            "--docker-root",
            metavar="DIR",
            type=FILE,
            help="Names from Docker: /var/lib/docker or a copy of it; of a live pool that is "
            f"the default. {ENVIRONMENT} sets it, too.",
        ),
    ):
        collected = decorate(collected)
    return collected  # type: ignore[return-value]


def _from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None


def _root_of_live(metadata: Path) -> Path | None:
    from thinmeta.device.kernel import holders_of

    try:
        has_root = (_DOCKER_ROOT / "devicemapper/metadata").is_dir()
        is_live = has_root and metadata.is_block_device() and bool(holders_of(metadata))
    except OSError:  # nobody can tell
        return None
    return _DOCKER_ROOT if is_live else None
