"""An image of Docker's: its configuration, its layers, and where each of them is."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError, NotThereError
from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.files import open_regular
from thinmeta.names.docker.imagedb import Image
from thinmeta.names.docker.root import DockerRoot
from thinmeta.units import DeviceId

_IMAGES = "image/devicemapper"
_CONFIG_BYTES = 8 << 20
_LATEST = ":latest"


class ImageLayer(NamedTuple):
    """A layer of an image.

    Attributes:
        diff_id: the sha256 of its tar, 64 digits.
        device_id: of its volume.
        tar_split: the file in which Docker kept all of the tar but the contents of files.
    """

    diff_id: str
    device_id: DeviceId
    tar_split: Path


class ChosenImage(NamedTuple):
    """An image that somebody asked for.

    Attributes:
        image_id: the sha256 of its configuration, 64 digits.
        config: its configuration, as Docker wrote it.
        tags: by which it was asked for, such as `guestbook:v1`; none if it was by its id.
        layers: the lowest first.
    """

    image_id: str
    config: bytes
    tags: tuple[str, ...]
    layers: tuple[ImageLayer, ...]


def choose_images(docker: DockerRoot, texts: Iterable[str]) -> list[ChosenImage]:
    """Find images by tags, repositories, beginnings of their ids, or their devices' ids.

    A repository stands for all of its tags.

    Returns:
        Each image once, with all tags by which it was asked for.

    Raises:
        NotThereError: there is none of this name, or it is a container's.
        InputError: what Docker kept of one is not complete, or not what its hashes say.
    """
    asked: dict[str, Image] = {}
    tags: dict[str, list[str]] = {}
    for text in texts:
        for image in _asked_for(docker, text):
            asked[image.image_id] = image
            tags.setdefault(image.image_id, []).extend(_tags(image, text))
    of_chain = {each.layer.chain_id: each for each in docker.devices.values() if each.layer}
    return [
        ChosenImage(
            image_id,
            _config(docker, image),
            tuple(dict.fromkeys(tags[image_id])),
            tuple(_layer(docker, image, of_chain.get(chain)) for chain in image.chain_ids),
        )
        for image_id, image in asked.items()
    ]


def _asked_for(docker: DockerRoot, text: str) -> list[Image]:
    images = {each.image_id: each for device in docker.devices.values() for each in device.images}
    if tagged := [each for each in images.values() if _tags(each, text)]:
        return tagged
    device = docker.called(text)
    if device.kind is NameKind.CONTAINER:
        what = f"{device.name} is a container; thinmeta export writes its files"
        raise NotThereError(f"{docker.path}: {what}")
    if not device.images:
        what = f"{device.name} is no image, but a {device.kind.value}"
        raise NotThereError(f"{docker.path}: {what}")
    digits = text.removeprefix("sha256:")
    begun = [each for each in device.images if each.image_id.startswith(digits)]
    return begun[:1] or [device.images[0]]


def _tags(image: Image, text: str) -> tuple[str, ...]:
    if text in image.tags:
        return (text,)
    return tuple(each for each in image.tags if each.rpartition(":")[0] == text)


def _config(docker: DockerRoot, image: Image) -> bytes:
    path = docker.root / _IMAGES / "imagedb/content/sha256" / image.image_id
    try:
        with open_regular(path) as file:
            config = file.read(_CONFIG_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(config).hexdigest() != image.image_id:
        raise InputError(f"{path}: is not what its name says: its sha256 is another")
    return config


def _layer(docker: DockerRoot, image: Image, device: DockerDevice | None) -> ImageLayer:
    layer = device.layer if device else None
    if device is None or layer is None or device.record is None:
        what = f"a layer of {image.name} is on no device that Docker knows"
        raise InputError(f"{docker.path}: {what}")
    if layer.diff_id is None:
        what = f"the hash of a layer of {image.name} is missing: layerdb/sha256/"
        raise InputError(f"{docker.path}: {what}{layer.chain_id}/diff")
    folder = docker.root / _IMAGES / "layerdb/sha256" / layer.chain_id
    return ImageLayer(layer.diff_id, device.record.device_id, folder / "tar-split.json.gz")
