"""A layer made of what changed between its volume and that of the layer below, without a tar-split.

It is as proven as any if its hash is right. What the volumes do not say is tried: the names of the
owners, which are those of the machine that built the layer, and when it was built, which Docker
keeps of each file that the layer removes.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from stat import S_ISREG
from typing import NamedTuple

from thinmeta.archive.docker_export import DockerHeaders, Owners, owners_of
from thinmeta.archive.layer_archive import LayerMember, layer_members, layer_pieces
from thinmeta.archive.tree_archive import TreeArchive
from thinmeta.files.file_bytes import LostPart
from thinmeta.files.file_changes import ComparedTree
from thinmeta.files.file_system import FileError
from thinmeta.files.file_tree import OnFileError, shown
from thinmeta.images.chosen_image import ChosenImage, ImageLayer
from thinmeta.images.docker_times import seconds_of
from thinmeta.images.layer_tar import LayerVolume
from thinmeta.images.saved_layers import (
    Digest,
    OpenLayer,
    UnprovenLayerError,
    digest_of,
    layer_name,
)

_ROOT = {0: b"root"}
_SOON, _LATE = 60, 3600  # seconds before the image was made, in which a layer was


class Guess(NamedTuple):
    """What the volumes do not say of a layer.

    Attributes:
        names: of the owners.
        time: at which the layer's first removed file was come to, in seconds since 1970.
        later: the paths of those that were come to a second later.
    """

    names: Owners
    time: int = 0
    later: frozenset[bytes] = frozenset()


class LostFile(NamedTuple):
    """A file that cannot be read, and is not in a layer.

    Attributes:
        path: of the file.
        error: why.
        of: which volume it is of, in words, if it is not the layer's own.
    """

    path: bytes
    error: FileError
    of: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.of}{shown(self.path)}: {self.error}"


class LayerTrees:
    """What a layer changed, as its volume and that of the layer below have it.

    Attributes:
        members: of its tar, in order.
        lost: what cannot be read, and is not among them.
    """

    def __init__(
        self, image: ChosenImage, place: int, open_layer: OpenLayer, *, by_ctime: bool = False
    ) -> None:
        """Compare the files of both.

        Args:
            image: of which it is a layer.
            place: of the layer in the image.
            open_layer: opens a layer's volume.
            by_ctime: also take what Docker would not see: see `file_changes`.

        Raises:
            InputError: the file system of one of them cannot be read.
        """
        self._layer: ImageLayer = image.layers[place]
        self._open_layer = open_layer
        self.lost: list[LostFile] = []
        with ExitStack() as stack:
            left = None
            for below in image.layers[:place][-1:]:
                of = f"of device {below.device_id}, below it: "
                left = self._tree(stack.enter_context(open_layer(below)), of)
            right = stack.enter_context(open_layer(self._layer))
            self.members = layer_members(left, self._tree(right), by_ctime=by_ctime)
            self._names = self._possible_names(right, image.owners)

    @property
    def removed(self) -> list[bytes]:
        """The paths that the layer removes."""
        return [member.path for member in self.members if member.number is None]

    def pieces(self, guess: Guess) -> Iterator[bytes | memoryview]:
        """Return the tar in order, without what cannot be put into one.

        A view is valid until the next piece.

        Raises:
            FileError: a part of a file turned out to be unreadable.
        """
        with self._open_layer(self._layer) as volume:
            yield from self._pieces(volume, guess, lambda _, __: None)

    def search(self, seconds: float) -> tuple[Guess, Digest] | None:
        """Return what gives the layer its hash; None if nothing that was tried does.

        Args:
            seconds: after which nothing more is tried.
        """
        left_out: list[bytes] = []

        def on_error(path: bytes, _: FileError) -> None:
            left_out.append(path)

        end = time.monotonic() + seconds
        with self._open_layer(self._layer) as volume:
            for at, later in _times(self._layer.created, self.removed):
                for names in self._names:
                    guess = Guess(names, at, later)
                    try:
                        digest = digest_of(self._pieces(volume, guess, on_error))
                    except FileError:
                        return None
                    if digest.sha256 == self._layer.diff_id:
                        return guess, digest
                if self.lost or left_out or time.monotonic() >= end:
                    break
        return None

    def readable(self, guess: Guess) -> Digest:
        """Leave out, and tell in `lost`, what cannot be read; return what the tar is then."""
        kept = []
        with self._open_layer(self._layer) as volume:
            for member in self.members:
                try:
                    _read(volume, member)
                except FileError as error:
                    self._lose(member.path, error)
                else:
                    kept.append(member)
            self.members = kept
            return digest_of(self._pieces(volume, guess, self._lose))

    def _pieces(
        self, volume: LayerVolume, guess: Guess, on_error: OnFileError
    ) -> Iterator[bytes | memoryview]:
        def removed_at(path: bytes) -> int:
            return guess.time + (path in guess.later)

        file_system = volume.opened.file_system
        headers = DockerHeaders(*guess.names)
        archive = TreeArchive(volume.opened, headers, on_error, salvage=False)
        return layer_pieces(archive, file_system, self.members, removed_at, on_error)

    def _tree(self, volume: LayerVolume, of: str = "") -> ComparedTree:
        def lose(path: bytes, error: FileError) -> None:
            self.lost.append(LostFile(path, error, of))

        return ComparedTree(volume.opened.file_system, volume.root, lose)

    def _lose(self, path: bytes, error: FileError) -> None:
        self.lost.append(LostFile(path, error))

    def _possible_names(self, volume: LayerVolume, hosts: Owners) -> list[Owners]:
        """Return the names that the owners may have had, each once, the likeliest first."""
        uids, gids = set(), set()
        for _, number in self.members:
            if number is not None:
                try:
                    inode = volume.opened.file_system.inode(number)
                except FileError:
                    continue
                uids.add(inode.uid)
                gids.add(inode.gid)
        possible: list[Owners] = []
        own = owners_of(volume.opened, volume.root)
        for users, groups in (hosts, (_ROOT, _ROOT), own, ({}, {})):
            names = (
                {uid: users[uid] for uid in uids if uid in users},
                {gid: groups[gid] for gid in gids if gid in groups},
            )
            if names not in possible:
                possible.append(names)
        return possible


class TreeLayer:
    """A layer that is made of what changed between two volumes.

    Attributes:
        diff_id: the sha256 of its tar, 64 digits.
    """

    def __init__(self, name: str, trees: LayerTrees, guess: Guess, digest: Digest) -> None:
        """Keep what the tar is made of.

        Args:
            name: of the layer, for messages.
            trees: what it changed.
            guess: what they do not say.
            digest: what the tar is then.
        """
        self.diff_id = digest.sha256
        self._size = digest.size
        self._name = name
        self._trees = trees
        self._guess = guess

    @classmethod
    def unproven(cls, image: ChosenImage, place: int, trees: LayerTrees) -> "TreeLayer":
        """Make a layer of all that can be read, whatever its hash is."""
        layer = image.layers[place]
        guess = Guess(({}, {}), seconds_of(layer.created) or 0)
        digest = trees.readable(guess)
        return cls(layer_name(image, layer), trees, guess, digest)

    def size(self) -> int:
        """Return how long its tar is, in bytes."""
        return self._size

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Return its tar in order; a view is valid until the next piece.

        Raises:
            FileError: a file turned out to be unreadable.
        """
        return self._trees.pieces(self._guess)

    def refusal(self, why: str | None) -> UnprovenLayerError:
        """Say that it changed since it was looked at."""
        return UnprovenLayerError(f"{self._name}: {why or 'its volume changed while it was read'}")


def _read(volume: LayerVolume, member: LayerMember) -> None:
    """Read all of a file.

    Raises:
        FileError: a part of it cannot be had.
    """
    if member.number is None:
        return
    inode = volume.opened.file_system.inode(member.number)
    if S_ISREG(inode.mode):
        for piece in volume.opened.bytes_of(inode).pieces():
            if isinstance(piece, LostPart):
                raise FileError(f"is left out: {piece}")


def _times(created: str | None, removed: list[bytes]) -> Iterator[tuple[int, frozenset[bytes]]]:
    """Yield when a layer's removed files may have been come to, the likeliest first.

    Docker makes the layer, then the image that it is for, of which it keeps the time.
    """
    at = seconds_of(created)
    if at is None or not removed:
        yield at or 0, frozenset()
        return
    for back in range(-1, _SOON):
        yield at - back, frozenset()
    for back in range(_SOON // 2):
        for place in range(1, len(removed)):
            yield at - back, frozenset(removed[place:])
    for back in range(_SOON, _LATE):
        yield at - back, frozenset()
