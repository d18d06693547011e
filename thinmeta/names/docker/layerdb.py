"""Docker's layers and what containers mount: `image/devicemapper/layerdb`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.files import DockerFiles, digest, graph_id, size_in

_REMOVING = re.compile(r"([0-9a-f]{64})-.*-removing", re.ASCII)


class Layer(NamedTuple):
    """A layer of images, read-only.

    Attributes:
        chain_id: names it and all below it; before Docker 1.10 the image's id does that,
            and the layer's with containers-storage.
        cache_id: the hash of its device.
        diff_id: names what it changes; None if it is not there.
        parent: chain id of the layer below; None if it is the lowest.
        size: bytes in its files, as `docker history` shows them; None if it is not there.
        is_removing: Docker was about to delete it.
    """

    chain_id: str
    cache_id: str
    diff_id: str | None
    parent: str | None
    size: int | None
    is_removing: bool


class Mount(NamedTuple):
    """What a container mounts.

    Attributes:
        container_id: the container.
        mount_id: the hash of the device that it writes to.
        init_id: the hash of the device below; None if it is not there.
        parent: chain id of its image's top layer; None if it is not there.
    """

    container_id: str
    mount_id: str
    init_id: str | None
    parent: str | None


def read_layers(files: DockerFiles, folder: Path) -> dict[str, Layer]:
    """Return the layers by chain id; of a half-deleted one only what no other has."""
    layers: dict[str, Layer] = {}
    with files.folder(folder) as opened:
        for name in sorted(opened.names(), key=len):  # whole ones first
            removing = _REMOVING.fullmatch(name)
            chain_id = removing[1] if removing else digest(name)
            if chain_id is None or chain_id in layers:
                continue
            cache_id = graph_id(opened.text(f"{name}/cache-id"))
            if cache_id is None:
                files.note(f"layer {name}: its cache-id is missing, so its device is not known")
                continue
            layers[chain_id] = Layer(
                chain_id,
                cache_id,
                digest(opened.text(f"{name}/diff")),
                digest(opened.text(f"{name}/parent")),
                size_in(opened.text(f"{name}/size")),
                removing is not None,
            )
    return layers


def read_mounts(files: DockerFiles, folder: Path) -> dict[str, Mount]:
    """Return what containers mount, by container id."""
    mounts = {}
    with files.folder(folder) as opened:
        for name in opened.names():
            if digest(name) != name:
                continue
            mount_id = graph_id(opened.text(f"{name}/mount-id"))
            if mount_id is None:
                files.note(f"container {name}: its mount-id is missing, so its device is not known")
                continue
            init_id = graph_id(opened.text(f"{name}/init-id"))
            parent = digest(opened.text(f"{name}/parent"))
            mounts[name] = Mount(name, mount_id, init_id, parent)
    return mounts


def stack_of(layers: Mapping[str, Layer], top: str | None, depth: int) -> tuple[str, ...]:
    """Return the `depth` layers of an image, the lowest first; none if it has another number."""
    found: list[str] = []
    at = top
    while at is not None and at in layers and len(found) < depth:
        found.append(at)
        at = layers[at].parent
    return tuple(found[::-1]) if at is None and len(found) == depth else ()
