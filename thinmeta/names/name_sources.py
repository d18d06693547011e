"""Who names a pool's devices, and may know where the pool itself is: Docker and LVM."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from thinmeta.names.container_roots import ContainerRoots, GivenRoots

if TYPE_CHECKING:
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.device.compressed import Inspect
    from thinmeta.device.extents import Extents
    from thinmeta.device.inputs import Inputs
    from thinmeta.lvm.lvm_state import LvmState
    from thinmeta.lvm.places import OnHost
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.names.catalogue import Catalogue, NamedDevice
    from thinmeta.names.docker.root import DockerRoot


class NameSources:
    """Where names come from; nothing is read before it is asked for. A context manager.

    >>> import thinmeta
    >>> disks = ["fixtures/c01-lvm-thin-one-pv/pv.bin.xz"]
    >>> names = thinmeta.NameSources(lvm=disks, lv="vgthin/pool0")
    >>> with thinmeta.open_pool(names=names) as pool:
    ...     print(pool.device("vgthin/home").size)
    209715200

    Attributes:
        docker_root: /var/lib/docker or a copy of it; None if none was given.
        lvm: files of LVM's text metadata, and disks that hold it, all of those that a pool
            is on; `FILE@OFFSET` where a disk begins further on.
        lv: the pool among LVM's, as `vg/pool`; None is the only one.
        metadata_lv: the volume among LVM's that is read as the metadata; None: the pool's own.
        containerd_root: /var/lib/containerd or a copy of it; None if none was given.
        default_root: Docker's root where nothing else says who names devices; None if
            there is none.
    """

    def __init__(  # noqa: PLR0913  # one parameter an option
        self,
        docker_root: str | os.PathLike[str] | None = None,
        lvm: Iterable[str | os.PathLike[str]] = (),
        lv: str | None = None,
        metadata_lv: str | None = None,
        *,
        containerd_root: str | os.PathLike[str] | None = None,
        default_root: str | os.PathLike[str] | None = None,
    ) -> None:
        """Choose the sources; see the class."""
        self.docker_root = None if docker_root is None else Path(docker_root)
        self.lvm = tuple(os.fspath(each) for each in lvm)
        self.lv = lv
        self.metadata_lv = metadata_lv
        self.containerd_root = None if containerd_root is None else Path(containerd_root)
        self.default_root = None if default_root is None else Path(default_root)
        given = GivenRoots(self.docker_root, self.containerd_root, self.default_root)
        self._roots = ContainerRoots(given)
        self._catalogues: dict[Path, list[Catalogue]] = {}
        self._lvm: LvmState | None = None

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the disks."""
        self.close()

    def close(self) -> None:
        """Close the disks; what was opened from them stays open, and they open again if need be.

        >>> import thinmeta
        >>> disks = ["fixtures/c01-lvm-thin-one-pv/pv.bin.xz"]
        >>> with thinmeta.NameSources(lvm=disks, lv="vgthin/pool0") as names:
        ...     print(thinmeta.find_states(names=names)[0].is_live)
        True
        """
        if self._lvm is not None:
            self._lvm.close()
            self._lvm = None

    def open_metadata(self, *, exclusive: bool, inspect: "Inspect") -> "BlockDevice | None":
        """Open the pool's metadata where it lies on the disks of `lvm`, if that names any.

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
        return disks.open_metadata(self.lv, self.metadata_lv, exclusive=exclusive, inspect=inspect)

    def open_data(self, pool: "Pool") -> "Extents | None":
        """Open the data device of `pool`, if `lvm` or Docker's root has it.

        Raises:
            InputError: it cannot be read there.
        """
        from thinmeta.volume.sources import open_source

        disks = self._lvm_disks()
        if disks is not None:
            return disks.open_data(self.lv)
        file = self._roots.loop_data(_path_of(pool))
        return open_source(file) if file is not None else None

    def inputs(self, *paths: str) -> "Inputs":
        """Return what is read: `paths`, and all that these sources lead to.

        Below Docker's root and containerd's that is everything, read or not.
        """
        from thinmeta.device.inputs import Inputs

        inputs = Inputs(*map(Path, paths))
        for name in self.lvm:
            inputs.add(Path(name))
        self._roots.add_to(inputs)
        return inputs

    def refuse_other_pool(self, pool: "Pool", data: "Extents") -> None:
        """Refuse Docker's root, by an InputError, if the data show that it is another pool's."""
        docker = self.docker(pool)
        if docker is not None:
            from thinmeta.names.docker.belonging import refuse_other_pool

            refuse_other_pool(docker, pool, data)

    @property
    def has_disks(self) -> bool:
        """Whether `lvm` names disks, where the pool itself is."""
        return self._lvm_disks() is not None

    def metadata_path(self, environment: Path | None) -> Path | None:
        """Return the pool's metadata where no argument says where it is.

        What Docker keeps in a file under the root that was given counts most, then
        `environment`, then the file under the default root.

        Raises:
            InputError: the root is none.
        """
        return self._roots.loop_metadata(environment)

    def docker(self, pool: "Pool") -> "DockerRoot | None":
        """Return Docker's root, if one was given or `pool` is live and there is one.

        Raises:
            InputError: the root that was given is none.
        """
        return self._roots.docker(_path_of(pool), may_be_live=not self.lvm)

    def containers(self, pool: "Pool") -> "DockerRoot | None":
        """Return what names images and containers: containerd's root if it was given, or Docker's.

        Raises:
            InputError: the root that was given is none.
        """
        return self._roots.containerd() or self.docker(pool)

    def catalogues(self, pool: "Pool") -> "list[Catalogue]":
        """Return the names from all sources there are; read once, Docker's first.

        Raises:
            InputError: a source that was given cannot be used.
            NotThereError: LVM's metadata has no such pool.
        """
        metadata = _path_of(pool)
        if not self._catalogues.get(metadata):
            root, state = self.containers(pool), self._lvm_state()
            found = [root.catalogue()] if root else []
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

    def resolved(self, pool: "Pool", spec: "DeviceSpec", scan: str) -> "DeviceSpec":
        """Return `spec` with the device id that its name stands for.

        Args:
            pool: the pool.
            spec: as it was typed.
            scan: the command that lists the states of `pool`, for messages.

        Raises:
            NotThereError: nobody is called so, or several are, or the pool, in the state
                that is asked for, has no such device.
        """
        from thinmeta.names.catalogue import find
        from thinmeta.names.presence import refuse_other_device

        catalogues = self.catalogues(pool) if spec.name is not None else []
        if spec.name is None or not catalogues:
            return spec
        named = find(catalogues, spec.name)
        refuse_other_device(pool.in_state(spec.state) if spec.state else pool, named, scan)
        return spec._replace(device_id=named.device_id)

    def names_of(self, chosen: "ChosenDevice") -> "list[NamedDevice]":
        """Return the names of a device, the best first; none if nobody knows it."""
        from thinmeta.model.state import State
        from thinmeta.names.catalogue import known_as

        if chosen.device_id is None:
            return []
        catalogues = self.catalogues(chosen.pool)
        transaction_id = chosen.device.transaction_id if chosen.device else None
        is_live = chosen.pool.state is State.LIVE
        return known_as(catalogues, chosen.device_id, transaction_id, is_live=is_live)

    def introduced(self, chosen: "ChosenDevice") -> "ChosenDevice":
        """Return a device with its name and its size, if there is a source of them."""
        known = self.names_of(chosen)
        if not known:
            return chosen
        size = next((each.size for each in known if each.size is not None), None)
        origin = next((each.external_origin for each in known if each.external_origin), None)
        return chosen._replace(known_as=known[0].name, size=size, external_origin=origin)

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

    def _lvm_disks(self) -> "LvmState | None":
        state = self._lvm_state()
        return state if state is not None and state.has_disks else None

    def _lvm_state(self) -> "LvmState | None":
        if self.lvm and self._lvm is None:
            from thinmeta.lvm.lvm_state import read_lvm

            self._lvm = read_lvm(self.lvm)
        return self._lvm


def _path_of(pool: "Pool") -> Path:
    return Path(pool.source.device.name)
