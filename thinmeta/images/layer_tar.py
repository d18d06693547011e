"""A layer's tar, put together from what Docker kept of it and the files of its volume."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from stat import S_ISREG
from typing import NamedTuple

from fastcrc import crc64

from thinmeta.errors import NotThereError
from thinmeta.files.file_bytes import FileHole, LostPart, zeros
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import entries_of, find, shown
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.images.tar_split import SplitFile, SplitPart

_MOST_FOLDERS = 64


class WrongFile(NamedTuple):
    """A file that is not what the layer had.

    Attributes:
        name: as the tar has it.
        why: what is wrong with it.
    """

    name: bytes
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{shown(self.name)}: {self.why}"


class LayerVolume(NamedTuple):
    """The volume of a layer.

    Attributes:
        opened: its file system.
        root: the directory that the layer's files, and those of all below it, are below.
    """

    opened: OpenedFiles
    root: Inode


class LayerFiles:
    """The files of a layer's volume, by the names that they have in its tar."""

    def __init__(self, volume: LayerVolume) -> None:
        """Begin with nothing read."""
        self._opened, self._root = volume
        self._folders: OrderedDict[bytes, dict[bytes, int]] = OrderedDict()

    def tar(self, parts: Iterable[SplitPart]) -> Iterator[bytes | memoryview]:
        """Return the layer's tar in order; a view is valid until the next piece.

        Raises:
            FileError: a file is not there, has another size, or cannot be read.
        """
        for part in parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from self._content(part)

    def wrong_files(self, parts: Iterable[SplitPart]) -> Iterator[WrongFile]:
        """Return which files are not what the layer had, as far as their CRCs tell."""
        for part in parts:
            if isinstance(part, bytes):
                continue
            crc = 0
            try:
                for piece in self._content(part):
                    crc = crc64.go_iso(bytes(piece), crc)
            except FileError as error:
                yield WrongFile(part.name, str(error))
                continue
            if part.crc is not None and crc != part.crc:
                yield WrongFile(part.name, "its contents are not those that the layer had")

    def _content(self, part: SplitFile) -> Iterator[bytes | memoryview]:
        inode = self._inode(part.name)
        if not S_ISREG(inode.mode):
            raise FileError("is no regular file")
        content = self._opened.bytes_of(inode)
        if content.size != part.size:
            raise FileError(f"has {content.size} bytes; in the layer it had {part.size}")
        for piece in content.pieces():
            if isinstance(piece, LostPart):
                raise FileError(str(piece))
            if isinstance(piece, FileHole):
                yield from zeros(piece.length)
            else:
                yield piece

    def _inode(self, name: bytes) -> Inode:
        folder, _, last = name.removeprefix(b"./").rpartition(b"/")
        entries = self._folders.get(folder)
        if entries is None:
            entries = self._folders[folder] = self._entries(folder)
            if len(self._folders) > _MOST_FOLDERS:
                self._folders.popitem(last=False)
        number = entries.get(last)
        if number is None:
            raise FileError("is not there")
        return self._opened.file_system.inode(number)

    def _entries(self, folder: bytes) -> dict[bytes, int]:
        try:
            # Docker unpacks through links of the layers below, such as /lib to /usr/lib.
            inode = find(self._opened.file_system, self._root, folder, follow=True).inode
        except NotThereError as error:
            raise FileError(str(error)) from error
        if not inode.is_directory:
            raise FileError(f"{shown(folder)} is no directory")

        def fail(_: bytes, error: FileError) -> None:
            raise error

        return dict(entries_of(self._opened.file_system, inode, folder, fail))
