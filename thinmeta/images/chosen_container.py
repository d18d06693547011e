"""A container of Docker's: its configuration, what it was mounted with, and its image."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from thinmeta.errors import InputError
from thinmeta.images.chosen_image import ChosenImage, chosen_image
from thinmeta.images.docker_times import seconds_of
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.names.docker.files import open_regular
from thinmeta.names.docker.root import DockerRoot
from thinmeta.units import DeviceId

_FILES = ("config.v2.json", "config.json")  # the second is that of Docker before 1.10
_CONFIG_BYTES = 8 << 20
_AS_DOCKER_WRITES = re.compile(r"[0-9-]{10}T[0-9:]{8}(?:\.[0-9]{1,9})?Z")
_NEVER = seconds_of("0001-01-01T00:00:00Z")
_INSTEAD = "; thinmeta export writes its files, of which docker import makes an image"


class MountPoint(NamedTuple):
    """A place of a container where something else was mounted.

    Attributes:
        destination: the path in the container.
        source: what was mounted, in words.
    """

    destination: str
    source: str


class ChosenContainer(NamedTuple):
    """A container that somebody asked for.

    Attributes:
        container_id: 64 digits.
        device_id: of the volume that it wrote to.
        below: of the volume that this was created from: its `-init`.
        config: what it was run with, as Docker wrote it: `Cmd`, `Env`, `Volumes` and so on.
        os: for which it is; None: as its image.
        created: when it was made, as Docker wrote it; None if nobody says.
        finished: when it last stopped, as Docker wrote it; None if it never did, or nobody
            says, or it ran when Docker wrote for the last time.
        mounts: what was mounted in it, in the order of the paths.
        image: of which it was made.
    """

    container_id: str
    device_id: DeviceId
    below: DeviceId
    config: dict[str, Any]
    os: str | None
    created: str | None
    finished: str | None
    mounts: tuple[MountPoint, ...]
    image: ChosenImage


def chosen_container(docker: DockerRoot, device: DockerDevice) -> ChosenContainer:
    """Return a container with what it was run with, and its image.

    Args:
        docker: the root that it is in.
        device: the container's.

    Raises:
        InputError: what Docker kept of it, or of its image, is not complete or out of shape.
    """
    container, parent = device.container, docker.devices.get(device.parent or "")
    if container is None:
        what = f"what container {device.name} was run with is missing: containers/*/config.v2.json"
        raise InputError(f"{docker.path}: {what}{_INSTEAD}")
    if device.record is None or parent is None or parent.record is None:
        what = f"what container {container.name} was created from is on no device that Docker knows"
        raise InputError(f"{docker.path}: {what}: nobody can tell what it changed{_INSTEAD}")
    path, fields = _fields(docker.root / "containers" / container.container_id)
    config = fields.get("Config")
    if not isinstance(config, dict):
        raise InputError(f"{path}: has no Config, which says what the container was run with")
    image = docker.images.get(container.image_id or "")
    if image is None:
        which = container.image_id or "of which nobody says the id"
        what = f"the image of container {container.name}, {which}, is missing"
        raise InputError(f"{docker.path}: {what}{_INSTEAD}")
    os, state = fields.get("OS"), fields.get("State")
    return ChosenContainer(
        container.container_id,
        device.record.device_id,
        parent.record.device_id,
        config,
        os if isinstance(os, str) and os else None,
        _time(fields, "Created"),
        _finished(state if isinstance(state, dict) else {}),
        tuple(sorted(_mounts(fields))),
        chosen_image(docker, image, image.tags),
    )


def _fields(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return what is in the first of a container's files that is there, and where that is."""
    path = next((folder / each for each in _FILES if (folder / each).is_file()), folder / _FILES[0])
    try:
        with open_regular(path) as file:
            fields = json.loads(file.read(_CONFIG_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON, or not all of it") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path}: holds no JSON object")
    return path, fields


def _time(fields: dict[str, Any], name: str) -> str | None:
    """Return a time that is one, and not what stands for none."""
    time = fields.get(name)
    is_one = isinstance(time, str) and _AS_DOCKER_WRITES.fullmatch(time)
    return time if is_one and seconds_of(time) not in (None, _NEVER) else None


def _finished(state: dict[str, Any]) -> str | None:
    """Return when a container stopped, unless it was started again since."""
    finished, started = _time(state, "FinishedAt"), _time(state, "StartedAt")
    if state.get("Running") is True or finished is None:
        return None
    was_started = (seconds_of(started) or 0) > (seconds_of(finished) or 0)
    return None if was_started else finished


def _mounts(fields: dict[str, Any]) -> Iterator[MountPoint]:
    """Yield what was mounted: before Docker 1.8 paths alone, under another name."""
    for key in ("MountPoints", "Volumes"):
        points = fields.get(key)
        for destination, point in points.items() if isinstance(points, dict) else ():
            is_point = isinstance(point, dict)
            volume = point.get("Name") if is_point else None
            path = point.get("Source") if is_point else point
            yield MountPoint(destination, _source(volume, path))


def _source(volume: Any, path: Any) -> str:
    if isinstance(volume, str) and volume:
        return f"volume {volume}, which is volumes/{volume}/_data in Docker's root"
    return f"{path} of the host" if isinstance(path, str) and path else "nobody says what"
