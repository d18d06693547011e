"""Which files two volumes of one origin have in common, told by the bytes that may differ."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.reading import CHUNK_BYTES, Cache
from thinmeta.volume.byte_ranges import ByteRanges, overlaps
from thinmeta.walk.ragged import distinct

_WINDOW_BITS = 6
_WINDOW = 1 << _WINDOW_BITS
"""Inodes of which it is found out at once, in three bytes each."""


class _KnownInodes(NamedTuple):
    """Of inodes, by number: which are the same in both, and of which no more has to be known."""

    is_same: bytes
    is_known: bytes


class SameFiles:
    """Tells of single files whether they are the same in two file systems.

    What cannot be read or believed is never the same, nor is what nobody can tell of: whoever
    asks then looks at both.
    """

    def __init__(self, left: OpenedFiles, right: OpenedFiles, changed: ByteRanges) -> None:
        """Take two file systems that are laid out alike; `same_files()` finds out.

        Args:
            left: one of them.
            right: the other.
            changed: where the bytes of what they are on may differ.
        """
        self._left, self._right = left.file_system, right.file_system
        self._caches = Cache(left.source), Cache(right.source)
        self._changed = changed
        self._windows: dict[int, _KnownInodes] = {}

    def may_differ(self, left: int | None, right: int | None) -> bool:
        """Tell whether anything but the contents may differ of a file, or below a directory.

        Args:
            left: the number of its inode in one of them; None if it is not there.
            right: in the other.
        """
        if left is None or left != right:
            return True
        return not self._window(left >> _WINDOW_BITS).is_known[left & (_WINDOW - 1)]

    def same_inode(self, left: int | None, right: int | None) -> Inode | None:
        """Return the inode that a file has in both, with its extended attributes; else None."""
        if left is None or left != right:
            return None
        if not self._window(left >> _WINDOW_BITS).is_same[left & (_WINDOW - 1)]:
            return None
        try:
            inode = self._right.inode(left)
            if not self._right.has_outer_attributes(inode):
                return inode
            parts = self._right.parts(inode)
        except FileError:
            return None
        are_same = self._are_same(parts[parts.part == FilePart.ATTRIBUTES])
        return inode if are_same else None

    def has_same_entries(self, left: Inode, right: Inode) -> bool:
        """Tell whether directories are one whose inode and entries are the same in both."""
        if left.number != right.number or not left.is_directory or not right.is_directory:
            return False
        try:
            parts = self._right.parts(right)
        except FileError:
            return False
        return self._are_same(parts[parts.part != FilePart.ATTRIBUTES])

    def _are_same(self, parts: FileParts) -> bool:
        found = overlaps(parts.place, parts.end, self._changed.begin, self._changed.end)
        ranges = zip(found.begin.tolist(), found.end.tolist(), strict=True)
        return not any(self._differ_there(begin, end) for begin, end in ranges)

    def _window(self, window: int) -> _KnownInodes:
        found = self._windows.get(window)
        if found is None:
            found = self._windows[window] = self._read_window(window << _WINDOW_BITS)
        return found

    def _read_window(self, first: int) -> _KnownInodes:
        places = self._right.inode_places(first, _WINDOW)
        is_same = (places >= 0) & (places == self._left.inode_places(first, _WINDOW))
        width = self._right.inode_bytes
        begin = places[is_same].astype(np.uint64)
        found = overlaps(begin, begin + np.uint64(width), self._changed.begin, self._changed.end)
        rows = np.flatnonzero(is_same)[distinct(found.row)]
        breaks = np.diff(places[rows]) != width
        for run in np.split(rows, np.flatnonzero(breaks) + 1) if len(rows) else ():
            is_same[run] = self._which_are_same(int(places[run[0]]), len(run), width)
        is_known = is_same & self._right.plain_inodes(first, _WINDOW)
        return _KnownInodes(is_same.tobytes(), is_known.tobytes())

    def _which_are_same(self, begin: int, count: int, width: int) -> npt.NDArray[np.bool_]:
        """Tell which of some neighbours have the same bytes in both."""
        end = begin + count * width
        try:
            rows, others = (
                np.frombuffer(cache.read(begin, end - begin), np.uint8).reshape(count, width)
                for cache in self._caches
            )
        except FileError:
            return np.array(
                [not self._differ_there(at, at + width) for at in range(begin, end, width)]
            )
        same: npt.NDArray[np.bool_] = (rows == others).all(axis=1)
        return same

    def _differ_there(self, begin: int, end: int) -> bool:
        left, right = self._caches
        try:
            return any(
                left.read(at, min(CHUNK_BYTES, end - at))
                != right.read(at, min(CHUNK_BYTES, end - at))
                for at in range(begin, end, CHUNK_BYTES)
            )
        except FileError:
            return True


def same_files(left: OpenedFiles, right: OpenedFiles, unshared: ByteRanges) -> SameFiles | None:
    """Return what tells which files are the same; None if the file systems are not of one origin.

    Args:
        left: a file system on a volume.
        right: one on another.
        unshared: where the bytes of the volumes may differ.
    """
    within = left.within
    if (
        left.source.size != right.source.size
        or left.file_system.kind != right.file_system.kind
        or left.file_system.layout() != right.file_system.layout()
        or any(
            not np.array_equal(*columns)
            for columns in (
                (within.begin, right.within.begin),
                (within.length, right.within.length),
                (within.place, right.within.place),
            )
        )
    ):
        return None
    found = overlaps(within.place, within.place + within.length, unshared.begin, unshared.end)
    shift = within.begin[found.row] - within.place[found.row]
    parts = [ByteRanges.of(found.begin + shift, found.end + shift), left.replayed, right.replayed]
    return SameFiles(left, right, ByteRanges.union(parts))
