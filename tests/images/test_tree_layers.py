"""Layers made of two trees: what is tried to find what the trees do not say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.files.made_trees import MemoryFiles, MemorySource
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.part_of_source import pieces_of
from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.layer_tar import LayerVolume
from thinmeta.images.saved_layers import digest_of
from thinmeta.images.tree_layers import Guess, LayerTrees
from thinmeta.units import DeviceId
from thinmeta.volume.byte_ranges import NO_RANGES

CREATED = "2026-11-26T02:31:11.456699141Z"
AT = 1795660271
ROOT = ({0: b"root", 7: b"me"}, {0: b"root", 7: b"us"})
SOURCE = MemorySource(b"")


def volume(*names: bytes, **others: int) -> LayerVolume:
    """Return a volume with these files, and one more of user and group 7."""
    files = MemoryFiles()
    root = files.directory()
    for name in names:
        files.file(root, name, b"content", **others)
    opened = OpenedFiles(files, SOURCE, 0, None, NO_RANGES, pieces_of(SOURCE))
    return LayerVolume(opened, files.inode(root))


VOLUMES = {1: volume(b"a", b"b", b"c", b"d"), 2: volume(b"new", uid=7, gid=7)}


@contextmanager
def opened(layer: ImageLayer) -> Iterator[LayerVolume]:
    yield VOLUMES[layer.device_id]


def trees(diff_id: str = "", created: str | None = CREATED, **others: object) -> LayerTrees:
    lower = ImageLayer("ab" * 32, DeviceId(1), Path("none"))
    upper = ImageLayer(diff_id, DeviceId(2), Path("none"), created)
    image = ChosenImage("cd" * 32, b"{}", (), (lower, upper), **others)  # type: ignore[arg-type]
    return LayerTrees(image, 1, opened)


def hash_of(guess: Guess) -> str:
    return digest_of(trees().pieces(guess)).sha256


@pytest.mark.parametrize(
    ("time", "later"),
    [
        (AT + 1, ()),
        (AT, ()),
        (AT - 59, ()),
        (AT - 3000, ()),
        (AT, (b"d",)),
        (AT - 2, (b"b", b"c", b"d")),
    ],
)
def test_when_it_was_made_is_found(time: int, later: tuple[bytes, ...]) -> None:
    guess = Guess(({}, {}), time, frozenset(later))

    found = trees(hash_of(guess)).search(seconds=60)

    assert found is not None
    assert found[0] == guess
    assert found[1].sha256 == hash_of(guess)


def test_no_more_is_tried_than_there_is_time_for() -> None:
    guess = Guess(({}, {}), AT - 3)

    assert trees(hash_of(guess)).search(seconds=0) is None


def test_without_a_time_of_the_image_none_is_tried() -> None:
    found = trees(hash_of(Guess(({}, {}), 0)), created=None).search(seconds=60)

    assert found is not None
    assert trees(hash_of(Guess(({}, {}), AT)), created="soon").search(seconds=60) is None


def test_owners_are_called_as_on_the_host() -> None:
    names = ({7: b"me"}, {7: b"us"})
    diff_id = hash_of(Guess(names, AT))

    assert trees(diff_id).search(seconds=0.5) is None
    found = trees(diff_id, owners=ROOT).search(seconds=60)

    assert found is not None
    assert found[0].names == names
