"""Docker's containers: `containers/ID/config.v2.json`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.files import DockerFiles, digest
from thinmeta.names.docker.json_object import JsonObject

_KUBERNETES = "io.kubernetes."
_OF_POD = "POD"
_NEVER = "0001-01-01T00:00:00Z"
_FILES = ("config.v2.json", "config.json")  # the second is that of Docker before 1.10


class Container(NamedTuple):
    """A container, as Docker last wrote it down.

    Attributes:
        container_id: its id.
        name: without the slash that Docker keeps before it.
        state: in the words of `docker ps`: `running`, `exited`, `created`, ...; None if
            it is not there.
        exit_code: None where it is not there.
        image_id: None where it is not there.
        image_name: its image, as it was called when the container was made; None where
            it is not there.
        pod: its Kubernetes pod's, with its namespace: `default/web-0`; None if it is in none.
        in_pod: what it is called there: `default/web-0/nginx`, of the pod's own the pod's name.
    """

    container_id: str
    name: str
    state: str | None
    exit_code: int | None
    image_id: str | None
    image_name: str | None
    pod: str | None = None
    in_pod: str | None = None


def read_containers(files: DockerFiles, folder: Path) -> dict[str, Container]:
    """Return the containers by id."""
    containers = {}
    with files.folder(folder) as opened:
        for container_id in opened.names():
            if digest(container_id) != container_id:
                continue
            configs = (opened.object(f"{container_id}/{name}") for name in _FILES)
            config = next((each for each in configs if each is not None), None)
            if config is not None:
                containers[container_id] = _container(container_id, config)
    return containers


def kubernetes_names(label: Callable[[str], str | None]) -> tuple[str | None, str | None]:
    """Return `pod` and `in_pod` of a container.

    Args:
        label: returns one of its labels; None where there is none.

    Source: `KubernetesPodNameLabel`, staging/src/k8s.io/kubelet/pkg/types/labels.go.
    """
    name = label(f"{_KUBERNETES}pod.name")
    if name is None:
        return None, None
    pod = f"{label(f'{_KUBERNETES}pod.namespace') or 'default'}/{name}"
    inner = label(f"{_KUBERNETES}container.name")
    return pod, pod if inner in (None, _OF_POD) else f"{pod}/{inner}"


def _container(container_id: str, config: JsonObject) -> Container:
    state = config.object("State")
    pod, in_pod = kubernetes_names(config.object("Config").object("Labels").word)
    return Container(
        container_id,
        (config.word("Name") or "").removeprefix("/") or container_id[:12],
        _state(state),
        state.integer("ExitCode"),
        digest(config.text("Image")),
        config.object("Config").word("Image"),
        pod,
        in_pod,
    )


def _state(state: JsonObject) -> str | None:
    """Return the state's word.

    Source: `StateString()`, container/state.go.
    """
    if not state.names():
        return None
    if state.is_set("Running"):
        flags = ("Paused", "Restarting")
        return next((flag.lower() for flag in flags if state.is_set(flag)), "running")
    if state.is_set("RemovalInProgress"):
        return "removing"
    if state.is_set("Dead"):
        return "dead"
    return "created" if state.text("StartedAt") in (None, _NEVER) else "exited"
