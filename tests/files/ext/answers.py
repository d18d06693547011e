"""All that a file system answers, to hold one against another."""

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.files.listing import refuse_wrong_outline
from thinmeta.files.file_system import DirectoryError, Entry, FileError, FileSystem


@dataclass
class Answers:
    """What was answered, by inode; an error that is documented is kept as itself."""

    inodes: dict[int, Any] = field(default_factory=dict)
    entries: dict[int, Any] = field(default_factory=dict)
    targets: dict[int, Any] = field(default_factory=dict)
    xattrs: dict[int, Any] = field(default_factory=dict)
    contents: dict[int, Any] = field(default_factory=dict)

    def wrong(self, sound: "Answers") -> list[str]:
        """Return what is neither as it is in a sound file system nor an error."""
        return [
            f"{what} of inode {number}: {answer} instead of {kind[number]}"
            for what, kind in vars(sound).items()
            for number, answer in getattr(self, what).items()
            if not isinstance(answer, FileError) and answer != kind.get(number)
        ]

    def errors(self) -> list[FileError]:
        return [
            answer
            for kind in vars(self).values()
            for answer in kind.values()
            if isinstance(answer, FileError)
        ]

    def number_of(self, path: bytes, root: int = 2) -> int:
        """Return which inode a path leads to, of a sound file system."""
        number = root
        for name in path.split(b"/"):
            number = {entry.name: entry.number for entry in self.entries[number]}[name]
        return number


def answers(files: FileSystem, most: int = 10_000) -> Answers:
    """Ask for all of each file that can be reached, once, but of no more than `most`.

    A directory that is damaged leads to what was found in it.
    """
    found = Answers()
    pending = [files.root]
    while pending and len(found.inodes) < most:
        number = pending.pop()
        if number not in found.inodes:
            pending += _asked(files, number, found)
    return found


def _asked(files: FileSystem, number: int, found: Answers) -> list[int]:
    """Ask for all of one file; return the numbers of what is in it."""
    inode = found.inodes[number] = answer(lambda: files.inode(number))
    if isinstance(inode, FileError):
        return []
    refuse_wrong_outline(files, inode)
    found.xattrs[number] = answer(lambda: dict(files.xattrs(inode)))
    found.contents[number] = answer(lambda: _places(files, inode))
    if stat.S_ISLNK(inode.mode):
        found.targets[number] = answer(lambda: files.link_target(inode))
    if not inode.is_directory:
        return []
    entries = found.entries[number] = answer(lambda: list(files.entries(inode)))
    return [entry.number for entry in _known(entries)]


def answer(question: Callable[[], Any]) -> Any:
    """Return the answer, or the error that is documented; any other is raised."""
    try:
        return question()
    except FileError as error:
        return error


def _known(entries: list[Entry] | FileError) -> list[Entry]:
    if isinstance(entries, DirectoryError):
        return list(entries.found)
    return entries if isinstance(entries, list) else []


def _places(files: FileSystem, inode: Any) -> Any:
    extents = files.extents(inode)
    columns = (extents.begin, extents.length, extents.place)
    return files.inline(inode), [column.tolist() for column in columns]
