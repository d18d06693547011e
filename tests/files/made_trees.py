"""A file system in memory: the model of what walks, finds and reads over any of them."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import (
    DirectoryError,
    Entry,
    FileError,
    FileExtents,
    FileSystem,
    Inode,
)
from thinmeta.files.reading import Missing
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable
from thinmeta.walk.ragged import Places

BLOCK = 512

_Value = TypeVar("_Value")


@dataclass
class MemorySource:
    """A volume's bytes in memory, some of which cannot be had.

    Attributes:
        content: the bytes.
        lost: what is known to be lost: begin and end.
        unreadable: what is found out when it is read.
    """

    content: bytes
    lost_ranges: Sequence[tuple[int, int]] = ()
    unreadable: Sequence[tuple[int, int]] = ()
    name: str = "in memory"

    @property
    def size(self) -> int:
        return len(self.content)

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        end = begin + len(view)
        view[:] = self.content[begin:end]
        for low, high in sorted([*self.lost_ranges, *self.unreadable]):
            for part in _cut(low, high, begin, end):
                view[part.begin - begin : part.end - begin] = bytes(part.length)
                yield part

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        for low, high in self.lost_ranges:
            yield from _cut(low, high, begin, end)


def _cut(low: int, high: int, begin: int, end: int) -> Iterator[Missing]:
    low, high = max(low, begin), min(high, end)
    if low < high:
        cause = Unreadable(low, high - low, 0, Source.LOST, "disk", low, None, "is lost")
        yield Missing(low, high - low, cause)


@dataclass
class MemoryFiles(FileSystem):
    """A file system that is made of what the test says.

    Attributes:
        by_number: the inodes; an error is raised.
        directories: what is in them, by number; an error is raised.
        links: where they lead, by number.
        places: extents (begin, length, place), by number.
        inlines: contents that are kept with the inode, by number.
        attributes: extended attributes, by number; an error is raised.
    """

    kind: str = "made"
    root: int = 2
    block_bytes: int = BLOCK
    by_number: dict[int, Inode | FileError] = field(default_factory=dict)
    directories: dict[int, list[Entry] | FileError] = field(default_factory=dict)
    links: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    inlines: dict[int, bytes] = field(default_factory=dict)
    attributes: dict[int, Mapping[bytes, bytes] | FileError] = field(default_factory=dict)

    def inodes(self, numbers: Sequence[int]) -> list[Inode | FileError]:
        return [
            self.by_number.get(number, FileError(f"there is no inode {number}"))
            for number in numbers
        ]

    def entries(self, directory: Inode) -> Sequence[Entry]:
        return _value(self.directories[directory.number])

    def link_target(self, link: Inode) -> bytes:
        return self.links[link.number]

    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        return _value(self.attributes.get(inode.number, {}))

    def extents(self, inode: Inode) -> FileExtents:
        rows = np.array(self.places.get(inode.number, []), dtype=np.uint64).reshape(-1, 3)
        return FileExtents(rows[:, 0], rows[:, 1], rows[:, 2])

    def inline(self, inode: Inode) -> bytes | None:
        return self.inlines.get(inode.number)

    def add(self, mode: int, **others: Any) -> int:
        """Add an inode; return its number."""
        number = self.root + len(self.by_number)
        values = {"uid": 0, "gid": 0, "nlink": 1, "size": 0, "atime": 0, "mtime": 0, "ctime": 0}
        self.by_number[number] = Inode(number, mode, **{**values, **others})
        return number

    def directory(self, parent: int | None = None, name: bytes = b"", mode: int = 0o755) -> int:
        number = self.add(stat.S_IFDIR | mode)
        self.directories[number] = []
        self.enter(parent, name, number)
        return number

    @property
    def inode_bytes(self) -> int:
        return BLOCK

    def inode_places(self, first: int, count: int) -> Places:
        return np.arange(first, first + count) * BLOCK

    def plain_inodes(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        del first
        return np.zeros(count, dtype=np.bool_)

    def parts(self, inode: Inode) -> FileParts:
        return FileParts.of([(FilePart.INODE, 0, BLOCK, inode.number * BLOCK)])

    def has_outer_attributes(self, inode: Inode) -> bool:
        del inode
        return False

    @property
    def nr_bytes(self) -> int:
        return BLOCK

    def journal(self) -> ByteRanges:
        return NO_RANGES

    def first_group(self) -> tuple[int, int]:
        return 0, BLOCK

    def free_in_group(self, group: int) -> ByteRanges:
        del group
        return NO_RANGES

    def layout(self) -> int:
        return BLOCK

    def file(self, parent: int | None, name: bytes, content: bytes = b"", **others: Any) -> int:
        number = self.add(stat.S_IFREG | 0o644, **{"size": len(content), **others})
        self.inlines[number] = content
        self.enter(parent, name, number)
        return number

    def link(self, parent: int, name: bytes, target: bytes) -> int:
        number = self.add(stat.S_IFLNK | 0o777, size=len(target))
        self.links[number] = target
        self.enter(parent, name, number)
        return number

    def enter(self, parent: int | None, name: bytes, number: int) -> None:
        """Add a name."""
        if parent is not None:
            entries = self.directories[parent]
            assert isinstance(entries, list)
            entries.append(Entry(name, number))

    def break_directory(self, number: int, why: str) -> None:
        """Lose what follows the first half of a directory."""
        entries = self.directories[number]
        assert isinstance(entries, list)
        self.directories[number] = DirectoryError(why, entries[: len(entries) // 2])


def _value(found: _Value | FileError) -> _Value:
    if isinstance(found, FileError):
        raise found
    return found
