"""Which devices go together when Docker removes a container or an image."""

from collections import Counter
from collections.abc import Mapping

from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.root import DockerRoot

_CONTAINERS = "containers"
"""What all containers are called together."""


def removed_together(docker: DockerRoot, name: str) -> list[DockerDevice]:
    """Return the devices that go when Docker removes what is called `name`.

    Args:
        docker: Docker's root.
        name: as `DockerRoot.called` takes it, or `containers` for all of them.

    Raises:
        NotThereError: there is none, or it may be several.
    """
    if name == _CONTAINERS:
        kinds = (NameKind.CONTAINER, NameKind.INIT)
        return [device for device in docker.devices.values() if device.kind in kinds]
    return removed_with(docker.devices, docker.called(name))


def removed_with(devices: Mapping[str, DockerDevice], top: DockerDevice) -> list[DockerDevice]:
    """Return the devices that go when one is removed, as Docker removes it.

    A container's device goes with its `-init`. An image or a layer goes with all that
    stands on it, and with the layers below that nothing else stands on and that have no
    tag, as `docker rmi` takes untagged parents; the base device never does.

    Args:
        devices: by hash; a parent is always one of them.
        top: one of them.
    """
    if top.kind in (NameKind.CONTAINER, NameKind.INIT):
        return _of_container(devices, top)
    above: dict[str, list[DockerDevice]] = {}
    for device in devices.values():
        above.setdefault(device.parent or "", []).append(device)
    found = [top]
    for device in found:
        found += above.get(device.hash, [])
    nr_above = Counter({hash_: len(standing) for hash_, standing in above.items()})
    below = devices.get(top.parent or "")
    while below is not None and _is_only_built_on(below) and nr_above[below.hash] == 1:
        found.append(below)
        below = devices.get(below.parent or "")
    return found


def _is_only_built_on(device: DockerDevice) -> bool:
    is_tagged = any(image.tags for image in device.images)
    return device.kind in (NameKind.LAYER, NameKind.IMAGE) and not is_tagged


def _of_container(devices: Mapping[str, DockerDevice], one: DockerDevice) -> list[DockerDevice]:
    if one.kind is NameKind.INIT:
        return [one, *(device for device in devices.values() if device.parent == one.hash)]
    init = devices.get(one.parent or "")
    return [one] if init is None or init.kind is not NameKind.INIT else [one, init]
