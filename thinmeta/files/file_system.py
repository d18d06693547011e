"""What every file system here can be asked, whatever its kind.

A method answers for one inode, and raises `FileError` for that inode alone: whoever goes over many
catches it, says which file it was, and goes on.
"""

import stat
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from thinmeta.errors import InputError
from thinmeta.files.file_parts import FileParts
from thinmeta.files.outline import Outline
from thinmeta.files.space_account import SpaceAccount
from thinmeta.volume.layout import Bytes
from thinmeta.walk.columnar import Columnar


class Outcome(StrEnum):
    """What becomes of a file of which something cannot be read or believed."""

    LEFT_OUT = "left_out"
    """It is not in the output."""

    ZEROS = "zeros"
    """It is in the output, with zeros for what cannot be had."""

    INCOMPLETE = "incomplete"
    """It is in the output, but not all that belongs to it: entries of a directory, attributes."""


class FileError(InputError):
    """Something of a file cannot be read or believed; the message says what, and of which inode.

    Attributes:
        outcome: what becomes of the file.
    """

    outcome = Outcome.LEFT_OUT


class IncompleteFileError(FileError):
    """Something that belongs to a file cannot be had; the file itself can."""

    outcome = Outcome.INCOMPLETE


@contextmanager
def about_inode(number: int) -> Iterator[None]:
    """Have an error say which inode it is about."""
    try:
        yield
    except FileError as error:
        raise FileError(f"inode {number}: {error}") from error


class Inode(NamedTuple):
    """A file, a directory or whatever else has a number; named as in `struct stat`.

    >>> import stat, thinmeta
    >>> inode = thinmeta.Inode(12, stat.S_IFREG | 0o644, 0, 0, 1, 5, 0, 0, 0)
    >>> inode.size, inode.is_directory, stat.filemode(inode.mode)
    (5, False, '-rw-r--r--')

    Attributes:
        number: by which directories know it.
        mode: type and permissions, as `st_mode`.
        uid: of its owner.
        gid: of its group.
        nlink: how many names it has.
        size: in bytes.
        atime: of the last access, in ns since 1970.
        mtime: of the last change of its content, in ns since 1970.
        ctime: of the last change of the inode, in ns since 1970.
        rdev: major and minor number, if it is a device.
    """

    number: int
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    atime: int
    mtime: int
    ctime: int
    rdev: tuple[int, int] = (0, 0)

    @property
    def type(self) -> int:
        """What it is, as `stat.S_IFMT()` says."""
        return stat.S_IFMT(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)


class Entry(NamedTuple):
    """A name in a directory.

    Attributes:
        name: its bytes, as they are on disk; they may be hostile (see `file_tree.is_safe_name()`).
        number: of the inode that it leads to.
    """

    name: bytes
    number: int


class DirectoryError(IncompleteFileError):
    """A part of a directory cannot be read or believed.

    Attributes:
        found: the entries that were read.
    """

    def __init__(self, message: str, found: Sequence[Entry]) -> None:
        """Carry what was read."""
        super().__init__(message)
        self.found = found


class PartsError(FileError):
    """Where a part of a file is cannot be read or believed.

    Attributes:
        found: the parts that were found.
    """

    def __init__(self, message: str, found: FileParts) -> None:
        """Carry what was found."""
        super().__init__(message)
        self.found = found


def gathered(inode_number: int, *sources: Iterable[FileParts]) -> FileParts:
    """Return the parts of a file from several sources, each as far as it goes.

    Raises:
        PartsError: a source ended with an error; it has what all of them gave.
    """
    found: list[FileParts] = []
    faults = []
    for parts in sources:
        try:
            found += parts  # what comes before an error is kept
        except FileError as error:
            faults.append(str(error))
    if faults:
        what = f"inode {inode_number}: {'; '.join(faults)}"
        raise PartsError(what, FileParts.joined(found))
    return FileParts.joined(found)


@dataclass(frozen=True, slots=True, eq=False)
class FileExtents(Columnar):
    """Where the bytes of a file are, as columns of shape `(n,)`, dtype uint64, in order.

    What is in none of them, up to the file's size, is zeros: a hole, or space that was set
    aside and never written. The last one may go on past the file's size.

    Attributes:
        begin: in the file, in bytes.
        length: in bytes.
        place: in the volume, in bytes.
    """

    begin: Bytes
    length: Bytes
    place: Bytes


class FileSystem(SpaceAccount):
    """A file system, open for reading.

    Attributes:
        kind: `ext2`, `ext3`, `ext4` or `xfs`.
        root: the number of the root directory's inode.
        block_bytes: its block size.
        remark: what its readers should know, as that it is marked as damaged; None: nothing.
    """

    kind: str
    root: int
    block_bytes: int
    remark: str | None = None

    @abstractmethod
    def inodes(self, numbers: Sequence[int]) -> list[Inode | FileError]:
        """Return the inodes of these numbers, as many as there are in a directory, say.

        Returns:
            An inode each, or why there is none, or it cannot be read or believed.
        """

    def inode(self, number: int) -> Inode:
        """Return the inode of this number.

        Raises:
            FileError: there is none, or it cannot be read or believed.
        """
        (found,) = self.inodes([number])
        if isinstance(found, FileError):
            raise found
        return found

    def outlines(self, inodes: Sequence[Inode]) -> list[Outline]:
        """Return what is known of inodes without reading anything else; nothing may be."""
        return [Outline(None, has_xattrs=True)] * len(inodes)

    @abstractmethod
    def entries(self, directory: Inode) -> Sequence[Entry]:
        """Return what is in a directory, in the order on disk, without `.` and `..`.

        Raises:
            DirectoryError: a part of the directory cannot be read or believed; it has the rest.
        """

    @abstractmethod
    def link_target(self, link: Inode) -> bytes:
        """Return where a symbolic link leads.

        Raises:
            FileError: it cannot be read or believed.
        """

    @abstractmethod
    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        """Return the extended attributes by their full names, ACLs in the form of the system call.

        `system.posix_acl_access` and `system.posix_acl_default` are as `getxattr()` gives them
        (version 2), whatever the form on disk is.

        Raises:
            FileError: they cannot be read or believed.
        """

    @abstractmethod
    def extents(self, inode: Inode) -> FileExtents:
        """Return where a file's bytes are; nothing of what `inline` returns.

        Raises:
            FileError: they cannot be read or believed.
        """

    @abstractmethod
    def inline(self, inode: Inode) -> bytes | None:
        """Return a file's bytes if they are kept with its inode; None if `extents` has them.

        Raises:
            FileError: they cannot be read or believed.
        """

    @abstractmethod
    def parts(self, inode: Inode) -> FileParts:
        """Return all that a file takes of what the file system is on.

        Raises:
            FileError: the inode cannot be read or believed.
            PartsError: where some of it is cannot be; it has the rest.
        """

    @abstractmethod
    def has_outer_attributes(self, inode: Inode) -> bool:
        """Tell whether extended attributes may be outside of the inode.

        Raises:
            FileError: the inode cannot be read or believed.
        """
