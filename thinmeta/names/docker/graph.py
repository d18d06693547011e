"""Images of Docker before 1.10: `graph`, where each layer is an image, its device's hash its id.

Source: `loadImage()`, graph/graph.go, and `TagStore`, graph/tags.go (docker 1.9).
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.containers import Container
from thinmeta.names.docker.devicemapper import INIT, Record
from thinmeta.names.docker.files import DockerFiles, DockerFolder, digest, size_in
from thinmeta.names.docker.imagedb import Image, Instruction
from thinmeta.names.docker.json_object import JsonObject
from thinmeta.names.docker.layerdb import Layer, Mount

_TAGS = "repositories-devicemapper"


class Graph(NamedTuple):
    """What Docker before 1.10 says of images.

    Attributes:
        layers: by id, which stands for the chain id that there was not yet.
        images: by the same id.
    """

    layers: dict[str, Layer]
    images: dict[str, Image]


def read_graph(files: DockerFiles, root: Path) -> Graph:
    """Read `graph` and `repositories-devicemapper`; there is nothing in a newer root."""
    graph = Graph({}, {})
    with files.folder(root) as folder:
        references = _references(folder.object(_TAGS))
    with files.folder(root / "graph") as folder:
        for image_id in folder.names():
            config = folder.object(f"{image_id}/json") if digest(image_id) == image_id else None
            if config is None:
                continue
            names = tuple(references.pop(image_id, ()))
            graph.layers[image_id] = Layer(
                image_id,
                image_id,
                None,
                _parent(folder, image_id, config),
                size_in(folder.text(f"{image_id}/layersize")),
                is_removing=False,
            )
            graph.images[image_id] = Image(image_id, names, (image_id,), (_instruction(config),), 1)
    for image_id, missing in references.items():
        files.note(f"image {missing[0]}: what it is made of, {image_id[:12]}, is missing")
    return graph


def own_mounts(
    records: Mapping[str, Record], containers: Mapping[str, Container]
) -> dict[str, Mount]:
    """Return what containers mount whose device has their own id as its hash.

    Args:
        records: of all devices, by hash.
        containers: all of them, by id.
    """
    return {
        container_id: Mount(
            container_id,
            container_id,
            init if (init := f"{container_id}{INIT}") in records else None,
            container.image_id,
        )
        for container_id, container in containers.items()
        if container_id in records
    }


def _parent(folder: DockerFolder, image_id: str, config: JsonObject) -> str | None:
    """Return the id of the image below; what Docker 1.9 wrote beside the others' words counts."""
    texts = (
        folder.text(f"{image_id}/parent"),
        config.text("parent"),
        config.text("parent_id"),
    )
    return next((found for each in texts if (found := digest(each)) is not None), None)


def _instruction(config: JsonObject) -> Instruction:
    made_by = config.object("container_config")
    command = made_by.text("Cmd") or " ".join(made_by.texts("Cmd"))
    return Instruction(command or None, config.text("comment"), config.text("created"))


def _references(tags: JsonObject | None) -> dict[str, list[str]]:
    """Return what each image is called: `guestbook:v1`, `guestbook@sha256:...`."""
    found = defaultdict(list)
    of_name = tags.object("Repositories") if tags else JsonObject(None)
    for name in of_name.names():
        of_tag = of_name.object(name)
        for tag in of_tag.names():
            image_id = digest(of_tag.word(tag))
            reference = f"{name}{'@' if ':' in tag else ':'}{tag}"
            if image_id is not None and reference.isprintable() and name and tag:
                found[image_id].append(reference)
    return {image_id: sorted(names) for image_id, names in found.items()}
