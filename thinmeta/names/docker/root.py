"""Docker's root: where it is, and all that it says of devices."""

import os
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thinmeta.errors import InputError, NotThereError
from thinmeta.names.catalogue import Catalogue, find
from thinmeta.names.docker.containers import read_containers
from thinmeta.names.docker.devicemapper import Transaction, read_device_set
from thinmeta.names.docker.devices import DockerDevice, Parts, joined, named, unidentified
from thinmeta.names.docker.files import DockerFiles
from thinmeta.names.docker.graph import own_mounts, read_graph
from thinmeta.names.docker.imagedb import Image, read_images
from thinmeta.names.docker.layerdb import read_layers, read_mounts

_DRIVER = "devicemapper"
_NAME = "name:"
_LONGEST_ID = 20  # digits; Python refuses to read a number of some thousand
_ABOVE = {"devicemapper", "metadata", "image", "containers", "graph"}
"""Folders of a root; where one of them was given, the root is above it."""


@dataclass(frozen=True, slots=True)
class DockerRoot:
    """What Docker's files say of its devices.

    Attributes:
        path: as it was given.
        root: where the files are.
        devices: by hash, in the order of their device ids, first those whose id is not known; a
            parent is always one of them.
        images: by id; one without layers is on no device.
        transaction: the last one; None if it is not there.
        file_system: of the base device, so of all; None if it is not there.
        base_uuid: of the base device's file system; None if it is not there.
        notes: what could not be read or is odd, a line each.
        files_read: which files were read: the inodes of each file system's number.
    """

    path: Path
    root: Path
    devices: dict[str, DockerDevice]
    images: Mapping[str, Image]
    transaction: Transaction | None
    file_system: str | None
    base_uuid: str | None
    notes: tuple[str, ...]
    files_read: Mapping[int, Set[int]]

    def device(self, device_id: int) -> DockerDevice | None:
        """Return the device that has this id now; None if none has."""
        for device in self.devices.values():
            if device.record is not None and device.record.device_id == device_id:
                return device
        return None

    def called(self, text: str) -> DockerDevice:
        """Return the device of an image or a container, as it is typed: a name or an id.

        Raises:
            NotThereError: there is none, or it may be several.
        """
        if text.isascii() and text.isdigit():
            device = self.device(int(text)) if len(text) <= _LONGEST_ID else None
        else:
            device = self.device(find([self.catalogue()], text.removeprefix(_NAME)).device_id)
        if device is None:
            raise NotThereError(f"{self.path}: Docker knows no device {text}")
        return device

    def catalogue(self) -> Catalogue:
        """Return the names of the devices."""
        listed = self.devices.values()
        transaction = self.transaction
        return Catalogue(
            source=str(self.path),
            devices=tuple(
                name
                for device in listed
                for name in named(
                    device, self.devices[device.parent].record if device.parent else None
                )
            ),
            transaction_id=transaction.transaction_id if transaction else None,
            changing=transaction.device_id if transaction else None,
            notes=self.notes,
            unidentified=tuple(unidentified(each) for each in listed if each.record is None),
        )


def read_docker_root(path: Path) -> DockerRoot:
    """Read Docker's root, or what is left of it: what cannot be read becomes a note.

    Args:
        path: /var/lib/docker or a copy of it, a folder that holds it, or one of the
            folders in it.

    Raises:
        InputError: there is nothing of Docker's.
    """
    root, driver, metadata = _found(path)
    files = DockerFiles(root)
    image = root / "image" / _DRIVER
    device_set = read_device_set(files, driver, metadata)
    records = device_set.records
    layers, images = read_layers(files, image / "layerdb/sha256"), read_images(files, image)
    if not layers:  # else what is in `graph` was brought here
        layers, of_graph = read_graph(files, root)
        images |= of_graph
    containers = read_containers(files, root / "containers")
    mounts = own_mounts(records, containers) | read_mounts(files, image / "layerdb/mounts")
    parts = Parts(records, layers, images, mounts, containers)
    devices = joined(parts, files)
    in_order = {each.hash: each for each in sorted(devices.values(), key=_by_device)}
    return DockerRoot(
        path,
        root,
        in_order,
        parts.images,
        device_set.transaction,
        device_set.file_system,
        device_set.base_uuid,
        files.notes,
        files.read,
    )


def folders_of(path: Path) -> list[Path]:
    """Return the folders that a root is in: each of its files is below one of them.

    They are `path` itself, the root that it leads to, and the folders in that, which may be
    links to elsewhere. Never `/`, below which is everything.
    """
    folders = [path]
    with suppress(InputError):
        root, driver, metadata = _found(path)
        folders += [root, driver, driver / _DRIVER, metadata]
        folders += [root / each for each in ("image", "containers", "graph")]
    return [each for each in folders if not _is_top(each)]


def loop_files(path: Path) -> tuple[Path, Path] | None:
    """Return the files of metadata and data of a root's own pool, without reading the root.

    Raises:
        InputError: there is nothing of Docker's.
    """
    folder = _found(path)[0] / _DRIVER / _DRIVER
    metadata, data = folder / "metadata", folder / "data"
    return (metadata, data) if metadata.is_file() and data.is_file() else None


def _found(path: Path) -> tuple[Path, Path, Path]:
    """Return the root, its `devicemapper` and its `devicemapper/metadata`, there or not."""
    try:
        for root in _candidates(path):
            if any((root / each).is_dir() for each in (_DRIVER, f"image/{_DRIVER}")):
                return root, root / _DRIVER, root / _DRIVER / "metadata"
        if (path / "metadata").is_dir():  # a copy of `devicemapper` alone, by another name
            return path, path, path / "metadata"
        if any((path / each).is_file() for each in ("deviceset-metadata", "base")):
            return path, path, path
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    raise InputError(
        f"{path}: is not Docker's root: there is no devicemapper/metadata and no image/devicemapper"
    )


def _is_top(path: Path) -> bool:
    with suppress(OSError):
        return path.samefile("/")
    return False


def _candidates(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        raise InputError(f"{path}: is no directory that can be read")
    whole = Path(os.path.abspath(path))  # noqa: PTH100  # a link's parent is where it is named
    if whole.name not in _ABOVE or (whole / _DRIVER / "metadata").is_dir():
        yield path
    yield from (path / "docker", path / "var/lib/docker")
    if whole.name in _ABOVE:
        yield from (whole.parent, whole.parent.parent)
        yield path


def _by_device(device: DockerDevice) -> tuple[int, bool, str]:
    record = device.record
    return (record.device_id, record.is_deleted, device.hash) if record else (-1, False, "")
