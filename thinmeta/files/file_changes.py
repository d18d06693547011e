"""What changed from one tree of files to another, as Docker sees it.

Both are walked side by side, and what cannot be read of either is told and left out: a file is
neither added nor removed because nobody can tell whether the other tree has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from stat import S_IFDIR, S_IMODE
from typing import NamedTuple

from thinmeta.files.container_root import CAPABILITY
from thinmeta.files.file_system import FileError, FileSystem, Inode
from thinmeta.files.file_tree import MOST_PATH_BYTES, OnFileError, below, entries_of
from thinmeta.files.same_files import SameFiles

_NS = 10**9


class FileChangeKind(Enum):
    """What became of a file; the values are the letters of `docker diff`."""

    ADDED = "A"
    """It is in the right tree only."""

    CHANGED = "C"
    """It is in both and differs, or something below it does."""

    REMOVED = "D"
    """It is in the left tree only; what was below it is not listed."""


class FileChange(NamedTuple):
    """A file that is not the same in both trees.

    Attributes:
        kind: what became of it.
        path: from the roots on, without a slash at its beginning.
        left: what it was; None if it was not there.
        right: what it is; None if it is not there.
        what: differs, if it is changed: `type`, `mode`, `owner`, `device`, `capability`, `mtime`,
            `size`, `ctime`. Nothing is a directory of which only something below it differs.
    """

    kind: FileChangeKind
    path: bytes
    left: Inode | None
    right: Inode | None
    what: tuple[str, ...] = ()


class ComparedTree:
    """One of the two trees."""

    def __init__(self, file_system: FileSystem, root: Inode, on_error: OnFileError) -> None:
        """Begin with nothing read.

        Args:
            file_system: of its files.
            root: the directory in which its paths begin.
            on_error: told of what cannot be read or believed, and is left out.
        """
        self.file_system = file_system
        self.root = root
        self.on_error = on_error
        self._seen = {root.number}

    def inode(self, path: bytes, number: int) -> Inode | None:
        """Return an inode; tell of one that cannot be had, or whose directory was seen before."""
        try:
            inode = self.file_system.inode(number)
        except FileError as error:
            self.on_error(path, error)
            return None
        return self.entered(path, inode)

    def entered(self, path: bytes, inode: Inode) -> Inode | None:
        """Return an inode; tell of one whose directory was seen before."""
        if inode.is_directory:
            if inode.number in self._seen:
                what = f"directory {inode.number} is in another place, too"
                self.on_error(path, FileError(what))
                return None
            self._seen.add(inode.number)
        return inode

    def capability(self, path: bytes, inode: Inode) -> tuple[bytes | None, bool]:
        """Return a file's capabilities, and whether that could be read."""
        try:
            return self.file_system.xattrs(inode).get(CAPABILITY), True
        except FileError as error:
            self.on_error(path, error)
            return None, False

    def listed(self, path: bytes, directory: Inode) -> "_DirectoryNames":
        """Return what is in a directory, and what of that nobody can tell."""
        refused = set()

        def tell(where: bytes, error: FileError) -> None:
            refused.add(where)
            self.on_error(where, error)

        numbers = dict(entries_of(self.file_system, directory, path, tell))
        return _DirectoryNames(numbers, path not in refused, frozenset(refused))


class _DirectoryNames(NamedTuple):
    """What is in a directory of one tree: inodes by name.

    It may have names besides these if it is not whole, and it has those whose paths are `refused`.
    """

    numbers: dict[bytes, int]
    is_whole: bool
    refused: frozenset[bytes]

    def can_tell(self, path: bytes, name: bytes) -> bool:
        """Return whether it is known what it has of this name."""
        return name in self.numbers or (self.is_whole and path not in self.refused)


_EMPTY = _DirectoryNames({}, is_whole=True, refused=frozenset())


@dataclass
class _OpenedFolder:
    """A directory in which the comparison is; `unsaid` is its change if only what is below has."""

    pairs: Iterator[tuple[bytes, int | None, int | None]]
    unsaid: FileChange | None


def file_changes(
    left: ComparedTree | None,
    right: ComparedTree,
    same: SameFiles | None = None,
    *,
    by_ctime: bool = False,
) -> Iterator[FileChange]:
    """Yield what changed from one tree to another, as `docker diff` and `docker commit` see it.

    Of files of both, mode, owner, device number and capabilities count; of those that are no
    directories the size and the time of the last change, too. Times are equal if their
    seconds are and one of them has no finer part. Whole subtrees are compared whether or not
    their directories are equal.

    Args:
        left: the tree as it was; None is one without files.
        right: the tree as it is.
        same: tells which files both have in common, of which less is then read.
        by_ctime: of files that are no directories the time of the inode's last change counts,
            too, as it does not for Docker. Between a device and its snapshot no change escapes
            that, also where who made it set all times to the same.

    Returns:
        A directory before what is below it, names in bytewise order.

    Source: `addChanges()` in pkg/archive/changes.go, `statDifferent()` in changes_unix.go
    (moby 20.10).
    """
    root = left.root if left else None
    folders = [_OpenedFolder(_pairs(b"", (left, right), root, right.root, same), None)]
    while folders:
        for path, old_number, new_number in folders[-1].pairs:
            both = _both(path, (left, right), (old_number, new_number), same)
            if both is None:
                continue
            old, new, are_same = both
            change = None if are_same else _change(path, left, old, right, new)
            if change is None and by_ctime and old and new and _is_touched(old, new):
                change = FileChange(FileChangeKind.CHANGED, path, old, new, ("ctime",))
            if change is not None:
                for folder in folders:
                    if folder.unsaid is not None:
                        yield folder.unsaid
                        folder.unsaid = None
                yield change
            if new is None or not new.is_directory:
                continue
            if len(path) > MOST_PATH_BYTES:
                what = f"what is in it has paths of more than {MOST_PATH_BYTES} bytes"
                right.on_error(path, FileError(what))
                continue
            unsaid = FileChange(FileChangeKind.CHANGED, path, old, new) if change is None else None
            folders.append(_OpenedFolder(_pairs(path, (left, right), old, new, same), unsaid))
            break
        else:
            folders.pop()


def _both(
    path: bytes,
    trees: tuple[ComparedTree | None, ComparedTree],
    numbers: tuple[int | None, int | None],
    same: SameFiles | None,
) -> tuple[Inode | None, Inode | None, bool] | None:
    """Return a file in both trees, and whether it is known to be the same in both.

    None: it is, and nothing is below it; or nobody can tell.
    """
    (left, right), (old_number, new_number) = trees, numbers
    common = same.same_inode(old_number, new_number) if same else None
    if left and common is not None:
        if not common.is_directory:
            return None
        old, new = left.entered(path, common), right.entered(path, common)
    else:
        old = left.inode(path, old_number) if left and old_number is not None else None
        new = right.inode(path, new_number) if new_number is not None else None
    if (old is None) != (old_number is None) or (new is None) != (new_number is None):
        return None
    return old, new, common is not None


def _pairs(
    path: bytes,
    trees: tuple[ComparedTree | None, ComparedTree],
    old: Inode | None,
    new: Inode,
    same: SameFiles | None,
) -> Iterator[tuple[bytes, int | None, int | None]]:
    """Yield what is in a directory: paths, and inodes in both trees; not what nobody can tell."""
    left, right = trees
    if same and old and same.has_same_entries(old, new):
        now = right.listed(path, new)
        if now.is_whole and not now.refused:
            for name, number in now.numbers.items():
                if same.may_differ(number, number):
                    yield below(path, name), number, number
            return
        was = left.listed(path, old) if left else _EMPTY
    else:
        was = left.listed(path, old) if left and old and old.is_directory else _EMPTY
        now = right.listed(path, new)
    for name in sorted({*was.numbers, *now.numbers}):
        if same and not same.may_differ(was.numbers.get(name), now.numbers.get(name)):
            continue
        here = below(path, name)
        if was.can_tell(here, name) and now.can_tell(here, name):
            yield here, was.numbers.get(name), now.numbers.get(name)


def _change(
    path: bytes,
    left: ComparedTree | None,
    old: Inode | None,
    right: ComparedTree,
    new: Inode | None,
) -> FileChange | None:
    """Return what became of a file; None if it is the same, as far as anybody can tell."""
    if new is None:
        return FileChange(FileChangeKind.REMOVED, path, old, None)
    if left is None or old is None:
        return FileChange(FileChangeKind.ADDED, path, None, new)
    what = [word for word, differs in _facts(old, new) if differs]
    was, is_known = left.capability(path, old)
    now, is_known_now = right.capability(path, new)
    if is_known and is_known_now and was != now:
        what.append("capability")
    return FileChange(FileChangeKind.CHANGED, path, old, new, tuple(what)) if what else None


def _facts(old: Inode, new: Inode) -> Iterator[tuple[str, bool]]:
    yield "type", old.type != new.type
    yield "mode", S_IMODE(old.mode) != S_IMODE(new.mode)
    yield "owner", (old.uid, old.gid) != (new.uid, new.gid)
    yield "device", old.rdev != new.rdev
    # Docker asks for one bit, which block devices and sockets have as directories do: of
    # these, too, it does not look at time and size.
    if not old.mode & S_IFDIR:
        yield "mtime", not _is_same_time(old.mtime, new.mtime)
        yield "size", old.size != new.size


def _is_touched(old: Inode, new: Inode) -> bool:
    return not new.is_directory and (old.number, old.ctime) != (new.number, new.ctime)


def _is_same_time(old: int, new: int) -> bool:
    """Return whether times are equal, as far as whoever wrote them kept them."""
    (seconds, ns), (other_seconds, other_ns) = divmod(old, _NS), divmod(new, _NS)
    return seconds == other_seconds and (ns == other_ns or not ns or not other_ns)
