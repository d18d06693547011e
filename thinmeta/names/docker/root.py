"""All that a root says of its devices: Docker's, or that of Podman and CRI-O."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from thinmeta.errors import NotThereError
from thinmeta.names.catalogue import Catalogue, find
from thinmeta.names.docker.containers import read_containers
from thinmeta.names.docker.devicemapper import Record, Transaction, read_device_set
from thinmeta.names.docker.devices import DockerDevice, Parts, joined, named, unidentified
from thinmeta.names.docker.files import DockerFiles
from thinmeta.names.docker.found_root import DRIVER, found_root
from thinmeta.names.docker.graph import own_mounts, read_graph
from thinmeta.names.docker.imagedb import Image, read_images
from thinmeta.names.docker.layerdb import read_layers, read_mounts
from thinmeta.names.docker.storage_lists import read_storage

_NAME = "name:"
_LONGEST_ID = 20  # digits; Python refuses to read a number of some thousand


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
        records_in: where the devices' ids are, for messages.
        whose: of whom the root is.
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
    records_in: str = "devicemapper/metadata"
    whose: str = "Docker"

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
            raise NotThereError(f"{self.path}: {self.whose} knows no device {text}")
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
            unidentified=tuple(
                unidentified(each, self.records_in) for each in listed if each.record is None
            ),
        )


def read_docker_root(path: Path) -> DockerRoot:
    """Read Docker's root, or what is left of it: what cannot be read becomes a note.

    Args:
        path: /var/lib/docker or a copy of it, a folder that holds it, or one of the
            folders in it.

    Raises:
        InputError: there is nothing of Docker's, or there are several roots.
    """
    found = found_root(path)
    files = DockerFiles(found.root)
    device_set = read_device_set(files, found.driver, found.metadata)
    devices = joined(parts := _parts(files, found.root, device_set.records), files)
    for each in found.of_users:
        files.note(f"{each.name} is a root, too, of a daemon that maps its users: {each}")
    return DockerRoot(
        path,
        found.root,
        in_order(devices),
        parts.images,
        device_set.transaction,
        device_set.file_system,
        device_set.base_uuid,
        files.notes,
        files.read,
    )


def _parts(files: DockerFiles, root: Path, records: dict[str, Record]) -> Parts:
    """Read all that is said of devices: by this Docker, by one before 1.10, or by Podman."""
    image = root / "image" / DRIVER
    layers, images = read_layers(files, image / "layerdb/sha256"), read_images(files, image)
    if not layers:  # else what is in `graph` was brought here
        layers, of_graph = read_graph(files, root)
        images |= of_graph
    containers = read_containers(files, root / "containers")
    mounts = own_mounts(records, containers) | read_mounts(files, image / "layerdb/mounts")
    storage = read_storage(files, root, records)
    return Parts(
        records,
        layers | storage.layers,
        images | storage.images,
        mounts | storage.mounts,
        containers | storage.containers,
    )


def in_order(devices: Mapping[str, DockerDevice]) -> dict[str, DockerDevice]:
    """Return devices in the order of their ids, first those whose id is not known."""
    return {each.hash: each for each in sorted(devices.values(), key=_by_device)}


def _by_device(device: DockerDevice) -> tuple[int, bool, str]:
    record = device.record
    return (record.device_id, record.is_deleted, device.hash) if record else (-1, False, "")
