"""Images as others than Docker since 1.10 keep them: containers-storage, and Docker before."""

import base64
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from thinmeta.errors import InputError
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.files import digest, open_regular
from thinmeta.names.docker.imagedb import Image
from thinmeta.names.docker.root import DockerRoot

_CONFIG_BYTES = 8 << 20
_ALL_BYTES = 64 << 20
_NOT_OF_IMAGES = ("id", "parent", "parent_id", "layer_id", "Size", "throwaway")


class HomeLayer(NamedTuple):
    """A layer where it is kept.

    Attributes:
        diff_id: the sha256 of its tar; before Docker 1.10 the layer's own id in its place.
        device: which holds it.
        tar_split: the file in which all of the tar but the contents of files may be.
        is_hashed: the sha256 is known.
    """

    diff_id: str
    device: DockerDevice
    tar_split: Path
    is_hashed: bool = True


class HomeImage(NamedTuple):
    """An image where it is kept: its configuration, and its layers, the lowest first."""

    config: bytes
    layers: tuple[HomeLayer, ...]


def in_storage(docker: DockerRoot, image: Image) -> HomeImage | None:
    """Return an image of containers-storage; None if it is none.

    Raises:
        InputError: what was kept of it is not complete, or not what its hashes say.

    Source: `tarSplitPath()`, layers.go, and `makeBigDataBaseName()`, utils.go
    (containers/storage 1.53).
    """
    folder = docker.root / "devicemapper-images" / image.image_id
    if not folder.is_dir():
        return None
    key = base64.b64encode(f"sha256:{image.image_id}".encode()).decode()
    path = folder / f"={key}"
    config = read_bytes(path)
    if hashlib.sha256(config).hexdigest() != image.image_id:
        raise InputError(f"{path}: is not what its name says: its sha256 is another")
    devices = [docker.devices.get(layer_id) for layer_id in image.chain_ids]
    listed = _fields(path, config).get("rootfs")
    diff_ids = listed.get("diff_ids") if isinstance(listed, dict) else None
    found = [
        digest(each) if isinstance(each, str) else None
        for each in (diff_ids if isinstance(diff_ids, list) else ())
    ]
    layers = [
        HomeLayer(
            diff_id, device, docker.root / "devicemapper-layers" / f"{device.hash}.tar-split.gz"
        )
        for diff_id, device in zip(found, devices, strict=False)
        if diff_id is not None and device is not None
    ]
    if not len(layers) == len(found) == len(devices):
        raise InputError(f"{docker.path}: image {image.name}: a layer of it is not there")
    return HomeImage(config, tuple(layers))


def in_graph(docker: DockerRoot, image: Image) -> HomeImage | None:
    """Return an image of Docker before 1.10, with the configuration that it would have today.

    That Docker kept no hash of a layer's tar. Its configuration has the ids of layers in
    place of the hashes, until these are known.

    Args:
        docker: the root that it is in.
        image: which.

    Raises:
        InputError: a part of it is missing, or no JSON.

    Source: `MakeConfigFromV1Config()`, image/v1/imagev1.go (moby 1.10).
    """
    if not (docker.root / "graph" / image.image_id / "json").is_file():
        return None
    stack = [docker.devices[image.image_id]]
    while (below := docker.devices.get(stack[-1].parent or "")) is not None and below.layer:
        stack.append(below)
    stack.reverse()
    kept, nr_bytes = [], 0
    for device in stack:
        path = docker.root / "graph" / device.hash / "json"
        content = read_bytes(path)
        nr_bytes += len(content)
        if nr_bytes > _ALL_BYTES:
            raise InputError(f"{path}: what is known of the image's layers is too much")
        kept.append(_fields(path, content))
    for device, above in pairwise(stack):
        if above.parent != device.hash:
            raise InputError(f"{docker.path}: image {image.name}: a layer of it is not there")
    config = {name: value for name, value in kept[-1].items() if name not in _NOT_OF_IMAGES}
    config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{each.hash}" for each in stack]}
    config["history"] = [_step(fields) for fields in kept]
    split = docker.root / "graph"
    layers = (
        HomeLayer(each.hash, each, split / each.hash / "tar-data.json.gz", is_hashed=False)
        for each in stack
    )
    return HomeImage(json.dumps(config, separators=(",", ":")).encode(), tuple(layers))


def read_bytes(path: Path) -> bytes:
    """Return what is in an image's configuration.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read(_CONFIG_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _fields(path: Path, content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON, or not all of it") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path}: holds no JSON object")
    return fields


def _step(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what made a layer, as `docker history` has it."""
    of_container = fields.get("container_config")
    command = of_container.get("Cmd") if isinstance(of_container, dict) else None
    words = [each for each in command if isinstance(each, str)] if isinstance(command, list) else []
    step = {name: fields.get(name) for name in ("created", "author", "comment")}
    step["created_by"] = command if isinstance(command, str) else " ".join(words)
    return {name: value for name, value in step.items() if isinstance(value, str) and value}
