"""An image that is made of a container, as `docker commit` makes it.

Facts: `NewChildImage()`, image/image.go, and `CreateImageFromContainer()`, daemon/commit.go
(moby 20.10), and a recorded image.
"""

import hashlib
import json
from typing import NamedTuple

from thinmeta.archive.ustar import END
from thinmeta.errors import InputError
from thinmeta.images.chosen_container import ChosenContainer
from thinmeta.images.docker_times import time_text
from thinmeta.images.saved_images import SavedImage
from thinmeta.images.saved_layers import SavedLayer

_EMPTY_LAYER = hashlib.sha256(END).hexdigest()
_KEPT = ("architecture", "variant", "os", "os.version", "os.features")


def time_of(container: ChosenContainer, layer_time: int | None) -> str:
    """Return when a container was what it is, as Docker writes times; it is always the same.

    Args:
        container: which: the time at which it stopped, if that is known.
        layer_time: that of the last change of what it changed, in ns since 1970, which is
            next; None if there is nothing.
    """
    changed = time_text(layer_time) if layer_time is not None else None
    return container.finished or changed or container.created or time_text(0)


class Said(NamedTuple):
    """What is said of an image besides what is in it.

    Attributes:
        tag: what it is called.
        created: when it was made, as Docker writes times.
        author: who made it; it may be empty.
        message: about it; it may be empty.
    """

    tag: str
    created: str
    author: str = ""
    message: str = ""


def committed_image(
    container: ChosenContainer, below: SavedImage, layer: SavedLayer, said: Said
) -> SavedImage:
    """Return a container's image with what the container changed as one more layer.

    Its configuration has what Docker's has, but for the version of Docker. A layer that
    changes nothing is only a step of its history.

    Args:
        container: which.
        below: its image.
        layer: what it changed.
        said: what to say of the new image.

    Raises:
        InputError: the configuration of the container, or of its image, is out of shape.
    """
    image = json.loads(below.config)
    config, history, rootfs = image.get("config"), image.get("history") or [], image["rootfs"]
    if not isinstance(history, list) or not isinstance(config, dict | None):
        raise _out_of_shape(container)
    is_empty = layer.diff_id == _EMPTY_LAYER
    command = container.config.get("Cmd")
    words = command if isinstance(command, list) else []
    step = {
        "created": said.created,
        "author": said.author,
        "created_by": " ".join(each for each in words if isinstance(each, str)),
        "comment": said.message,
        "empty_layer": is_empty,
    }
    stack = below.layers if is_empty else (*below.layers, layer)
    fields = {key: image[key] for key in _KEPT if key in image}
    fields |= {
        "config": (config or {}) | container.config,
        "container": container.container_id,
        "container_config": container.config,
        "created": said.created,
        "history": [*history, {key: value for key, value in step.items() if value}],
        "rootfs": rootfs | {"diff_ids": [f"sha256:{each.diff_id}" for each in stack]},
    }
    fields |= {"author": said.author} if said.author else {}
    fields |= {"os": container.os} if container.os else {}
    try:
        text = json.dumps(dict(sorted(fields.items())), separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise _out_of_shape(container) from error
    return SavedImage(text.encode(), (said.tag,), stack)


def _out_of_shape(container: ChosenContainer) -> InputError:
    what = f"the configuration of container {container.container_id[:12]}, or of its image"
    return InputError(f"{what}, {container.image.image_id[:12]}, is out of shape")
