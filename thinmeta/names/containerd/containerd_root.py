"""All that containerd says of its devices, as a root of Docker's says it of its own."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thinmeta.errors import InputError
from thinmeta.names.containerd.bolt import BoltFile
from thinmeta.names.containerd.found_containerd import FoundContainerd, found_containerd
from thinmeta.names.containerd.namespaces import KeptContainer, Namespaces, read_namespaces
from thinmeta.names.containerd.pool_devices import PoolDevice, read_pool_devices
from thinmeta.names.containerd.snapshot_keys import KeptSnapshot, SnapshotKind, read_snapshots
from thinmeta.names.docker.containers import Container, kubernetes_names
from thinmeta.names.docker.devices import Parts, joined
from thinmeta.names.docker.files import DockerFiles, digest
from thinmeta.names.docker.imagedb import Image, made_by
from thinmeta.names.docker.layerdb import Layer, Mount, stack_of
from thinmeta.names.docker.root import DockerRoot, in_order

_BLOBS = "io.containerd.content.v1.content/blobs/sha256"
_UNPACKED = "extract-"
_NAME_LABEL = "nerdctl/name"
_NAMES = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
"""What nerdctl calls containers, as Docker does; an image may bring such a label, too, that calls
its containers as another image is called.

Source: `RestrictedNameChars`, daemon/names/names.go (Docker).
"""

_SHOWN = 12


class _Read(NamedTuple):
    """What is in the three files; of the second also the keys by namespace and name."""

    devices: dict[str, PoolDevice]
    snapshots: dict[str, KeptSnapshot]
    namespaces: Namespaces
    by_name: dict[tuple[str, str], str]


def read_containerd_root(path: Path) -> DockerRoot:
    """Read containerd's three files, or those of them that are there.

    Args:
        path: /var/lib/containerd or a copy of it, a folder that holds it, the snapshotter's
            folder, or the pool's own file in that.

    Raises:
        InputError: there is nothing of containerd's devmapper, or there are several pools.
    """
    found = found_containerd(path)
    files = DockerFiles(found.root)
    read = _read(found, files)
    parts = _parts(found, read, files)
    devices = joined(parts, files)
    return DockerRoot(
        path,
        found.root,
        in_order(devices),
        parts.images,
        None,
        None,
        None,
        files.notes,
        files.read,
        parts.records_in,
        "containerd",
    )


def _read(found: FoundContainerd, files: DockerFiles) -> _Read:
    devices: dict[str, PoolDevice] = {}
    snapshots: dict[str, KeptSnapshot] = {}
    namespaces = Namespaces([], [], {})
    for file in _opened(found.pool, files):
        devices = read_pool_devices(file)
    for file in _opened(found.snapshots, files):
        snapshots = read_snapshots(file)
    for file in _opened(found.namespaces, files):
        namespaces = read_namespaces(file)
    by_name = {(each.namespace, each.name): key for key, each in snapshots.items()}
    return _Read(devices, snapshots, namespaces, by_name)


def _opened(path: Path, files: DockerFiles) -> Iterator[BoltFile]:
    """Yield a file, once, if it can be opened."""
    try:
        file = BoltFile(path, files.note)
    except InputError as error:
        files.note(str(error))
        return
    with file:
        device, inode = file.file_id
        files.read[device].add(inode)
        yield file


def _parts(found: FoundContainerd, read: _Read, files: DockerFiles) -> Parts:
    pool = found.pool.stem
    device_of = {key: f"{pool}-snap-{each.snapshot_id}" for key, each in read.snapshots.items()}
    _tell_what_disagrees(found, read, device_of, files)
    mounts: dict[str, Mount] = {}
    containers: dict[str, Container] = {}
    mounted: set[str] = set()
    here = [each for each in read.namespaces.containers if each.snapshot is not None]
    names, ids = Counter(map(_name, here)), Counter(each.container_id for each in here)
    for kept in here:
        key = _key_of(found, read, kept, files)
        container_id = kept.container_id
        if ids[container_id] > 1:  # in several namespaces
            container_id = f"{kept.namespace}/{container_id}"
        name = _name(kept) if names[_name(kept)] == 1 else container_id
        containers[container_id] = _container(kept, container_id, name)
        if key is not None:
            mounted.add(key)
            parent = read.snapshots[key].parent
            mounts[container_id] = Mount(container_id, device_of[key], None, parent)
    layers: dict[str, Layer] = {}
    for key, snapshot in read.snapshots.items():
        is_layer = snapshot.kind is not SnapshotKind.ACTIVE or snapshot.name.startswith(_UNPACKED)
        if is_layer:
            chain_id = digest(snapshot.name) or key
            layers[key] = Layer(
                chain_id, device_of[key], None, snapshot.parent, None, is_removing=False
            )
        elif key not in mounted:
            container_id = snapshot.name if snapshot.name not in mounts else key
            mounts[container_id] = Mount(container_id, device_of[key], None, snapshot.parent)
    return Parts(
        {name: each.record for name, each in read.devices.items()},
        layers,
        _images(found, read, layers, files),
        mounts,
        containers,
        found.pool.name,
        has_base=False,
    )


def _images(
    found: FoundContainerd, read: _Read, layers: dict[str, Layer], files: DockerFiles
) -> dict[str, Image]:
    """Return the images by namespace and id, each with all of its names."""
    references: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for named in read.namespaces.images:
        for config, top in named.tops.items():
            references[named.namespace, config, top].append(named.reference)
    of_namespace = {(named.namespace, named.reference) for named in read.namespaces.images}
    nr_namespaces = Counter(reference for _, reference in of_namespace)
    images = {}
    with files.folder(found.root / _BLOBS) as blobs:
        for (namespace, config, top), names in references.items():
            key = read.namespaces.snapshot_keys.get((namespace, top), f"{namespace}/{top}")
            fields = blobs.object(config) if digest(config) == config else None
            made, nr_steps = made_by(fields) if fields is not None else ((), 0)
            chain = stack_of(layers, key, len(made))
            if not chain:
                chain, made = (key,), ()
            tags = sorted(each for each in names if not each.startswith("sha256:"))
            shared = [each for each in tags if nr_namespaces[each] > 1]
            own = (f"{namespace}/{each}" if each in shared else each for each in tags)
            images[f"{namespace}/{config}/{top}"] = Image(
                config, tuple(own), chain, made, nr_steps, also_called=tuple(shared)
            )
    return images


def _key_of(
    found: FoundContainerd, read: _Read, kept: KeptContainer, files: DockerFiles
) -> str | None:
    """Return the key of a container's snapshot; None, and tell, where there is none."""
    name = kept.snapshot or ""
    key = read.namespaces.snapshot_keys.get((kept.namespace, name))
    if key in read.snapshots:
        return key
    if (kept.namespace, name) in read.by_name:
        return read.by_name[kept.namespace, name]
    what = f"its snapshot {key or name} is not in {found.snapshots.name}"
    files.note(f"container {kept.container_id}: {what}, so its device is not known")
    return None


def _name(kept: KeptContainer) -> str:
    """Return what people call a container: its name, that in its pod, or its id."""
    _, in_pod = kubernetes_names(kept.labels.get)
    name = kept.labels.get(_NAME_LABEL, "")
    return name if _NAMES.fullmatch(name) else in_pod or kept.container_id


def _container(kept: KeptContainer, container_id: str, name: str) -> Container:
    pod, in_pod = kubernetes_names(kept.labels.get)
    if name == container_id and digest(name):
        name = name[:_SHOWN]
    return Container(container_id, name, None, None, None, kept.image, pod, in_pod)


def _tell_what_disagrees(
    found: FoundContainerd, read: _Read, device_of: dict[str, str], files: DockerFiles
) -> None:
    """Tell where the three files, each of which containerd writes by itself, say other things."""
    snapshots, devices = found.snapshots.name, found.pool.name
    if read.snapshots:
        known = set(device_of.values())
        for name in sorted(read.devices.keys() - known):
            files.note(f"{devices}: device {name} has no snapshot in {snapshots}")
    for key, snapshot in read.snapshots.items():
        below = device_of.get(snapshot.parent) if snapshot.parent else None
        device = read.devices.get(device_of[key])
        if snapshot.parent and below is None:
            files.note(f"{snapshots}: {key} stands on {snapshot.parent}, which is not there")
        elif device is not None and device.parent != below:
            said, other = device.parent or "nothing", below or "nothing"
            what = f"was created from {said}, and {snapshots} says from {other}"
            files.note(f"{devices}: device {device_of[key]} {what}")
    kept = set(read.namespaces.snapshot_keys.values())
    if kept:
        for key in sorted(kept - read.snapshots.keys()):
            files.note(f"{found.namespaces.name}: snapshot {key} is not in {snapshots}")
        for key in sorted(read.snapshots.keys() - kept):
            files.note(f"{snapshots}: snapshot {key} is not in {found.namespaces.name}")
