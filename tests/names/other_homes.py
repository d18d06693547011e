"""The fixtures' Docker roots in the layouts of others: rebuilt from what Docker 20 wrote.

Neither Docker 1.9 nor containers-storage could be run: the files are those that their
sources read, and say of the same devices what the root of Docker 20 says.
"""

import json
import shutil
from pathlib import Path

from tests.names.docker_roots import CASE, root_of, state_of

METADATA = Path("devicemapper/metadata")


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
