"""The lists of containers-storage, which Podman and CRI-O keep beside `devicemapper`.

The hash of a device is the id of its layer, and a container's is a layer, too.

Source: layers.go, images.go and containers.go (containers/storage 1.53); the words in
`metadata` are of storage/runtime.go (CRI-O) and libpod/storage.go (Podman).
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.containers import Container, kubernetes_names
from thinmeta.names.docker.devicemapper import INIT, Record
from thinmeta.names.docker.files import DockerFiles, DockerFolder, digest, graph_id
from thinmeta.names.docker.found_root import DRIVER
from thinmeta.names.docker.imagedb import Image, Instruction, made_by
from thinmeta.names.docker.json_object import JsonObject
from thinmeta.names.docker.layerdb import Layer, Mount, stack_of

_ID_SHOWN = 12


class StorageLists(NamedTuple):
    """What containers-storage says, each by its own id; there is no other than a layer's."""

    layers: dict[str, Layer]
    images: dict[str, Image]
    mounts: dict[str, Mount]
    containers: dict[str, Container]


def read_storage(files: DockerFiles, root: Path, records: Mapping[str, Record]) -> StorageLists:
    """Read `devicemapper-layers`, `-images` and `-containers`; a root of Docker's has none.

    Args:
        files: reads below the root.
        root: the root.
        records: of all devices, by hash.
    """
    with files.folder(root / f"{DRIVER}-layers") as folder:
        layers = _layers(folder)
    with files.folder(root / f"{DRIVER}-images") as folder:
        images = _images(folder, layers)
    mounts, containers = {}, {}
    with files.folder(root / f"{DRIVER}-containers") as folder:
        for fields in _listed(folder, "containers"):
            container_id, layer_id = _id(fields, "id"), _id(fields, "layer")
            if container_id is None or layer_id is None:
                folder.note("names a container without an id or a layer", "containers.json")
                continue
            own = layers.pop(layer_id, None)
            init = f"{layer_id}{INIT}"
            mounts[container_id] = Mount(
                container_id,
                layer_id,
                init if init in records else None,
                own.parent if own else None,
            )
            containers[container_id] = _container(folder, container_id, fields, images)
    return StorageLists(layers, images, mounts, containers)


def _listed(folder: DockerFolder, what: str) -> list[JsonObject]:
    """Return the objects of a list, and of that which is gone when the host starts anew."""
    return [*folder.objects(f"{what}.json"), *folder.objects(f"volatile-{what}.json")]


def _layers(folder: DockerFolder) -> dict[str, Layer]:
    layers = {}
    for fields in _listed(folder, "layers"):
        layer_id = _id(fields, "id")
        if layer_id is None:
            folder.note("names a layer without an id", "layers.json")
            continue
        layers[layer_id] = Layer(
            layer_id,
            layer_id,
            digest(fields.text("diff-digest")),
            _id(fields, "parent"),
            fields.integer("diff-size"),
            is_removing=fields.object("flags").is_set("incomplete"),
        )
    return layers


def _images(folder: DockerFolder, layers: Mapping[str, Layer]) -> dict[str, Image]:
    images = {}
    for fields in _listed(folder, "images"):
        image_id, top = _id(fields, "id"), _id(fields, "layer")
        if image_id is None:
            folder.note("names an image without an id", "images.json")
            continue
        names = tuple(each for each in fields.texts("names") if each.isprintable() and each)
        made, nr_steps = _history(folder, image_id)
        chain = stack_of(layers, top, len(made))
        if not chain:
            chain, made = (top,) if top else (), ()
        also_on = filter(None, map(graph_id, fields.texts("mapped-layers")))
        images[image_id] = Image(image_id, names, chain, made, nr_steps, tuple(also_on))
    return images


def _history(folder: DockerFolder, image_id: str) -> tuple[tuple[Instruction, ...], int]:
    """Return what made the layers of an image, as its configuration has it, and of how many steps.

    Source: `makeBigDataBaseName()`, utils.go.
    """
    key = base64.b64encode(f"sha256:{image_id}".encode()).decode()
    config = folder.object(f"{image_id}/={key}") if digest(image_id) else None
    return made_by(config) if config is not None else ((), 0)


def _container(
    folder: DockerFolder, container_id: str, fields: JsonObject, images: Mapping[str, Image]
) -> Container:
    spec = folder.object(f"{container_id}/userdata/config.json") or JsonObject(None)
    pod, in_pod = kubernetes_names(spec.object("annotations").word)
    metadata = fields.json("metadata")
    names = [each for each in fields.texts("names") if each.isprintable() and each]
    name = next(iter(names), None) or metadata.word("name") or container_id[:_ID_SHOWN]
    image_id = _id(fields, "image")
    image = images.get(image_id or "")
    image_name = metadata.word("image-name") or (image.name if image else None)
    return Container(container_id, name, None, None, image_id, image_name, pod, in_pod)


def _id(fields: JsonObject, name: str) -> str | None:
    return graph_id(fields.text(name))
