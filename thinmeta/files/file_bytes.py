"""The bytes of one file: in order, with holes, and what of them cannot be had."""

import errno
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from thinmeta.files.file_system import FileError, FileExtents, FileSystem, Inode, Outcome
from thinmeta.files.reading import ByteSource
from thinmeta.volume.read_only import ReadOnlyFile

_BUFFER = 1 << 18  # is still in the processor's cache when it is written on
_FEW = 16  # extents, which are not worth a search
_Row = tuple[int, int, int]
_PAST_END = "is past the end of the volume"


class FileHole(NamedTuple):
    """A part of a file that is zeros, and of which nothing is stored.

    Attributes:
        begin: in the file, in bytes.
        length: in bytes.
    """

    begin: int
    length: int


class LostPart(NamedTuple):
    """A part of a file that cannot be had.

    Attributes:
        begin: in the file, in bytes.
        length: in bytes.
        why: the reason, and where it would be.
    """

    begin: int
    length: int
    why: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"bytes {self.begin}..{self.begin + self.length - 1} of the file: {self.why}"


Piece = memoryview | FileHole | LostPart


class LostPartsError(FileError):
    """Parts of a file cannot be had.

    Attributes:
        parts: which, in order; read them at once.
    """

    def __init__(self, message: str, parts: Iterable[LostPart], outcome: Outcome) -> None:
        """Carry the parts, and what becomes of the file."""
        super().__init__(message)
        self.parts = parts
        self.outcome = outcome


def left_out(first: LostPart, parts: Iterable[LostPart]) -> LostPartsError:
    """Return what to raise where a file is left out for its lost parts.

    Args:
        first: of them, for the message.
        parts: all of them.
    """
    what = f"is left out: {first}; --salvage writes zeros in their place"
    return LostPartsError(what, parts, Outcome.LEFT_OUT)


def zeros_instead(part: LostPart, of_what: str) -> LostPartsError:
    """Return what to tell where zeros are written for a part of a file.

    Args:
        part: which.
        of_what: the output, in a word.
    """
    return LostPartsError(f"{part}; they are zeros in the {of_what}", (part,), Outcome.ZEROS)


_ZEROS = memoryview(bytes(1 << 20))


def zeros(length: int) -> Iterator[memoryview]:
    """Yield so many bytes of zeros, for a hole or a part that cannot be had.

    >>> [len(part) for part in zeros(2_500_000)]
    [1048576, 1048576, 402848]
    """
    for done in range(0, length, len(_ZEROS)):
        yield _ZEROS[: length - done]


class FileBytes:
    """The bytes of one file, of whatever type: of a directory they are its blocks.

    Attributes:
        inode: whose they are.
        size: how many.
        place: where in the volume all of them are, in one piece; None if that is not known.
    """

    def __init__(
        self, file_system: FileSystem, source: ByteSource, inode: Inode, place: int | None = None
    ) -> None:
        """Ask where they are.

        Args:
            file_system: of the file.
            source: what the file system is on.
            inode: of the file.
            place: where they are, in one piece, in bytes, if an `Outline` says so.

        Raises:
            FileError: it cannot be read or believed.
        """
        self.inode = inode
        self.size = inode.size
        self._source = source
        self._inline: bytes | None = None
        self.place = place
        self._few: list[_Row] | None = None
        if place is not None:
            self._few = [(0, self.size, place)]
            return
        self._extents = extents = _in_order(file_system.extents(inode), inode)
        if len(extents.begin) <= _FEW:
            self._few = [*_rows_of(extents)]
            self._inline = None if self._few else file_system.inline(inode)
        if self._inline is not None and len(self._inline) < self.size:
            what = f"has {len(self._inline)} bytes of the {self.size} that it should have"
            raise FileError(f"inode {inode.number}: {what}")

    def lost(self) -> Iterator[LostPart]:
        """Return what cannot be had, as far as that is known without reading; in order."""
        if self._inline is not None:
            return
        for start, length, place in self._rows(0, self.size):
            there = self._on_volume(length, place)
            for part in self._source.lost(place, place + there):
                yield LostPart(start + part.begin - place, part.length, str(part.cause))
            if there < length:
                yield LostPart(start + there, length - there, _PAST_END)

    def refuse_lost(self) -> None:
        """Fail if a part is known to be lost.

        Raises:
            LostPartsError: so it is.
        """
        if (first := next(self.lost(), None)) is not None:
            raise left_out(first, self.lost())

    def stored(self) -> Iterator[tuple[int, int]]:
        """Return where what is stored begins, and its length, in bytes of the file; in order."""
        if self._inline is not None:
            yield 0, self.size
            return
        for start, length, _ in self._rows(0, self.size):
            yield start, length

    def pieces(self, begin: int = 0, end: int | None = None) -> Iterator[Piece]:
        """Return a range of the bytes in order, each once; a view is valid until the next piece.

        Args:
            begin: in the file, in bytes.
            end: likewise; None, and what is past the end of the file, is its end.
        """
        end = self.size if end is None else min(end, self.size)
        if begin >= end:
            return
        if self._inline is not None:
            yield memoryview(self._inline)[begin:end]
            return
        done = begin
        for start, length, place in self._rows(begin, end):
            if done < start:
                yield FileHole(done, start - done)
            yield from self._stored(start, length, place)
            done = start + length
        if done < end:
            yield FileHole(done, end - done)

    def _stored(self, start: int, length: int, place: int) -> Iterator[Piece]:
        there = self._on_volume(length, place)
        for skip in range(0, there, _BUFFER):
            view = self._buffer[: there - skip]
            at, shift = place + skip, start - place
            done = 0
            for part in self._source.fill(view, at):
                if done < part.begin - at:
                    yield view[done : part.begin - at]
                yield LostPart(part.begin + shift, part.length, str(part.cause))
                done = part.end - at
            if done < len(view):
                yield view[done:]
        if there < length:
            yield LostPart(start + there, length - there, _PAST_END)

    def _on_volume(self, length: int, place: int) -> int:
        """Return how much of an extent is on the volume."""
        return min(length, max(0, self._source.size - place))

    def _rows(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Return the extents in a range of the file, cut at its ends."""
        rows: Iterable[_Row] | None = self._few
        if rows is None:
            inside = self._extents
            first = int(np.searchsorted(inside.begin, np.uint64(begin), side="right")) - 1
            last = int(np.searchsorted(inside.begin, np.uint64(end), side="left"))
            rows = _rows_of(inside[max(first, 0) : last])
        for start, length, place in rows:
            low, high = max(start, begin), min(start + length, end)
            if low < high:
                yield low, high - low, place + low - start

    @cached_property
    def _buffer(self) -> memoryview:
        return memoryview(bytearray(min(_BUFFER, self.size)))


def _rows_of(extents: FileExtents) -> Iterator[_Row]:
    columns = (extents.begin, extents.length, extents.place)
    return zip(*(column.tolist() for column in columns), strict=True)


def _in_order(extents: FileExtents, inode: Inode) -> FileExtents:
    """Return extents of which each begins past the end of the one before.

    Raises:
        FileError: they do not.
    """
    if len(extents.begin) > 1:
        end = extents.begin + extents.length
        if (end < extents.begin).any() or (extents.begin[1:] < end[:-1]).any():
            raise FileError(f"inode {inode.number}: its extents overlap, or are out of order")
    return extents


class FileStream(ReadOnlyFile):
    """The bytes of one file, as a file that is only read; holes are zeros.

    Wrap it in `io.BufferedReader` for many small reads.
    """

    def __init__(self, content: FileBytes, name: str) -> None:
        """Begin at the first byte.

        Args:
            content: the bytes.
            name: of the file, for messages.
        """
        super().__init__(name)
        self._content = content

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._content.size

    def read_at(self, view: memoryview, begin: int) -> None:
        """Fill `view` with the bytes from `begin` on.

        Raises:
            OSError: a part of it cannot be had.
        """
        done = 0
        for piece in self._content.pieces(begin, begin + len(view)):
            if isinstance(piece, LostPart):
                raise OSError(errno.EIO, f"{self.name}: {piece}")
            length = piece.length if isinstance(piece, FileHole) else len(piece)
            view[done : done + length] = bytes(length) if isinstance(piece, FileHole) else piece
            done += length
