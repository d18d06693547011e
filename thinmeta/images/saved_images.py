"""Images as one tar, which `docker load`, podman, skopeo and umoci read.

It is a docker-archive and an OCI layout over the same blobs. Facts: `manifest.json`,
image/tarexport (moby); OCI image layout and image manifest 1.0.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from thinmeta.archive.go_headers import go_header
from thinmeta.archive.ustar import DIRECTORY, END, REGULAR, Member, header, padding
from thinmeta.images.saved_layers import SavedLayer, proven

_BLOBS = "blobs/sha256/"
_SHA256 = "sha256:"
_OCI = "application/vnd.oci.image."


class SavedImage(NamedTuple):
    """An image that is to be written.

    Attributes:
        config: its configuration.
        tags: such as `guestbook:v1`; it may have none.
        layers: the lowest first.
    """

    config: bytes
    tags: tuple[str, ...]
    layers: tuple[SavedLayer, ...]

    @property
    def image_id(self) -> str:
        """The sha256 of its configuration, 64 digits."""
        return hashlib.sha256(self.config).hexdigest()


def saved(images: Sequence[SavedImage]) -> Iterator[bytes | memoryview]:
    """Return the tar of images in order; a view is valid until the next piece.

    What makes images of the blobs is at the end: a tar that is cut short has none.

    Args:
        images: each of them once.

    Raises:
        UnprovenLayerError: the tar of a layer has another sha256 than it should have.
        InputError: what Docker kept of a layer's tar cannot be read.
    """
    yield from _folder("blobs/")
    yield from _folder(_BLOBS)
    sizes: dict[str, int] = {}
    for image in images:
        for layer in image.layers:
            if layer.diff_id not in sizes:
                sizes[layer.diff_id] = size = layer.size()
                member = Member(f"{_BLOBS}{layer.diff_id}".encode(), REGULAR, 0o644, size=size)
                yield go_header(member)
                yield from proven(layer)
                yield padding(size)
    manifests: list[Any] = []
    for image in images:
        manifest = _text(_manifest(image, sizes))
        digest = hashlib.sha256(manifest).hexdigest()
        yield from _file(_BLOBS + image.image_id, image.config)
        yield from _file(_BLOBS + digest, manifest)
        manifests += _index_entries(image, digest, len(manifest))
    yield from _file("index.json", _text({"schemaVersion": 2, "manifests": manifests}))
    yield from _file("oci-layout", _text({"imageLayoutVersion": "1.0.0"}))
    yield from _file("manifest.json", _text([_docker_entry(image) for image in images]))
    yield END


def _manifest(image: SavedImage, sizes: dict[str, int]) -> Any:
    config = {
        "mediaType": f"{_OCI}config.v1+json",
        "digest": _SHA256 + image.image_id,
        "size": len(image.config),
    }
    layers = [
        {
            "mediaType": f"{_OCI}layer.v1.tar",
            "digest": _SHA256 + layer.diff_id,
            "size": sizes[layer.diff_id],
        }
        for layer in image.layers
    ]
    kind = f"{_OCI}manifest.v1+json"
    return {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}


def _index_entries(image: SavedImage, digest: str, size: int) -> Iterator[Any]:
    """Return what the index has of an image: an entry a tag."""
    entry = {"mediaType": f"{_OCI}manifest.v1+json", "digest": _SHA256 + digest, "size": size}
    if not image.tags:
        yield entry
    for tag in image.tags:
        annotations = {
            "io.containerd.image.name": _full_name(tag),
            "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
        }
        yield entry | {"annotations": annotations}


def _full_name(tag: str) -> str:
    """Return a tag with its registry.

    >>> _full_name("a:1"), _full_name("a/b:1"), _full_name("localhost:5000/b:1")
    ('docker.io/library/a:1', 'docker.io/a/b:1', 'localhost:5000/b:1')
    """
    first, slash, _ = tag.partition("/")
    if not slash:
        return f"docker.io/library/{tag}"
    has_registry = "." in first or ":" in first or first == "localhost"
    return tag if has_registry else f"docker.io/{tag}"


def _docker_entry(image: SavedImage) -> Any:
    return {
        "Config": _BLOBS + image.image_id,
        "RepoTags": list(image.tags) or None,
        "Layers": [_BLOBS + layer.diff_id for layer in image.layers],
    }


def _text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _folder(name: str) -> Iterator[bytes]:
    yield header(Member(name.encode(), DIRECTORY, 0o755))


def _file(name: str, content: bytes) -> Iterator[bytes]:
    yield header(Member(name.encode(), REGULAR, 0o644, size=len(content)))
    yield content
    yield padding(len(content))
