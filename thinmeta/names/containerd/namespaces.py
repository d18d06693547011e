"""Images and containers of containerd, by namespace: `io.containerd.metadata.v1.bolt/meta.db`.

Source: core/metadata/buckets.go. Which layers an image has, containerd keeps as labels of what
it must not collect: an image's target refers to its configuration, and that to its snapshot.
"""

from collections.abc import Mapping
from typing import NamedTuple

from thinmeta.names.containerd.bolt import BoltFile, Bucket
from thinmeta.names.docker.files import digest

_SNAPSHOTTER = b"devmapper"
_REF_CONTENT = b"containerd.io/gc.ref.content."
_REF_SNAPSHOT = b"containerd.io/gc.ref.snapshot.devmapper"
_VISITS = 1 << 20


class NamedImage(NamedTuple):
    """A name of an image in a namespace.

    Attributes:
        namespace: `k8s.io`, `moby`, `default`, ...
        reference: `docker.io/library/busybox:latest`, a name by digest, `sha256:...`.
        tops: by digests of its configurations, one a platform, the name of its top snapshot.
    """

    namespace: str
    reference: str
    tops: Mapping[str, str]


class KeptContainer(NamedTuple):
    """A container.

    Attributes:
        namespace: that it is in.
        container_id: its id.
        image: what its image was called; None if it is not there.
        snapshot: the name of its snapshot within the namespace; None if it is not there, or
            another snapshotter's.
        labels: as they were given.
    """

    namespace: str
    container_id: str
    image: str | None
    snapshot: str | None
    labels: Mapping[str, str]


class Namespaces(NamedTuple):
    """What `meta.db` says.

    Attributes:
        images: all names of all images.
        containers: all of them.
        snapshot_keys: in the snapshotter, by namespace and name.
    """

    images: list[NamedImage]
    containers: list[KeptContainer]
    snapshot_keys: dict[tuple[str, str], str]


def read_namespaces(file: BoltFile) -> Namespaces:
    """Read all namespaces."""
    found = Namespaces([], [], {})
    visits = _Visits(file)
    for name, bucket in file.root.bucket(b"v1").buckets().items():
        namespace = _text(name)
        blobs = bucket.bucket(b"content", b"blob")
        for key, image in bucket.bucket(b"images").buckets().items():
            target = image.bucket(b"target").value(b"digest")
            tops = visits.tops(blobs, target) if target else {}
            found.images.append(NamedImage(namespace, _text(key), tops))
        for key, container in bucket.bucket(b"containers").buckets().items():
            found.containers.append(_container(namespace, _text(key), container))
        for key, snapshot in bucket.bucket(b"snapshots", _SNAPSHOTTER).buckets().items():
            kept = snapshot.value(b"name")
            if kept:
                found.snapshot_keys[namespace, _text(key)] = _text(kept)
    return found


class _Visits:
    """Follows references among blobs, all in all so many and not more."""

    def __init__(self, file: BoltFile) -> None:
        self._file = file
        self._left = _VISITS

    def tops(self, blobs: Bucket, target: bytes) -> dict[str, str]:
        """Return the top snapshots of an image, by the digests of its configurations."""
        found: dict[str, str] = {}
        seen = {target}
        waiting = [target]
        while waiting and self._left:
            self._left -= 1
            if not self._left:
                self._file.note(f"more than {_VISITS} references among blobs; the rest is left")
            blob = waiting.pop()
            for key, value in blobs.bucket(blob, b"labels").items().items():
                if not isinstance(value, bytes):
                    continue
                if key == _REF_SNAPSHOT:
                    found[digest(_text(blob)) or _text(blob)] = _text(value)
                elif key.startswith(_REF_CONTENT) and value not in seen:
                    seen.add(value)
                    waiting.append(value)
        return found


def _container(namespace: str, container_id: str, bucket: Bucket) -> KeptContainer:
    snapshotter, image = bucket.value(b"snapshotter"), bucket.value(b"image")
    snapshot = bucket.value(b"snapshotKey") if snapshotter == _SNAPSHOTTER else None
    labels = bucket.bucket(b"labels").items()
    return KeptContainer(
        namespace,
        container_id,
        _text(image) if image else None,
        _text(snapshot) if snapshot else None,
        {_text(key): _text(value) for key, value in labels.items() if isinstance(value, bytes)},
    )


def _text(data: bytes) -> str:
    """Return a text that can stand in a line."""
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
