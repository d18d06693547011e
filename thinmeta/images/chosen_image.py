"""An image of Docker's: its configuration, its layers, and where each of them is."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from thinmeta.archive.docker_export import MOST_OWNERS_BYTES, Owners, owners_in
from thinmeta.errors import InputError, NotThereError
from thinmeta.images.other_homes import HomeLayer, in_graph, in_storage, read_bytes
from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.files import digest, open_regular
from thinmeta.names.docker.imagedb import Image, chain_ids
from thinmeta.names.docker.root import DockerRoot
from thinmeta.units import DeviceId

_ON_HOST = ("var", "lib", "docker")
_IMAGES = "image/devicemapper"
_LATEST = ":latest"


class ImageLayer(NamedTuple):
    """A layer of an image.

    Attributes:
        diff_id: the sha256 of its tar, 64 digits.
        device_id: of its volume.
        tar_split: the file in which Docker kept all of the tar but the contents of files.
        created: when its image was made of it, as Docker wrote it; None if that is not known.
        is_from_elsewhere: its tar may not be this host's: the layer is known to a registry.
        is_hashed: the sha256 is known; else `diff_id` is the layer's id, as before Docker 1.10.
    """

    diff_id: str
    device_id: DeviceId
    tar_split: Path
    created: str | None = None
    is_from_elsewhere: bool = False
    is_hashed: bool = True


class ChosenImage(NamedTuple):
    """An image that somebody asked for.

    Attributes:
        image_id: the sha256 of its configuration, 64 digits.
        config: its configuration, as Docker wrote it.
        tags: by which it was asked for, such as `guestbook:v1`; none if it was by its id.
        layers: the lowest first.
        owners: names on the host that built it, as far as they are known.
    """

    image_id: str
    config: bytes
    tags: tuple[str, ...]
    layers: tuple[ImageLayer, ...]
    owners: Owners = ({}, {})


class ContainerGivenError(NotThereError):
    """What should be an image is a container."""


def choose_images(docker: DockerRoot, texts: Iterable[str]) -> list[ChosenImage]:
    """Find images by tags, repositories, beginnings of their ids, or their devices' ids.

    A repository stands for all of its tags.

    Returns:
        Each image once, with all tags by which it was asked for.

    Raises:
        ContainerGivenError: one of them is a container.
        NotThereError: there is none of this name, or there are several.
        InputError: what Docker kept of one is not complete, or not what its hashes say.
    """
    asked: dict[str, Image] = {}
    tags: dict[str, list[str]] = {}
    for text in texts:
        for image in _asked_for(docker, text):
            asked[image.image_id] = image
            tags.setdefault(image.image_id, []).extend(_tags(image, text))
    return [
        chosen_image(docker, image, tuple(dict.fromkeys(tags[image_id])))
        for image_id, image in asked.items()
    ]


def chosen_image(docker: DockerRoot, image: Image, tags: tuple[str, ...]) -> ChosenImage:
    """Return an image with its configuration, and where its layers are.

    Args:
        docker: the root that it is in.
        image: which.
        tags: by which it was asked for.

    Raises:
        InputError: what Docker kept of it is not complete, or not what its hashes say.
    """
    owners = _hosts_owners(docker.root)
    home = in_storage(docker, image) or in_graph(docker, image)
    if home is not None:
        of_home = tuple(
            _at_home(docker, image, place, each) for place, each in enumerate(home.layers)
        )
        return ChosenImage(image.image_id, home.config, tags, of_home, owners)
    of_chain = {each.layer.chain_id: each for each in docker.devices.values() if each.layer}
    config = _config(docker, image)
    diff_ids = _diff_ids(docker, image, config)
    layers = tuple(
        _layer(docker, image, place, diff_id, of_chain.get(chain_id))
        for place, (diff_id, chain_id) in enumerate(zip(diff_ids, chain_ids(diff_ids), strict=True))
    )
    return ChosenImage(image.image_id, config, tags, layers, owners)


def _hosts_owners(root: Path) -> Owners:
    """Return the names of owners on the host of a root that is still where Docker has it."""
    if root.parts[-3:] != _ON_HOST:
        return {}, {}
    etc = root.parents[2] / "etc"
    return owners_in(_beginning(etc / "passwd"), _beginning(etc / "group"))


def _beginning(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MOST_OWNERS_BYTES)
    except OSError:
        return b""


def _asked_for(docker: DockerRoot, text: str) -> list[Image]:
    images = docker.images.values()
    if called := [each for each in images if _tags(each, text) or text in each.references]:
        return called
    digits = text.removeprefix("sha256:")
    begun = [each for each in images if digits and each.image_id.startswith(digits)]
    try:
        device = docker.called(text)
    except NotThereError:
        if len(begun) == 1 and not begun[0].chain_ids:
            return begun
        raise
    if device.kind is NameKind.CONTAINER:
        what = f"{device.name} is a container: thinmeta commit makes an image of it"
        raise ContainerGivenError(f"{docker.path}: {what}")
    if not device.images:
        what = f"{device.name} is no image, but a {device.kind.value}"
        raise NotThereError(f"{docker.path}: {what}")
    of_device = [each for each in device.images if each in begun] or device.images[:1]
    if len(of_device) > 1:
        listed = ", ".join(each.image_id for each in of_device)
        raise NotThereError(f"{docker.path}: {text!r} may be image {listed}; say more of it")
    return [*of_device]


def _tags(image: Image, text: str) -> tuple[str, ...]:
    if text in image.tags:
        return (text,)
    return tuple(each for each in image.tags if each.rpartition(":")[0] == text)


def _at_home(docker: DockerRoot, image: Image, place: int, layer: HomeLayer) -> ImageLayer:
    """Return a layer of an image that others keep.

    Raises:
        InputError: nobody knows on which device it is.
    """
    if layer.device.record is None:
        what = f"a layer of {image.name} is on no device that Docker knows"
        raise InputError(f"{docker.path}: {what}")
    instructions = image.instructions
    created = instructions[place].created if len(instructions) > place else None
    return ImageLayer(
        layer.diff_id,
        layer.device.record.device_id,
        layer.tar_split,
        created,
        is_hashed=layer.is_hashed,
    )


def _config(docker: DockerRoot, image: Image) -> bytes:
    path = docker.root / _IMAGES / "imagedb/content/sha256" / image.image_id
    config = read_bytes(path)
    if hashlib.sha256(config).hexdigest() != image.image_id:
        raise InputError(f"{path}: is not what its name says: its sha256 is another")
    return config


def _diff_ids(docker: DockerRoot, image: Image, config: bytes) -> list[str]:
    """Return the hashes of an image's layers as its configuration has them, of which it is sure."""
    try:
        listed = json.loads(config)["rootfs"].get("diff_ids") or []
        found = [digest(each) for each in listed]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found = [None]
        cause: Exception | None = error
    else:
        cause = None
    diff_ids = [each for each in found if each is not None]
    if len(diff_ids) < len(found):
        what = f"image {image.name}: its list of layers cannot be believed"
        raise InputError(f"{docker.path}: {what}") from cause
    return diff_ids


def _layer(
    docker: DockerRoot, image: Image, place: int, diff_id: str, device: DockerDevice | None
) -> ImageLayer:
    layer = device.layer if device else None
    if device is None or layer is None or device.record is None:
        what = f"a layer of {image.name} is on no device that Docker knows"
        raise InputError(f"{docker.path}: {what}")
    folder = docker.root / _IMAGES
    split = folder / "layerdb/sha256" / layer.chain_id / "tar-split.json.gz"
    created = image.instructions[place].created if image.instructions else None
    with suppress(OSError):
        elsewhere = (folder / "distribution/v2metadata-by-diffid/sha256" / diff_id).exists()
        return ImageLayer(diff_id, device.record.device_id, split, created, elsewhere)
    return ImageLayer(diff_id, device.record.device_id, split, created)
