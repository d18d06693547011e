"""Roots of containerd of the fixtures' pools: what it would say of the devices that Docker made.

The files hold what its source writes. One root was written by bbolt itself
(`fixtures/containerd`); others are made here, to differ. There is a real root, too.
"""

import base64
import json
import lzma
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.cases import FIXTURES
from tests.names.docker_roots import CASES, root_of
from tests.names.made_bolt import bolt_bytes, varint
from thinmeta.names.catalogue import NameKind
from thinmeta.names.docker.devices import DockerDevice

CASE = CASES[0]
POOL = "docker-pool"
SNAPSHOTTER = Path("io.containerd.snapshotter.v1.devmapper")
NAMESPACES = Path("io.containerd.metadata.v1.bolt/meta.db")
BLOBS = Path("io.containerd.content.v1.content/blobs/sha256")
KEPT = FIXTURES / "containerd"
"""What bbolt 1.3.6 wrote: the root of `trees()`, and a file of small pages."""

Trees = dict[str, dict[str, Any]]


def trees(case: str = CASE) -> Trees:
    """Return what is in the three files, by their names."""
    docker = root_of(case)
    below = {each.hash: _layer_below(docker.devices, each) for each in docker.devices.values()}
    kept = [each for each in docker.devices.values() if each.kind.value in _KINDS]
    ids = {each.hash: place for place, each in enumerate(kept, start=1)}
    keys = {each.hash: f"k8s.io/{ids[each.hash]}/{_name(each)}" for each in kept}
    devices, device_ids, snapshots = {}, {}, {}
    names, images, containers, blobs = {}, {}, {}, {}
    for each in kept:
        parent = below[each.hash]
        record, number = each.record, ids[each.hash]
        assert record is not None
        device = f"{POOL}-snap-{number}"
        devices[device] = json.dumps(
            {
                "device_id": record.device_id,
                "size": record.size,
                "name": device,
                "parent_name": f"{POOL}-snap-{ids[parent]}" if parent else "",
                "state": 4 if each.container else 10,
                "error": "",
            }
        )
        device_ids[str(record.device_id)] = b"\x01"
        kind = 2 if each.container else 3
        snapshot: dict[str, Any] = {"id": varint(number), "kind": bytes([kind])}
        if each.layer is not None:
            snapshot |= {"size": varint(2 * (each.layer.size or 0)), "inodes": b"\0"}
        if parent:
            snapshot["parent"] = keys[parent]
        fstype = {"containerd.io/snapshot/devmapper/fstype": "ext4"}
        snapshots[keys[each.hash]] = snapshot | {"labels": fstype}
        names[_name(each)] = {"name": keys[each.hash]}
        if each.container is not None:
            containers[each.container.container_id] = {
                "image": f"docker.io/library/{each.container.image_name}:latest",
                "snapshotter": "devmapper",
                "snapshotKey": each.container.container_id,
                "labels": {
                    "io.kubernetes.pod.name": f"{each.container.name}-0",
                    "io.kubernetes.pod.namespace": "prod",
                    "io.kubernetes.container.name": each.container.name,
                },
            }
        for image in each.images:
            manifest = f"sha256:{image.image_id[::-1]}"
            config = f"sha256:{image.image_id}"
            top = {"containerd.io/gc.ref.snapshot.devmapper": _name(each)}
            blobs[config] = {"labels": top}
            blobs[manifest] = {"labels": {"containerd.io/gc.ref.content.config": config}}
            for name in (*(f"docker.io/library/{tag}" for tag in image.tags), config):
                images[name] = {"target": {"digest": manifest}}
    of_namespace = {
        "images": images,
        "containers": containers,
        "snapshots": {"devmapper": names},
        "content": {"blob": blobs},
    }
    return {
        f"{SNAPSHOTTER}/{POOL}.db": {"devices": devices, "device_ids": device_ids},
        f"{SNAPSHOTTER}/metadata.db": {"v1": {"snapshots": snapshots, "parents": {}}},
        str(NAMESPACES): {"v1": {"k8s.io": of_namespace}},
    }


_KINDS = {NameKind.IMAGE.value, NameKind.LAYER.value, NameKind.CONTAINER.value}


def _layer_below(devices: Mapping[str, DockerDevice], device: DockerDevice) -> str | None:
    """Return what a device stands on but for those that containerd has not: -init and base."""
    parent = devices[device.parent] if device.parent else None
    if parent is not None and parent.kind is NameKind.INIT:
        return _layer_below(devices, parent)
    return parent.hash if parent is not None and parent.kind is not NameKind.BASE else None


def _name(device: DockerDevice) -> str:
    if device.container is not None:
        return device.container.container_id
    assert device.layer is not None
    return f"sha256:{device.layer.chain_id}"


def made_root(folder: Path, files: Trees) -> Path:
    """Write a root that holds these trees, and images' configurations."""
    for name, tree in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bolt_bytes(tree))
    content = FIXTURES / CASE / "docker-state/image/devicemapper/imagedb/content/sha256"
    (folder / BLOBS.parent).mkdir(parents=True, exist_ok=True)
    (folder / BLOBS).symlink_to(content)
    return folder


@cache
def kept_file(name: str) -> bytes:
    """Return what bbolt wrote."""
    with tarfile.open(KEPT / "root.tar.xz") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def kept_root(folder: Path) -> Path:
    """Write the root that bbolt wrote."""
    root = made_root(folder, {})
    for name in trees():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(kept_file(name))
    return root


def small_pages() -> bytes:
    """Return a file of bbolt's with pages of 1 KiB, so with branches and what overflows."""
    return lzma.decompress((KEPT / "small-pages.db.xz").read_bytes())


def many_keys() -> dict[str, Any]:
    """Return what is in it."""
    keys = {f"key{number:04d}": "v" * (number % 90) for number in range(2000)}
    return {"many": keys, "long": {"value": "y" * 30_000, "inline": {"a": "b"}, "empty": {}}}


def operations(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return a tree as `tools/bbolt_file.go` takes it: a value a line, in base64."""
    found: list[dict[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found.append({"path": [_coded(each) for each in (*path, key)]})
            found += operations(value, (*path, key))
        else:
            place: dict[str, Any] = {"path": [_coded(each) for each in path], "key": _coded(key)}
            found.append(place | {"value": _coded(value)})
    return found


def _coded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
