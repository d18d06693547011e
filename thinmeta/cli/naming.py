"""Who names the devices: Docker's root and LVM's metadata, as given on the command line."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.errors import InputError

if TYPE_CHECKING:
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.device.containers import Inspect
    from thinmeta.device.extents import Extents
    from thinmeta.device.inputs import Inputs
    from thinmeta.lvm.places import OnHost
    from thinmeta.lvm.state import LvmState
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.names.catalogue import Catalogue
    from thinmeta.names.docker.root import DockerRoot

_DOCKER_ROOT = Path("/var/lib/docker")
_DOCKERS_ROOT = "Docker's root"


@dataclass(frozen=True, slots=True)
class NameChoice:
    """What the command line says of names.

    Attributes:
        docker_root: Docker's root; None if none was given.
        lvm: files of LVM's metadata, and disks that hold it.
        lv: the pool among LVM's, as `vg/pool`; None if none was given.
        default_root: Docker's root where nothing else says who names devices; None if the
            environment has none.
    """

    docker_root: Path | None = None
    lvm: tuple[str, ...] = ()
    lv: str | None = None
    default_root: Path | None = None
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
        disks = self._lvm_disks()
        if disks is None:
            return None
        return disks.open_metadata(self.lv, exclusive=exclusive, inspect=inspect)

    def open_data(self, pool: "Pool") -> "Extents | None":
        """Open the data device of `pool`, if `--lvm` or Docker's root has it.

        Raises:
            InputError: it cannot be read there.
        """
        from thinmeta.names.docker.root import loop_files
        from thinmeta.volume.sources import open_source

        disks = self._lvm_disks()
        if disks is not None:
            return disks.open_data(self.lv)
        files = loop_files(self._root) if self._root else None
        if files is None or (self.docker_root is None and not _is_same(_path_of(pool), files[0])):
            return None  # the environment's root may be that of another pool
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
        for root in {*self._read, *filter(None, [self._root])}:
            from thinmeta.names.docker.root import folders_of, loop_files

            for folder in folders_of(root):
                inputs.add_folder(folder, _DOCKERS_ROOT)
            with suppress(InputError):
                for file in loop_files(root) or ():
                    inputs.add(file)
        for docker in self._read.values():
            inputs.add_files(docker.files_read, f"a file of {_DOCKERS_ROOT}")
        return inputs

    def refuse_other_pool(self, pool: "Pool", data: "Extents") -> None:
        """Refuse Docker's root, by an InputError, if the data show that it is another pool's."""
        docker = self.docker(pool)
        if docker is not None:
            from thinmeta.names.docker.belonging import refuse_other_pool

            refuse_other_pool(docker, pool, data)

    @property
    def has_disks(self) -> bool:
        """Whether `--lvm` names disks, where the pool itself is."""
        return self._lvm_disks() is not None

    def metadata_words(self, path: Path | None, opened: str = "") -> list[str]:
        """Return the words of a command line that name the same metadata, and its names.

        Args:
            path: that was given; None if none was.
            opened: what was opened then. It is not among the words where it lies on disks,
                or is empty: the words for names, or the environment, lead to it.
        """
        if path is None and opened and not self.has_disks:
            path = Path(opened)
        words = ["-p", str(path)] if path is not None else []
        words += [word for file in self.lvm for word in ("--lvm", file)]
        words += ["--lv", self.lv] if self.lv is not None else []
        return words + (["--docker-root", str(self.docker_root)] if self.docker_root else [])

    def metadata_path(self, environment: Path | None) -> Path | None:
        """Return the pool's metadata where no argument says where it is.

        What Docker keeps in a file under the root that was given counts most, then
        `environment`, then the file under the root that the environment names.

        Raises:
            InputError: the root is none.
        """
        from thinmeta.names.docker.root import loop_files

        files = loop_files(self.docker_root) if self.docker_root else None
        if files is None and environment is not None:
            return environment
        if files is None and self.default_root is not None:
            files = loop_files(self.default_root)
        return files[0] if files else None

    def docker(self, pool: "Pool") -> "DockerRoot | None":
        """Return Docker's root, if one was given or `pool` is live and there is one.

        Raises:
            InputError: the root that was given is none.
        """
        root = self._root
        if root is None and not self.lvm:
            root = _root_of_live(_path_of(pool))
        if root is None:
            return None
        from thinmeta.names.docker.root import read_docker_root

        if root not in self._read:
            self._read[root] = read_docker_root(root)
        return self._read[root]

    def catalogues(self, pool: "Pool") -> "list[Catalogue]":
        """Return the names from all sources there are; read once, Docker's first.

        Raises:
            InputError: a source that was given cannot be used.
            NotThereError: LVM's metadata has no such pool.
        """
        metadata = _path_of(pool)
        if not self._catalogues.get(metadata):
            docker, state = self.docker(pool), self._lvm_state()
            found = [docker.catalogue()] if docker else []
            if state is not None:
                from thinmeta.names.lvm_catalogue import lvm_catalogue

                found.append(lvm_catalogue(state, self.lv))
            self._catalogues[metadata] = found
        return self._catalogues[metadata]

    def data_block_sectors(self) -> int | None:
        """Return the pool's data block size, as LVM knows it."""
        state = self._lvm_state()
        return state.pool(self.lv).pool.chunk_sectors if state is not None else None

    def on_host(self) -> "OnHost | None":
        """Return what LVM calls the pool on its host; None without LVM's metadata."""
        state = self._lvm_state()
        return state.on_host(self.lv) if state is not None else None

    def resolved(self, pool: "Pool", spec: "DeviceSpec", path: Path | None) -> "DeviceSpec":
        """Return `spec` with the device id that its name stands for.

        Args:
            pool: the pool.
            spec: as it was typed.
            path: of the metadata, as for `metadata_words`.

        Raises:
            UsageError: there is no source of names.
            NotThereError: nobody is called so, or several are, or the pool, in the state
                that is asked for, has no such device.
        """
        from thinmeta.formats.printable import command_text
        from thinmeta.names.catalogue import find
        from thinmeta.names.presence import refuse_other_device

        if spec.name is None:
            return spec
        catalogues = self.catalogues(pool)
        if not catalogues:
            raise click.UsageError(
                f"{spec.text!r} names no device: give an id such as 186, or say where names "
                "come from: --docker-root DIR, --lvm FILE"
            )
        named = find(catalogues, spec.name)
        scan = command_text("scan", *self.metadata_words(path, pool.source.device.name))
        refuse_other_device(pool.in_state(spec.state) if spec.state else pool, named, scan)
        return replace(spec, device_id=named.device_id)

    def introduced(self, chosen: "ChosenDevice") -> "ChosenDevice":
        """Return a device with its name and its size, if there is a source of them."""
        from thinmeta.model.state import State
        from thinmeta.names.catalogue import known_as

        if chosen.device_id is None:
            return chosen
        catalogues = self.catalogues(chosen.pool)
        transaction_id = chosen.device.transaction_id if chosen.device else None
        is_live = chosen.pool.state is State.LIVE
        known = known_as(catalogues, chosen.device_id, transaction_id, is_live=is_live)
        if not known:
            return chosen
        size = next((each.size for each in known if each.size is not None), None)
        origin = next((each.external_origin for each in known if each.external_origin), None)
        return replace(chosen, known_as=known[0].name, size=size, external_origin=origin)

    def may_have_origin(self, chosen: "ChosenDevice") -> bool:
        """Tell whether nobody knows `chosen`, and others of its pool have external origins."""
        catalogues = self.catalogues(chosen.pool)
        return chosen.known_as is None and any(
            named.external_origin for catalogue in catalogues for named in catalogue.devices
        )

    def state_with_origins(self) -> "LvmState":
        """Return LVM's state, from which a device's external origin is known."""
        state = self._lvm_state()
        assert state is not None  # who else knows of origins
        return state

    @property
    def _root(self) -> Path | None:
        return self.docker_root or self.default_root

    def _lvm_disks(self) -> "LvmState | None":
        state = self._lvm_state()
        return state if state is not None and state.has_disks else None

    def _lvm_state(self) -> "LvmState | None":
        if self.lvm and not self._lvm:
            from thinmeta.lvm.state import read_lvm

            state = read_lvm(self.lvm)
            click.get_current_context().call_on_close(state.close)
            self._lvm.append(state)
        return self._lvm[0] if self._lvm else None


def _path_of(pool: "Pool") -> Path:
    return Path(pool.source.device.name)


def _root_of_live(metadata: Path) -> Path | None:
    from thinmeta.device.kernel import holders_of

    try:
        has_root = (_DOCKER_ROOT / "devicemapper/metadata").is_dir()
        is_live = has_root and metadata.is_block_device() and bool(holders_of(metadata))
    except OSError:  # nobody can tell
        return None
    return _DOCKER_ROOT if is_live else None


def _is_same(path: Path, other: Path) -> bool:
    with suppress(OSError):
        return path.samefile(other)
    return False
