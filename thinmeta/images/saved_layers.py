"""Layers that are written as tars, each held against the hash that it should have."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from thinmeta.errors import InputError
from thinmeta.files.file_system import FileError
from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.layer_tar import LayerFiles, LayerVolume, WrongFile
from thinmeta.images.tar_split import read_tar_split, size_of

OpenLayer = Callable[[ImageLayer], AbstractContextManager[LayerVolume]]

_WRONG_AT_MOST = 10


class UnprovenLayerError(InputError):
    """A layer that was put together is not what the image's hash says.

    Attributes:
        wrong_files: the files that are not what they were.
    """

    def __init__(self, message: str, wrong_files: Sequence[WrongFile] = ()) -> None:
        """Carry the files."""
        super().__init__(message)
        self.wrong_files = wrong_files


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

    def refusal(self, why: str | None) -> InputError:
        """Return what to say if the tar is another.

        Args:
            why: it could not be put together; None if it could, and has another hash.
        """
        ...


def proven(layer: SavedLayer) -> Iterator[bytes | memoryview]:
    """Return a layer's tar in order, and fail at its end if it is not the right one.

    Raises:
        UnprovenLayerError: it is not.
        InputError: it changed while it was read.
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


class Digest(NamedTuple):
    """What a tar turned out to be.

    Attributes:
        sha256: of it, 64 digits.
        size: in bytes.
    """

    sha256: str
    size: int


def digest_of(pieces: Iterable[bytes | memoryview]) -> Digest:
    """Return the hash and the size of a tar."""
    found, size = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        size += len(piece)
    return Digest(found.hexdigest(), size)


class SplitLayer:
    """A layer of an image, put together by what Docker kept of its tar.

    Attributes:
        diff_id: the sha256 that its tar has to have, 64 digits.
    """

    def __init__(self, image: ChosenImage, layer: ImageLayer, open_layer: OpenLayer) -> None:
        """Read how long the tar is.

        Args:
            image: of which it is a layer, for messages.
            layer: which.
            open_layer: opens a layer's volume.

        Raises:
            InputError: what Docker kept of it cannot be read.
        """
        self.diff_id = layer.diff_id
        self._image = image
        self._layer = layer
        self._open_layer = open_layer
        self._size = size_of(layer.tar_split)

    def size(self) -> int:
        """Return how long its tar is, in bytes."""
        return self._size

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Return its tar in order; a view is valid until the next piece.

        Raises:
            FileError: a file is not there, has another size, or cannot be read.
        """
        with self._open_layer(self._layer) as volume:
            yield from LayerFiles(volume).tar(read_tar_split(self._layer.tar_split))

    def refusal(self, why: str | None) -> UnprovenLayerError:
        """Say which files are not what they were."""
        parts = read_tar_split(self._layer.tar_split)
        with self._open_layer(self._layer) as volume:
            wrong = [*LayerFiles(volume).wrong_files(parts)]
        told = [str(each) for each in wrong[:_WRONG_AT_MOST]]
        told = told or [why or "its files are what they were; its tar-split is not"]
        if len(wrong) > _WRONG_AT_MOST:
            told.append(f"and {len(wrong) - _WRONG_AT_MOST} files more")
        what = f"is not what its hash says: {'; '.join(told)}"
        return UnprovenLayerError(f"{layer_name(self._image, self._layer)} {what}", wrong)


def layer_name(image: ChosenImage, layer: ImageLayer) -> str:
    """Return what messages call a layer of an image."""
    name = next(iter(image.tags), image.image_id[:12])
    return f"{name}: layer {layer.diff_id[:12]} (device {layer.device_id})"
