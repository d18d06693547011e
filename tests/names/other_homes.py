"""The fixtures' Docker roots in the layouts of others: rebuilt from what Docker 20 wrote.

Docker 1.9 could not be run: the files are those that its source reads, and say of the same
devices what the root of Docker 20 says. Of containers-storage there is a real root, too.
"""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from tests.names.docker_roots import CASE, root_of, state_of
from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.root import DockerRoot

METADATA = Path("devicemapper/metadata")
LAYERDB = Path("image/devicemapper/layerdb/sha256")


def docker_1_9(folder: Path, case: str = CASE) -> Path:
    """Write a root as Docker 1.9 would have it; containers' devices have their own ids."""
    docker = root_of(case)
    shutil.copytree(state_of(case) / METADATA, folder / METADATA)
    tags: dict[str, dict[str, str]] = {}
    for device in docker.devices.values():
        parent = docker.devices[device.parent].hash if device.parent else None
        if device.layer is not None:
            graph = folder / "graph" / device.hash
            graph.mkdir(parents=True)
            made = device.instruction
            command = [made.created_by] if made and made.created_by else None
            config = {
                "id": device.hash,
                "created": made.created if made else None,
                "comment": made.comment if made else None,
                "container_config": {"Cmd": command},
            }
            parents = {} if parent in ("base", None) else {"parent": parent}
            (graph / "json").write_text(json.dumps(config | parents))
            (graph / "layersize").write_text(str(device.layer.size))
            for reference in (each for image in device.images for each in image.tags):
                name, _, tag = reference.rpartition(":")
                tags.setdefault(name, {})[tag] = device.hash
    (folder / "repositories-devicemapper").write_text(json.dumps({"Repositories": tags}))
    for container in (state_of(case) / "containers").iterdir():
        fields = json.loads((container / "config.v2.json").read_text())
        image = docker.images[fields["Image"].removeprefix("sha256:")]
        mounts = state_of(case) / "image/devicemapper/layerdb/mounts" / container.name
        top = next(each for each in docker.devices.values() if image in each.images)
        (folder / "containers" / container.name).mkdir(parents=True)
        old = folder / "containers" / container.name / "config.json"
        old.write_text(json.dumps(fields | {"Image": top.hash}))
        mount_id = (mounts / "mount-id").read_text()
        for suffix in ("", "-init"):
            record = folder / METADATA / f"{mount_id}{suffix}"
            record.rename(record.with_name(f"{container.name}{suffix}"))
    return folder


def containers_storage(folder: Path, case: str = CASE) -> Path:
    """Write a root as Podman would have it: lists of layers, images and containers."""
    docker = root_of(case)
    shutil.copytree(state_of(case) / METADATA, folder / METADATA)
    layers: list[Any] = []
    containers: list[Any] = []
    images: dict[str, Any] = {}
    for device in docker.devices.values():
        parent = docker.devices[device.parent].hash if device.parent else "base"
        fields = {"id": device.hash} | ({} if parent == "base" else {"parent": parent})
        if device.layer is not None:
            split = state_of(case) / LAYERDB / device.layer.chain_id / "tar-split.json.gz"
            (folder / "devicemapper-layers").mkdir(exist_ok=True)
            kept = folder / "devicemapper-layers" / f"{device.hash}.tar-split.gz"
            shutil.copyfile(split, kept)
            of_layer = {"diff-digest": f"sha256:{device.layer.diff_id}"}
            layers.append(fields | of_layer | {"diff-size": device.layer.size})
        elif device.container is not None and device.kind is NameKind.CONTAINER:
            below = docker.devices[device.parent or ""].parent
            layers.append(fields | {"parent": docker.devices[below or ""].hash})
            words = {"name": device.container.name, "image-name": device.container.image_name}
            of_container = {"names": [device.container.name], "metadata": json.dumps(words)}
            image_id = device.container.image_id
            containers.append(
                of_container | {"id": device.container_id, "image": image_id, "layer": device.hash}
            )
        for image in device.images:
            images[image.image_id] = {"id": image.image_id, "layer": device.hash}
            images[image.image_id]["names"] = list(image.tags)
            config = folder / "devicemapper-images" / image.image_id
            config.mkdir(parents=True)
            content = state_of(case) / "image/devicemapper/imagedb/content/sha256" / image.image_id
            name = "=" + base64.b64encode(f"sha256:{image.image_id}".encode()).decode()
            shutil.copyfile(content, config / name)
    for what, listed in (
        ("layers", layers),
        ("images", [*images.values()]),
        ("containers", containers),
    ):
        (folder / f"devicemapper-{what}").mkdir(exist_ok=True)
        (folder / f"devicemapper-{what}" / f"{what}.json").write_text(json.dumps(listed))
    return folder


def told_of(docker: DockerRoot, *, with_state: bool = True) -> dict[int, tuple[Any, ...]]:
    """Return what is said of each device but for ids that others make up otherwise."""

    def device_id(name: str | None) -> int | None:
        record = docker.devices[name].record if name else None
        return record.device_id if record else None

    told = {}
    for device in docker.devices.values():
        whose = device.container
        told[device_id(device.hash) or 0] = (
            device_id(device.parent),
            device.record,
            [tag for image in device.images for tag in image.tags],
            device.instruction,
            device.layer.size if device.layer else None,
            (whose.name, whose.image_name, whose.state if with_state else None) if whose else None,
        )
    return told
