"""What of a file system is in some parts of what it is on: whose data is on a bad sector."""

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

import numpy as np

from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import FileError, FileSystem, Inode, PartsError
from thinmeta.files.file_tree import OnFileError, walk
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges, overlaps
from thinmeta.volume.layout import Bytes

_FILES_AT_ONCE = 4096


class Holding(Enum):
    """What a part of a volume holds; the values are how it is called in output.

    >>> [holding.value for holding in Holding][:3]
    ['content', 'unwritten', 'map']
    """

    CONTENT = "content"
    """Of a file; of a directory its entries, of a symbolic link its target."""
    UNWRITTEN = "unwritten"
    """Set aside for a file, which has zeros there."""
    MAP = "map"
    """What says where the content of a file is."""
    ATTRIBUTES = "attributes"
    """Extended attributes of a file."""
    INODE = "inode"
    """The inode of a file, with what is kept in it."""
    JOURNAL = "journal"
    """The journal, or log."""
    METADATA = "metadata"
    """Of the file system, of which no file is known here: in use, and none of the above."""
    FREE = "free"
    """Free space."""
    UNKNOWN = "unknown"
    """None of the above, and whether it is free cannot be read."""
    OUTSIDE = "outside"
    """Not of the file system."""


_OF_FILES = {
    FilePart.CONTENT: Holding.CONTENT,
    FilePart.UNWRITTEN: Holding.UNWRITTEN,
    FilePart.MAP: Holding.MAP,
    FilePart.ATTRIBUTES: Holding.ATTRIBUTES,
    FilePart.INODE: Holding.INODE,
}


class HeldPart(NamedTuple):
    """A part of what a file system is on, and what is there.

    Attributes:
        holding: what is there.
        place: in bytes.
        length: in bytes.
        begin: of content, in the file, in bytes; else 0.
        paths: all names of the file, from the root on; empty if it is of no file.
        inode: of the file.
    """

    holding: Holding
    place: int
    length: int
    begin: int = 0
    paths: tuple[bytes, ...] = ()
    inode: Inode | None = None


def region_contents(
    file_system: FileSystem, begin: Bytes, end: Bytes, on_error: OnFileError
) -> list[HeldPart]:
    """Return what is in some ranges of what a file system is on, in order, all of it.

    An inode, which is in metadata, stands behind the part that is this. The tree is read once.

    Args:
        file_system: which.
        begin: first bytes of the ranges, ascending; they may touch, but not overlap.
        end: where they end.
        on_error: told of what cannot be read or believed: more files may be there.
    """
    victims = _Victims(begin, end)
    victims.look_through(file_system, on_error)
    found = [*victims.parts()]
    whole = ByteRanges.of(begin, end)
    size = np.array([file_system.nr_bytes], dtype=np.uint64)
    inside = _common(whole, ByteRanges(np.zeros_like(size), size))
    found += _rest(Holding.OUTSIDE, inside.outside(whole.begin, whole.end), begin, end)
    try:
        journal = _common(file_system.journal(), inside)
    except FileError as error:
        on_error(b"", error)
        journal = NO_RANGES
    found += _rest(Holding.JOURNAL, journal, begin, end)
    left = ByteRanges.union([victims.taken, journal]).outside(inside.begin, inside.end)
    free, unknown = _free(file_system, left, on_error)
    for holding, some in ((Holding.FREE, free), (Holding.UNKNOWN, unknown)):
        found += _rest(holding, some, begin, end)
        left = some.outside(left.begin, left.end)
    found += _rest(Holding.METADATA, left, begin, end)
    return sorted(
        found, key=lambda part: (part.place, -part.length, part.holding.value, part.paths)
    )


def _order(part: HeldPart) -> tuple[int, int, str, tuple[bytes, ...]]:
    return part.place, -part.length, part.holding.value, part.paths


class _Victims:
    """The files that have parts in some ranges."""

    def __init__(self, begin: Bytes, end: Bytes) -> None:
        self._begin, self._end = begin, end
        self._rows: dict[int, list[tuple[FilePart, int, int, int]]] = {}
        self._names: defaultdict[int, list[bytes]] = defaultdict(list)
        self._inodes: dict[int, Inode] = {}
        self._taken: list[ByteRanges] = []

    @property
    def taken(self) -> ByteRanges:
        """What files have but for their inodes."""
        return ByteRanges.union(self._taken)

    def look_through(self, file_system: FileSystem, on_error: OnFileError) -> None:
        """Find them."""
        waiting: list[tuple[bytes, Inode, FileParts]] = []
        for path, inode in _every_file(file_system, on_error):
            try:
                parts = file_system.parts(inode)
            except PartsError as error:
                on_error(path, error)
                parts = error.found
            except FileError as error:
                on_error(path, error)
                continue
            waiting.append((path, inode, parts))
            if len(waiting) == _FILES_AT_ONCE:
                self._add(waiting)
                waiting = []
        if waiting:
            self._add(waiting)

    def parts(self) -> Iterator[HeldPart]:
        """Return what was found."""
        for number, rows in self._rows.items():
            names = tuple(sorted(self._names[number]))
            for part, begin, length, place in rows:
                holding = _OF_FILES[part]
                yield HeldPart(holding, place, length, begin, names, self._inodes[number])

    def _add(self, files: list[tuple[bytes, Inode, FileParts]]) -> None:
        parts = FileParts.joined([each for _, _, each in files])
        owner = np.repeat(np.arange(len(files)), [len(each) for _, _, each in files])
        found = overlaps(parts.place, parts.end, self._begin, self._end)
        part = parts.part[found.row]
        is_content = (part == FilePart.CONTENT) | (part == FilePart.UNWRITTEN)
        shift = found.begin - parts.place[found.row]
        begin = np.where(is_content, parts.begin[found.row] + shift, 0)
        rows: defaultdict[int, list[tuple[FilePart, int, int, int]]] = defaultdict(list)
        columns = (owner[found.row], part, begin, found.end - found.begin, found.begin)
        for file, kind, *place in zip(*(column.tolist() for column in columns), strict=True):
            rows[file].append((FilePart(kind), *place))
        for file, own in rows.items():
            path, inode, _ = files[file]
            self._names[inode.number].append(path)
            self._inodes[inode.number] = inode
            self._rows[inode.number] = own
        taken = part != FilePart.INODE
        self._taken.append(ByteRanges.of(found.begin[taken], found.end[taken]))


def _every_file(file_system: FileSystem, on_error: OnFileError) -> Iterator[tuple[bytes, Inode]]:
    try:
        root = file_system.inode(file_system.root)
    except FileError as error:
        on_error(b"", error)
        return
    yield b"", root
    yield from walk(file_system, root, b"", on_error)


def _common(one: ByteRanges, other: ByteRanges) -> ByteRanges:
    found = overlaps(one.begin, one.end, other.begin, other.end)
    return ByteRanges.of(found.begin, found.end)


def _rest(holding: Holding, some: ByteRanges, begin: Bytes, end: Bytes) -> Iterator[HeldPart]:
    """Return ranges, each cut where those end that were asked for."""
    found = overlaps(some.begin, some.end, begin, end)
    for low, high in zip(found.begin.tolist(), found.end.tolist(), strict=True):
        yield HeldPart(holding, low, high - low)


def _free(
    file_system: FileSystem, left: ByteRanges, on_error: OnFileError
) -> tuple[ByteRanges, ByteRanges]:
    """Return what is free of some ranges, and of what nobody can tell."""
    first, length = file_system.first_group()
    groups: set[int] = set()
    for low, high in zip(left.begin.tolist(), left.end.tolist(), strict=True):
        groups.update(range(max(0, low - first) // length, max(0, high - 1 - first) // length + 1))
    free, unknown = [], []
    for group in sorted(groups):
        try:
            free.append(_common(file_system.free_in_group(group), left))
        except FileError as error:
            on_error(b"", error)
            low = np.array([first + group * length], dtype=np.uint64)
            unknown.append(_common(ByteRanges(low, low + np.uint64(length)), left))
    return ByteRanges.union(free), ByteRanges.union(unknown)
