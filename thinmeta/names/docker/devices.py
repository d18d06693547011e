"""Docker's devices: what its files say together of each, and which stands on which."""

from collections.abc import Mapping
from typing import NamedTuple

from thinmeta.model.device_spec import typed_name
from thinmeta.names.catalogue import NamedDevice, NameKind, Unidentified
from thinmeta.names.docker.containers import Container
from thinmeta.names.docker.devicemapper import BASE, INIT, Record
from thinmeta.names.docker.files import DockerFiles
from thinmeta.names.docker.imagedb import Image, Instruction
from thinmeta.names.docker.layerdb import Layer, Mount
from thinmeta.units import DeviceId

_SHOWN = 12  # digits of an id, as Docker shows it
_HASH_DIGITS = 25  # of the shortest, BuildKit's; what is shorter is a name of containerd's
_OF_DOCKER_ITSELF = (NameKind.BASE, NameKind.INIT)


class DockerDevice(NamedTuple):
    """One of Docker's devices, or what should be one.

    Attributes:
        hash: by which Docker knows it: a cache id, a mount id, one with `-init`, or `base`.
        kind: what it is; a layer if nothing says more.
        name: how it is shown: a tag, a container's name, else the beginning of an id.
        parent: the hash of the device that it was created from; None if that is not known.
        record: what `devicemapper/metadata` says of it; None if that is missing.
        layer: the layer that it holds, if it holds one.
        images: those whose top layer it is, the best name first.
        container: whose it is, if it is a container's.
        container_id: the same, also where the container's own file is missing.
        instruction: what made the layer; None if that is not known.
        is_first: it was created from nothing: a base device, or a lowest layer of containerd's.
    """

    hash: str
    kind: NameKind
    name: str
    parent: str | None = None
    record: Record | None = None
    layer: Layer | None = None
    images: tuple[Image, ...] = ()
    container: Container | None = None
    container_id: str | None = None
    instruction: Instruction | None = None
    is_first: bool = False

    @property
    def is_deleted(self) -> bool:
        """Whether Docker deleted it, or was about to."""
        of_record = self.record is not None and self.record.is_deleted
        return of_record or (self.layer is not None and self.layer.is_removing)


class Parts(NamedTuple):
    """What Docker's files say, each by its own key.

    Attributes:
        records_in: where the records are, for messages.
        has_base: the lowest layers are created from the base device, not from nothing.
    """

    records: Mapping[str, Record]
    layers: Mapping[str, Layer]
    images: Mapping[str, Image]
    mounts: Mapping[str, Mount]
    containers: Mapping[str, Container]
    records_in: str = "devicemapper/metadata"
    has_base: bool = True


def joined(parts: Parts, files: DockerFiles) -> dict[str, DockerDevice]:
    """Return the devices by hash; each is there once, whatever the files say of it.

    Args:
        parts: what was read.
        files: told of what does not fit together.
    """
    devices: dict[str, DockerDevice] = {}
    for device in [*_of_layers(parts), *_of_containers(parts), *_of_records(parts)]:
        if device.hash not in devices:
            record = parts.records.get(device.hash)
            is_known = device.record is record
            devices[device.hash] = device if is_known else device._replace(record=record)
    _tell_what_is_missing(parts, devices, files)
    return _without_circles(_with_own_names(devices), files)


def _with_own_names(devices: dict[str, DockerDevice]) -> dict[str, DockerDevice]:
    """Return the devices with names that can be typed and that no other one has.

    A container may be called as another one's init device, or `base`, or 186. Of those
    that are called alike one keeps the name; the others get their hash.
    """
    kept: dict[str, str] = {}
    for device in sorted(devices.values(), key=_best_known_first):
        name = typed_name(device.name)
        if kept.setdefault(name, device.hash) != device.hash:
            name = typed_name(device.hash)
        if name != device.name:
            devices[device.hash] = device._replace(name=name)
    return devices


def _best_known_first(device: DockerDevice) -> int:
    if device.kind is NameKind.BASE:
        return 0
    return 1 if device.kind is NameKind.CONTAINER and device.container else 2


def unidentified(device: DockerDevice, records_in: str) -> Unidentified:
    """Return what is known of a device that has no record, so no id.

    Args:
        device: the device.
        records_in: where it should have one.
    """
    names = _names(device, Record(DeviceId(0), None, None, is_deleted=False), None)
    return Unidentified(
        tuple(each for first in names for each in (first.name, *first.aliases)),
        tuple(each for first in names for each in first.ids),
        f"{device.kind.value} {device.name}: which device it is nobody says, for "
        f"{records_in}/{device.hash} is missing or has no device id",
    )


def named(device: DockerDevice, origin: Record | None) -> list[NamedDevice]:
    """Return the names of a device, the best first; none without a record.

    Args:
        device: the device.
        origin: the record of its parent.
    """
    return _names(device, device.record, origin) if device.record else []


def _names(device: DockerDevice, record: Record, origin: Record | None) -> list[NamedDevice]:
    return [
        NamedDevice(
            record.device_id,
            device.kind,
            name,
            aliases,
            ids,
            record.size,
            record.created_in,
            is_deleted=device.is_deleted,
            origin=origin.device_id if origin else None,
        )
        for name, aliases, ids in _called(device)
    ]


def _called(device: DockerDevice) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Return the names of a device, each with what else it is called, and its ids."""
    plain = device.name.removeprefix("name:")
    if device.kind in _OF_DOCKER_ITSELF:
        return [(device.name, (plain, device.hash), ())]
    layer = device.layer
    of_layer = (layer.chain_id, layer.diff_id) if layer else ()
    ids = tuple(filter(None, (device.hash, device.container_id, *of_layer)))
    if device.kind is NameKind.CONTAINER:
        name = device.container.name if device.container else plain
        in_pod = device.container.in_pod if device.container else None
        return [(device.name, (plain, name, f"/{name}", *filter(None, [in_pod])), ids)]
    if not device.images:
        return [(device.name, (plain,), ids)]
    return [
        (
            typed_name(image.name) if number else device.name,
            (image.name, *image.aliases),
            (image.image_id, *ids),
        )
        for number, image in enumerate(device.images)
    ]


def _of_layers(parts: Parts) -> list[DockerDevice]:
    on_top: dict[str, list[Image]] = {}
    instructions: dict[str, Instruction] = {}
    for image in sorted(parts.images.values(), key=lambda image: len(image.chain_ids)):
        for top in (*image.chain_ids[-1:], *image.also_on):
            on_top.setdefault(top, []).append(image)
        for chain_id, instruction in zip(image.chain_ids, image.instructions, strict=False):
            instructions.setdefault(chain_id, instruction)
    found = []
    lowest = BASE if parts.has_base else None
    for chain_id, layer in parts.layers.items():
        images = sorted(on_top.get(chain_id, ()), key=_tagged_first)
        found.append(
            DockerDevice(
                layer.cache_id,
                NameKind.IMAGE if images else NameKind.LAYER,
                images[0].name if images else _shortened(layer.cache_id),
                _layer_below(parts, layer.parent) if layer.parent else lowest,
                layer=layer,
                images=tuple(images),
                instruction=instructions.get(chain_id),
                is_first=not layer.parent and not parts.has_base,
            )
        )
    return found


def _tagged_first(image: Image) -> tuple[bool, int, str]:
    return not image.tags, image.nr_steps, image.image_id


def _of_containers(parts: Parts) -> list[DockerDevice]:
    found = []
    for container_id, mount in parts.mounts.items():
        container = parts.containers.get(container_id)
        name = container.name if container else _shortened(container_id)
        image = _layer_below(parts, mount.parent) if mount.parent else None
        below = mount.init_id or image
        device = DockerDevice(mount.mount_id, NameKind.CONTAINER, name, below)
        devices = [device]
        if mount.init_id:
            devices.append(DockerDevice(mount.init_id, NameKind.INIT, f"{name}{INIT}", image))
        found += [each._replace(container=container, container_id=container_id) for each in devices]
    return found


def _of_records(parts: Parts) -> list[DockerDevice]:
    """Return what can be said of devices of which nothing but the record is there."""
    found = []
    for device_hash, record in parts.records.items():
        name = _shortened(device_hash.removesuffix(INIT))
        init = f"{device_hash}{INIT}"
        if device_hash == BASE:
            base = DockerDevice(device_hash, NameKind.BASE, BASE, record=record, is_first=True)
            found.append(base)
        elif device_hash.endswith(INIT):
            found.append(DockerDevice(device_hash, NameKind.INIT, f"{name}{INIT}", record=record))
        elif init in parts.records:
            found.append(DockerDevice(device_hash, NameKind.CONTAINER, name, init))
        else:
            found.append(DockerDevice(device_hash, NameKind.LAYER, name, record=record))
    return found


def _shortened(name: str) -> str:
    return name[:_SHOWN] if len(name) >= _HASH_DIGITS and name.isalnum() else name


def _layer_below(parts: Parts, chain_id: str) -> str | None:
    layer = parts.layers.get(chain_id)
    return layer.cache_id if layer else None


def _tell_what_is_missing(
    parts: Parts, devices: dict[str, DockerDevice], files: DockerFiles
) -> None:
    if not parts.records:
        files.note(f"{parts.records_in}: names no device, so nothing has a device id")
        return
    for device in devices.values():
        if device.record is None:
            files.note(f"{device.kind.value} {device.name}: {device.hash} has no device id")
    for layer in parts.layers.values():
        if layer.parent and layer.parent not in parts.layers:
            files.note(f"layer {layer.chain_id}: the layer below it, {layer.parent}, is missing")
    for image in parts.images.values():
        if image.chain_ids and image.chain_ids[-1] not in parts.layers:
            files.note(f"image {image.name}: its top layer, {image.chain_ids[-1]}, is missing")
    for container_id in parts.mounts.keys() - parts.containers.keys():
        files.note(f"container {container_id}: its name is missing")
    for container in parts.containers.values():
        if container.container_id not in parts.mounts and container.container_id not in devices:
            files.note(f"container {container.name}: what it mounts is missing")


def _without_circles(
    devices: dict[str, DockerDevice], files: DockerFiles
) -> dict[str, DockerDevice]:
    """Cut what claims to stand on itself; from then on all parents are devices that are there."""
    ends_well: set[str] = set()
    for start, device in devices.items():
        if device.parent is None:
            continue
        path: set[str] = set()
        at: str | None = start
        while at is not None and at not in ends_well:
            path.add(at)
            below = devices[at].parent
            if below is not None and (below in path or below not in devices):
                if below in path:
                    files.note(f"device {at}: stands on itself")
                devices[at] = devices[at]._replace(parent=None)
                below = None
            at = below
        ends_well |= path
    return devices
