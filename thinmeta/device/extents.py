"""Bytes that lie somewhere: in a file, or in pieces of several files one after another."""

import errno
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from thinmeta.device.bad_maps import BadMap, bad_map_of
from thinmeta.errors import InputError


class Extent(NamedTuple):
    """A piece of a file; all in bytes."""

    fd: int
    offset: int
    length: int

    def part(self, skip: int, length: int) -> "Extent":
        """Return where what follows `skip` lies: `length` of it, or as much as is in one place."""
        return Extent(self.fd, self.offset + skip, min(length, self.length - skip))


class Stripes(NamedTuple):
    """Pieces of files of one length, a stripe of each in turn; all in bytes."""

    areas: tuple[Extent, ...]
    stripe: int

    @property
    def length(self) -> int:
        """How much lies on all areas together."""
        return len(self.areas) * self.areas[0].length

    def part(self, skip: int, length: int) -> Extent:
        """Return where what follows `skip` lies: `length` of it, or the rest of the stripe."""
        number, inside = divmod(skip, self.stripe)
        row, area = divmod(number, len(self.areas))
        left = min(length, self.stripe - inside)
        return self.areas[area].part(row * self.stripe + inside, left)


class Extents:
    """Pieces of files, read as if they were one file; open for reading only.

    Attributes:
        name: what the user called it, for messages.
        size: in bytes.
        notes: what is odd about it, one line each.
    """

    def __init__(
        self,
        name: str,
        pieces: Sequence[Extent | Stripes],
        *,
        missing: Mapping[int, str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Take over the files of `pieces`, which `close()` will close.

        Args:
            name: what the user called it.
            pieces: where the bytes lie.
            missing: why nothing can be read of some of the files; see `open_missing`.
            notes: what is odd about it.
        """
        self.name = name
        self.notes = notes
        self._missing = dict(missing or {})
        self._pieces = tuple(piece for piece in pieces if piece.length)
        self._ends = list(accumulate(piece.length for piece in self._pieces))
        areas = (piece.areas if isinstance(piece, Stripes) else (piece,) for piece in pieces)
        self._fds = sorted({extent.fd for extents in areas for extent in extents})
        self._lost: dict[int, tuple[BadMap, int]] = {}
        for fd in self._fds[:]:
            if fd not in self._missing and (bad := bad_map_of(fd)):
                self._fds.append(lost := self.open_missing())
                self._lost[fd] = bad, lost
                self._missing[lost] = str(bad)
        self.size = self._ends[-1] if self._ends else 0

    @classmethod
    def of_file(cls, fd: int, name: str, begin: int = 0, notes: tuple[str, ...] = ()) -> "Extents":
        """Take over a file or block device, what of it follows byte `begin`.

        Raises:
            InputError: that is past its end.
        """
        size = os.lseek(fd, 0, os.SEEK_END)
        if begin > size:
            raise InputError(f"has {size} bytes, so nothing at {begin}")
        return cls(name, [Extent(fd, begin, size - begin)], notes=notes)

    @staticmethod
    def open_missing() -> int:
        """Return a file in the place of one that is not there: every read of it fails."""
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the files; further reads fail."""
        while self._fds:
            os.close(self._fds.pop())
        self._pieces = ()
        self._ends = []

    def locate(self, offset: int, length: int) -> Iterator[Extent]:
        """Return where `length` bytes from `offset` lie, in order; less at the end."""
        place = bisect_right(self._ends, offset)
        while length > 0 and place < len(self._pieces):
            piece = self._pieces[place]
            skip = offset - (self._ends[place] - piece.length)
            part = self._readable(piece.part(skip, length))
            yield part
            offset += part.length
            length -= part.length
            if skip + part.length == piece.length:
                place += 1

    def _readable(self, part: Extent) -> Extent:
        """Return the beginning of a part, as far as it can be read, or cannot."""
        if part.fd not in self._lost:
            return part
        bad, lost = self._lost[part.fd]
        is_lost, length = bad.beginning(part.offset, part.length)
        return Extent(lost if is_lost else part.fd, part.offset, length)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; return how much there was, less only at the end.

        Raises:
            OSError: a part of it cannot be read.
        """
        done = 0
        for fd, start, length in self.locate(offset, len(buffer)):
            got = 0
            while got < length:
                part = self._preadv(fd, [buffer[done + got : done + length]], start + got)
                if not part:
                    return done + got  # the file shrank
                got += part
            done += length
        return done

    def preadv(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill `buffers` one after another from `offset`, as `os.preadv()` does.

        Raises:
            OSError: a part of it cannot be read.
        """
        wanted = sum(buffer.nbytes for buffer in buffers)
        first = next(self.locate(offset, wanted), None)
        if first and first.length == wanted:
            return self._preadv(first.fd, buffers, first.offset)
        done = 0
        for buffer in buffers:
            got = self.read_into(buffer.cast("B"), offset + done)
            done += got
            if got < buffer.nbytes:
                break
        return done

    def _preadv(self, fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        if fd in self._missing:
            raise OSError(errno.ENXIO, self._missing[fd])
        return os.preadv(fd, buffers, offset)
