"""XML as thin_dump prints it, or laid out in any other way, as a stream of parts."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from thinmeta.builder.xml_document import Document, Overrides
from thinmeta.builder.xml_lines import MARGIN, read_lines
from thinmeta.builder.xml_parser import XmlParser
from thinmeta.builder.xml_piece import XmlPiece
from thinmeta.errors import InputError
from thinmeta.units import OnProgress
from thinmeta.walk.stream import StreamHeader, StreamPart

__all__ = ["Overrides", "XmlInput"]

_BYTES_AT_ONCE = 1 << 20


class Readable(Protocol):
    """A file, or what is like one."""

    def readinto(self, window: memoryview, /) -> int | None:
        """Put the next bytes into `window`; return how many, 0 at the end."""

    def fileno(self) -> int:
        """Return the descriptor, or raise OSError."""


class XmlInput:
    """A dump's XML that is being read."""

    def __init__(
        self,
        file: Readable,
        name: str,
        overrides: Overrides,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Read from `file`, which stays the caller's."""
        self._document = Document(name, overrides)
        self._file = file
        self._name = name
        self._on_progress = on_progress
        self._size = _size_of(file)
        self._parts = self._read()
        self._first: list[StreamPart] = []

    @classmethod
    @contextmanager
    def opened(
        cls,
        path: Path | None,
        overrides: Overrides,
        on_progress: OnProgress | None = None,
    ) -> Iterator[Self]:
        """Open a file, or take standard input.

        Raises:
            InputError: it cannot be read.
        """
        name = "standard input" if path is None else str(path)
        try:
            if path is None:
                stdin: Any = sys.stdin.buffer
                yield cls(getattr(stdin, "raw", stdin), name, overrides, on_progress)
                return
            if path.is_dir():
                raise InputError(f"{name}: is a directory, not a file of XML")
            with path.open("rb", buffering=0) as file:
                yield cls(file, name, overrides, on_progress)
        except OSError as error:
            raise InputError(f"{name}: {(error.strerror or str(error)).lower()}") from error

    def header(self) -> StreamHeader:
        """Read as far as the first tag, and return what it says.

        Raises:
            InputError: it cannot be read, or is no dump.
        """
        while self._document.header is None:
            self._first.append(next(self._parts))
        return self._document.header

    @property
    def lowered_from(self) -> int | None:
        """The transaction id that the XML says, where a lower one goes instead."""
        return self._document.lowered_from

    def parts(self) -> Iterator[StreamPart]:
        """Return all parts, once.

        Raises:
            InputError: from here on it cannot be read, or is no dump.
        """
        yield from self._first
        yield from self._parts

    def _read(self) -> Iterator[StreamPart]:
        for piece in self._pieces():
            yield self._document.part(piece)

    def _pieces(self) -> Iterator[XmlPiece]:
        """Read many lines at once while that goes, and the rest by the library's parser."""
        buffer = bytearray(MARGIN + _BYTES_AT_ONCE + MARGIN)
        text = np.frombuffer(buffer, dtype=np.uint8)
        window = memoryview(buffer)[MARGIN : MARGIN + _BYTES_AT_ONCE]
        kept = nr_lines = 0
        is_alike = True
        while is_alike and kept < len(window):
            got = self._read_into(window[kept:])
            kept += got
            if not got:
                break
            end = buffer.rfind(b"\n", MARGIN, MARGIN + kept) + 1 or MARGIN
            done = end
            for piece in read_lines(text, MARGIN, end, nr_lines + 1):
                if isinstance(piece, int):
                    done, is_alike = piece, False
                else:
                    yield piece
            nr_lines += buffer.count(b"\n", MARGIN, done)
            kept -= done - MARGIN
            window[:kept] = window[done - MARGIN : done - MARGIN + kept]
        parser = XmlParser(
            self._name,
            self._document.open,
            is_ended=self._document.is_ended,
            nr_lines=nr_lines,
        )
        yield from parser.pieces(self._rest(window[:kept]))

    def _rest(self, beginning: memoryview) -> Iterator[bytes]:
        yield bytes(beginning)
        piece = bytearray(_BYTES_AT_ONCE)
        while got := self._read_into(memoryview(piece)):
            yield bytes(piece[:got])

    def _read_into(self, window: memoryview) -> int:
        """Fill `window` unless the input ends before; return how many bytes came."""
        got = 0
        try:
            # The raw file, since a signal would wait while the buffered one fills it up.
            while more := self._file.readinto(window[got:]):
                got += more
        except OSError as error:
            raise InputError(f"{self._name}: {(error.strerror or str(error)).lower()}") from error
        if self._on_progress is not None:
            self._on_progress(got, self._size)
        return got


def _size_of(file: Readable) -> int:
    """Return the bytes of a regular file; 0 for what only shows its size by being read."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
