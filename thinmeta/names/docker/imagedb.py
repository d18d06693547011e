"""Docker's images, their tags and how they were built: `image/devicemapper/imagedb`."""

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.files import DockerFiles, digest
from thinmeta.names.docker.json_object import JsonObject

_SHA256 = "sha256:"
_HUB = re.compile(r"^docker\.io/(?:library/)?")  # which Docker leaves out, and others write


class Instruction(NamedTuple):
    """What made a layer, as `docker history` shows it.

    Attributes:
        created_by: the command; None for what was imported.
        comment: None if there is none.
        created: when, as Docker wrote it; None if it is not there.
    """

    created_by: str | None
    comment: str | None
    created: str | None


class Image(NamedTuple):
    """An image.

    Attributes:
        image_id: names its configuration.
        references: its tags and digests: `guestbook:v1`, `guestbook@sha256:...`.
        chain_ids: its layers, the lowest first; before Docker 1.10 its own, for those below are
            images, too.
        instructions: what made each of them; empty if that is not known.
        nr_steps: how many instructions it was built with, those without a layer included.
        also_called: what it is called, and others may be, too, so that it is no name of it.
        also_on: other layers that are its top one, each for users that are mapped otherwise.
    """

    image_id: str
    references: tuple[str, ...]
    chain_ids: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    nr_steps: int
    also_on: tuple[str, ...] = ()
    also_called: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Its references that are no digests."""
        return tuple(each for each in self.references if "@" not in each)

    @property
    def aliases(self) -> tuple[str, ...]:
        """What else it is called: without Docker's own registry, without `:latest`."""
        whole = (*self.tags, *self.also_called)
        familiar = [each for tag in whole for each in (tag, _HUB.sub("", tag))]
        latest = (each.removesuffix(":latest") for each in familiar if each.endswith(":latest"))
        return (*self.references, *familiar, *latest)

    @property
    def name(self) -> str:
        """Its first tag, else the beginning of its id."""
        return next(iter(self.tags), self.image_id[:12])


def read_images(files: DockerFiles, folder: Path) -> dict[str, Image]:
    """Return the images below `image/devicemapper` by id."""
    with files.folder(folder) as opened:
        references = _references(opened.object("repositories.json"))
    images = {}
    with files.folder(folder / "imagedb/content/sha256") as content:
        for name in content.names():
            if digest(name) != name:
                continue
            config = content.object(name)
            if config is not None:
                images[name] = _image(files, name, references.pop(name, ()), config)
    for image_id, names in references.items():
        files.note(f"image {names[0]}: what it is made of, {image_id[:12]}, is missing")
    return images


def chain_ids(diff_ids: list[str]) -> tuple[str, ...]:
    """Return the chain id of each layer of an image: the hash of all up to it.

    Source: `CreateChainID()`, layer/layer.go.
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        both = f"{_SHA256}{chain[-1]} {_SHA256}{diff_id}" if chain else None
        chain.append(hashlib.sha256(both.encode()).hexdigest() if both else diff_id)
    return tuple(chain)


def made_by(config: JsonObject) -> tuple[tuple[Instruction, ...], int]:
    """Return what made an image's layers, the lowest first, and of how many steps that was."""
    steps = config.objects("history")
    made = (
        Instruction(step.text("created_by"), step.text("comment"), step.text("created"))
        for step in steps
        if not step.is_set("empty_layer")
    )
    return tuple(made), len(steps)


def _references(repositories: JsonObject | None) -> dict[str, tuple[str, ...]]:
    found = defaultdict(list)
    of_name = repositories.object("Repositories") if repositories else JsonObject(None)
    for name in of_name.names():
        of_reference = of_name.object(name)
        for reference in of_reference.names():
            image_id = digest(of_reference.word(reference))
            if image_id is not None and reference.isprintable() and reference:
                found[image_id].append(reference)
    return {image_id: tuple(sorted(names)) for image_id, names in found.items()}


def _image(
    files: DockerFiles, image_id: str, references: tuple[str, ...], config: JsonObject
) -> Image:
    listed = config.object("rootfs").texts("diff_ids")
    diff_ids = [each for text in listed if (each := digest(text)) is not None]
    if len(diff_ids) != len(listed):
        files.note(f"image {image_id[:12]}: its list of layers cannot be believed")
        diff_ids = []
    made, nr_steps = made_by(config)
    is_whole = len(made) == len(diff_ids)
    return Image(image_id, references, chain_ids(diff_ids), made if is_whole else (), nr_steps)
