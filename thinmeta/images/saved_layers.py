"""Layers that are written as tars, each held against the hash that it should have."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from thinmeta.errors import InputError
from thinmeta.files.file_system import FileError
from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.layer_tar import LayerFiles
from thinmeta.images.tar_split import read_tar_split, size_of

OpenLayer = Callable[[ImageLayer], AbstractContextManager[LayerFiles]]

_WRONG_AT_MOST = 10


class UnprovenLayerError(InputError):
    """A layer that was put together is not what the image's hash says."""


class SavedLayer(Protocol):
    """A layer that is to be written."""

    @property
    def diff_id(self) -> str:
        """The sha256 that its tar has to have, 64 digits."""
        ...

    def size(self) -> int:
        """Return how long its tar is, in bytes."""
        ...

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Return its tar in order; a view is valid until the next piece.

        Raises:
            FileError: it cannot be put together.
        """
        ...

    def refusal(self, why: str | None) -> UnprovenLayerError:
        """Return what to say if the tar is another.

        Args:
            why: it could not be put together; None if it could, and has another hash.
        """
        ...


def proven(layer: SavedLayer) -> Iterator[bytes | memoryview]:
    """Return a layer's tar in order, and fail at its end if it is not the right one.

    Raises:
        UnprovenLayerError: it is not.
    """
    found, why = hashlib.sha256(), None
    try:
        for piece in layer.pieces():
            found.update(piece)
            yield piece
    except FileError as error:
        why = str(error)
    if why is not None or found.hexdigest() != layer.diff_id:
        raise layer.refusal(why)


class SplitLayer:
    """A layer of an image, put together by what Docker kept of its tar.

    Attributes:
        diff_id: the sha256 that its tar has to have, 64 digits.
    """

    def __init__(self, image: ChosenImage, layer: ImageLayer, open_layer: OpenLayer) -> None:
        """Read nothing yet.

        Args:
            image: of which it is a layer, for messages.
            layer: which.
            open_layer: gives the files of a layer's volume.
        """
        self.diff_id = layer.diff_id
        self._image = image
        self._layer = layer
        self._open_layer = open_layer

    def size(self) -> int:
        """Return how long its tar is, in bytes.

        Raises:
            InputError: what Docker kept of it cannot be read.
        """
        return size_of(self._layer.tar_split)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Return its tar in order; a view is valid until the next piece.

        Raises:
            FileError: a file is not there, has another size, or cannot be read.
        """
        with self._open_layer(self._layer) as files:
            yield from files.tar(read_tar_split(self._layer.tar_split))

    def refusal(self, why: str | None) -> UnprovenLayerError:
        """Say which files are not what they were."""
        with self._open_layer(self._layer) as files:
            wrong = [str(each) for each in files.wrong_files(read_tar_split(self._layer.tar_split))]
        told = wrong[:_WRONG_AT_MOST] or [
            why or "its files are what they were; its tar-split is not"
        ]
        if len(wrong) > _WRONG_AT_MOST:
            told.append(f"and {len(wrong) - _WRONG_AT_MOST} files more")
        name = next(iter(self._image.tags), self._image.image_id[:12])
        layer = f"layer {self.diff_id[:12]} (device {self._layer.device_id})"
        return UnprovenLayerError(f"{name}: {layer} is not what its hash says: {'; '.join(told)}")
