"""The tree of a file system: what is below a directory, and what a path leads to.

Neither trusts the disk: a directory is entered once, a name that leads elsewhere is refused,
and whatever is wrong with one file is told of that file alone.
"""

from collections.abc import Callable, Iterator, Sequence
from stat import S_ISDIR, S_ISLNK
from typing import NamedTuple

from thinmeta.errors import NotThereError
from thinmeta.files.file_system import (
    DirectoryError,
    Entry,
    FileError,
    FileSystem,
    Inode,
)

MOST_PATH_BYTES = 1 << 16
"""Of what is walked; PATH_MAX is 4096, which a tree may exceed."""

_INODES_AT_ONCE = 256
_MOST_LINKS = 40  # that lead from one path to its file, as in the kernel

OnFileError = Callable[[bytes, FileError], None]
"""The hook that is told of each file that cannot be read or believed, with its path."""


class FoundFile(NamedTuple):
    """What a path leads to.

    Attributes:
        path: without `.`, `..` and links, from the root on; the root's own is empty.
        inode: what is there.
    """

    path: bytes
    inode: Inode


def entries_of(
    file_system: FileSystem, directory: Inode, path: bytes, on_error: OnFileError
) -> list[Entry]:
    """Return what is in a directory, in the bytewise order of the names, each once.

    Args:
        file_system: of the directory.
        directory: which.
        path: of the directory, for `on_error`.
        on_error: told of what is left out: names that lead elsewhere, or stand there twice,
            and parts of the directory that cannot be read.
    """
    try:
        found = sorted(file_system.entries(directory))
    except DirectoryError as error:
        on_error(path, error)
        found = sorted(error.found)
    except FileError as error:
        on_error(path, error)
        return []
    before = None
    odd = set()
    for place, (name, _) in enumerate(found):
        if name == before or not is_safe_name(name):
            odd.add(place)
        before = name
    for place in sorted(odd):
        name = found[place].name
        why = "its directory has this name twice" if is_safe_name(name) else "is no name of a file"
        on_error(below(path, name), FileError(why))
    return [each for place, each in enumerate(found) if place not in odd] if odd else found


def walk(
    file_system: FileSystem, top: Inode, path: bytes, on_error: OnFileError
) -> Iterator[tuple[bytes, Inode]]:
    """Yield what is below a directory: depth first, names in bytewise order, a directory first.

    Args:
        file_system: of the directory.
        top: the directory, which is not yielded itself.
        path: of `top`, with which the paths begin; nothing precedes them if it is empty.
        on_error: told of what is left out.

    Returns:
        The path and inode of each file.
    """

    def files_in(directory: Inode, here: bytes) -> Iterator[tuple[bytes, Inode | FileError]]:
        return with_inodes(file_system, entries_of(file_system, directory, here, on_error))

    entered = {top.number}
    pending = [(path + b"/" if path else b"", files_in(top, path))]
    while pending:
        prefix, files = pending[-1]
        for name, inode in files:
            here = prefix + name
            if isinstance(inode, FileError):
                on_error(here, inode)
                continue
            if not S_ISDIR(inode.mode):
                yield here, inode
                continue
            if inode.number in entered:
                on_error(here, FileError(f"directory {inode.number} is in another place, too"))
                continue
            entered.add(inode.number)
            yield here, inode
            if len(here) > MOST_PATH_BYTES:
                what = f"what is in it has paths of more than {MOST_PATH_BYTES} bytes"
                on_error(here, FileError(what))
                continue
            pending.append((here + b"/", files_in(inode, here)))
            break
        else:
            pending.pop()


def with_inodes(
    file_system: FileSystem, entries: Sequence[tuple[bytes, int]]
) -> Iterator[tuple[bytes, Inode | FileError]]:
    """Yield names with the inodes of their numbers, many of which are read at once."""
    for begin in range(0, len(entries), _INODES_AT_ONCE):
        some = entries[begin : begin + _INODES_AT_ONCE]
        inodes = file_system.inodes([number for _, number in some])
        yield from zip((name for name, _ in some), inodes, strict=True)


def find(file_system: FileSystem, root: Inode, path: bytes, *, follow: bool) -> FoundFile:
    """Return what a path leads to; nothing leads above the root.

    Args:
        file_system: which.
        root: the directory in which paths begin, absolute ones, too.
        path: what to find.
        follow: go on where symbolic links lead, at most 40. Otherwise a link is what is found
            at the end of a path, and in the middle of one leads nowhere.

    Raises:
        NotThereError: it leads to nothing.
        FileError: nobody can tell, for a directory on the way cannot be read.
    """
    way = [FoundFile(b"", root)]
    words = path.split(b"/")[::-1]
    nr_links = 0
    while words:
        word = words.pop()
        here = way[-1]
        if not here.inode.is_directory:
            _refuse_file(file_system, here, words=[word, *reversed(words)])
        if word in (b"", b"."):
            continue
        if word == b"..":
            way = way[:-1] or way
            continue
        there = FoundFile(below(here.path, word), _entry(file_system, here, word))
        if follow and S_ISLNK(there.inode.mode):
            nr_links += 1
            if nr_links > _MOST_LINKS:
                raise NotThereError(f"{shown(path)}: there are more than 40 symbolic links on it")
            target = file_system.link_target(there.inode)
            if len(target) + sum(map(len, words)) > MOST_PATH_BYTES:
                raise NotThereError(f"{shown(path)}: its links lead to a path that is too long")
            way = way[:1] if target.startswith(b"/") else way
            words += target.split(b"/")[::-1]
        else:
            way.append(there)
    return way[-1]


def below(path: bytes, name: bytes) -> bytes:
    """Return the path of what is called `name` in the directory at `path`."""
    return b"%b/%b" % (path, name) if path else name


def is_safe_name(name: bytes) -> bool:
    """Tell whether a name leads to one file of its directory, and to nothing else.

    >>> is_safe_name(b"passwd"), is_safe_name(b".."), is_safe_name(b"../../etc/passwd")
    (True, False, False)
    """
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def shown(path: bytes) -> str:
    """Return a path as text for messages, which keep bytes that are none as surrogates."""
    return "/" + path.lstrip(b"/").decode("utf-8", "surrogateescape")


def _entry(file_system: FileSystem, directory: FoundFile, name: bytes) -> Inode:
    broken = None
    try:
        entries = file_system.entries(directory.inode)
    except DirectoryError as error:
        entries, broken = error.found, error
    path = shown(below(directory.path, name))
    number = next((each.number for each in entries if each.name == name), None)
    if number is None and broken is None:
        raise NotThereError(f"{path}: is not there")
    if number is None:
        where = f"the part of {shown(directory.path)} that cannot be read"
        raise FileError(f"{path}: is not there, or in {where}: {broken}")
    try:
        return file_system.inode(number)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error


def _refuse_file(file_system: FileSystem, file: FoundFile, words: list[bytes]) -> None:
    what = f"{shown(file.path)}: is no directory"
    if S_ISLNK(file.inode.mode):
        target = file_system.link_target(file.inode)
        parent = b"" if target.startswith(b"/") else file.path.rpartition(b"/")[0]
        leads = b"/".join([below(parent, target.lstrip(b"/")), *words])
        what = f"{shown(file.path)}: is a symbolic link, which is not followed; it leads to "
        what += shown(leads.rstrip(b"/"))
    raise NotThereError(what)
