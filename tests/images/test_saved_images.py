"""Images as one tar: a layer that no header of a tar has room for."""

import gzip
import io
import json
import tarfile
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.layer_tar import LayerVolume
from thinmeta.images.saved_images import SavedImage, saved
from thinmeta.images.saved_layers import SplitLayer
from thinmeta.units import DeviceId


def test_a_layer_of_more_than_8_gib_has_its_size(tmp_path: Path) -> None:
    size = 9 << 30
    split = tmp_path / "tar-split.json.gz"
    split.write_bytes(gzip.compress(json.dumps({"type": 1, "name": "a", "size": size}).encode()))
    layer = ImageLayer("ab" * 32, DeviceId(1), split)
    image = ChosenImage("cd" * 32, b"{}", ("big:1",), (layer,))

    def never(layer: ImageLayer) -> AbstractContextManager[LayerVolume]:
        raise AssertionError(layer)

    begun = b"".join(
        map(
            bytes,
            islice(
                saved([SavedImage(image.config, image.tags, (SplitLayer(image, layer, never),))]), 3
            ),
        )
    )

    with tarfile.open(fileobj=io.BytesIO(begun)) as archive:
        assert [archive.next() for _ in range(2)]
        member = archive.next()
    assert member is not None
    assert (member.name, member.size) == (f"blobs/sha256/{layer.diff_id}", size)
