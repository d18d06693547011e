"""A layer's tar, put together from what Docker kept of it and the files of its volume."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from stat import S_ISREG
from typing import NamedTuple

from fastcrc import crc64

from thinmeta.errors import NotThereError
from thinmeta.files.file_bytes import FileBytes, FileHole, LostPart, zeros
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import entries_of, find, shown
from thinmeta.files.neighbours import read_together
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.images.tar_split import SplitFile, SplitPart

_MOST_FOLDERS = 64
_PARTS_AT_ONCE = 512
_BYTES_AT_ONCE = 1 << 20


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
        for some in _batches(parts):
            contents = self._contents([part for part in some if isinstance(part, SplitFile)])
            whole = zip(contents, read_together(self._opened.source, contents), strict=True)
            out: list[bytes | memoryview] = []
            for part in some:
                if isinstance(part, bytes):
                    out.append(part)
                    continue
                content, view = next(whole)
                if view is not None:
                    out.append(view)
                else:
                    yield b"".join(out)
                    out = []
                    yield from _pieces(content)
            yield b"".join(out)

    def wrong_files(self, parts: Iterable[SplitPart]) -> Iterator[WrongFile]:
        """Return which files are not what the layer had, as far as their CRCs tell."""
        for part in parts:
            if isinstance(part, bytes):
                continue
            crc = 0
            try:
                for piece in _pieces(*self._contents([part])):
                    crc = crc64.go_iso(bytes(piece), crc)
            except FileError as error:
                yield WrongFile(part.name, str(error))
                continue
            if part.crc is not None and crc != part.crc:
                yield WrongFile(part.name, "its contents are not those that the layer had")

    def _contents(self, parts: Sequence[SplitFile]) -> list[FileBytes]:
        """Return the contents of files, each of the size that it has to have."""
        file_system = self._opened.file_system
        inodes = []
        for found in file_system.inodes([self._number(part.name) for part in parts]):
            if isinstance(found, FileError):
                raise found
            if not S_ISREG(found.mode):
                raise FileError("is no regular file")
            inodes.append(found)
        outlines = file_system.outlines(inodes)
        contents = [*map(self._opened.bytes_of, inodes, outlines)]
        for part, content in zip(parts, contents, strict=True):
            if content.size != part.size:
                raise FileError(f"has {content.size} bytes; in the layer it had {part.size}")
        return contents

    def _number(self, name: bytes) -> int:
        folder, _, last = name.removeprefix(b"./").rpartition(b"/")
        entries = self._folders.get(folder)
        if entries is None:
            entries = self._folders[folder] = self._entries(folder)
            if len(self._folders) > _MOST_FOLDERS:
                self._folders.popitem(last=False)
        number = entries.get(last)
        if number is None:
            raise FileError("is not there")
        return number

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


def _batches(parts: Iterable[SplitPart]) -> Iterator[list[SplitPart]]:
    """Return parts in order, several at once: about a megabyte of the tar, or a larger file."""
    some: list[SplitPart] = []
    size = 0
    for part in parts:
        some.append(part)
        size += len(part) if isinstance(part, bytes) else part.size
        if size >= _BYTES_AT_ONCE or len(some) == _PARTS_AT_ONCE:
            yield some
            some, size = [], 0
    yield some


def _pieces(content: FileBytes) -> Iterator[bytes | memoryview]:
    for piece in content.pieces():
        if isinstance(piece, LostPart):
            raise FileError(str(piece))
        if isinstance(piece, FileHole):
            yield from zeros(piece.length)
        else:
            yield piece
