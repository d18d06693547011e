"""The files of a tree as a tar, a member after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import NamedTuple, Protocol

from thinmeta.archive.ustar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    END,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Member,
    padding,
)
from thinmeta.files.file_bytes import FileBytes, LostPart, zeros, zeros_instead
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import OnFileError, shown
from thinmeta.files.opened_files import OpenedFiles

_NS = 10**9

_TYPEFLAGS = {
    S_IFREG: REGULAR,
    S_IFDIR: DIRECTORY,
    S_IFLNK: SYMLINK,
    S_IFCHR: CHARACTER_DEVICE,
    S_IFBLK: BLOCK_DEVICE,
    S_IFIFO: FIFO,
}


class ArchivedFile(NamedTuple):
    """A file that is to be a member.

    Attributes:
        member: what is said of it in any tar: with all bits of its mode, and whole seconds.
        inode: of the file.
        content: its bytes; None if it has none, or another member has them.
    """

    member: Member
    inode: Inode
    content: FileBytes | None


class Headers(Protocol):
    """How a kind of tar says what a file is."""

    def blocks(
        self, file: ArchivedFile, xattrs: Mapping[bytes, bytes]
    ) -> tuple[bytes, Sequence[tuple[int, int]] | None]:
        """Return what precedes a file's bytes, and the ranges of them that follow.

        None are all of its bytes, holes as zeros.

        Raises:
            FileError: no tar of this kind can hold the file.
        """
        ...


class TreeArchive:
    """A tar that is being made.

    Attributes:
        nr_files: that are in it.
        nr_sockets: that were left out: no tar has them.
    """

    def __init__(
        self, opened: OpenedFiles, headers: Headers, on_error: OnFileError, *, salvage: bool
    ) -> None:
        """Begin with no members.

        Args:
            opened: the file system of the files.
            headers: the kind of tar.
            on_error: told of what is left out, and with `salvage` of what is zeros instead.
            salvage: write zeros for what cannot be had. Otherwise a file of which a part is
                known to be lost is left out, and a part that turns out to be unreadable ends
                the archive.
        """
        self.nr_files = 0
        self.nr_sockets = 0
        self._opened = opened
        self._headers = headers
        self._on_error = on_error
        self._salvage = salvage
        self._first_of: dict[int, bytes] = {}

    def pieces(self, files: Iterable[tuple[bytes, Inode]]) -> Iterator[bytes | memoryview]:
        """Return the archive in order; a view is valid until the next piece.

        Args:
            files: their names in the archive, and inodes, as `walk()` yields them.

        Raises:
            FileError: a part of a file turned out to be unreadable.
        """
        for path, inode in files:
            if inode.type == S_IFSOCK:
                self.nr_sockets += 1
                continue
            try:
                file = self._archived(path, inode)
                xattrs = self._opened.file_system.xattrs(inode)
                blocks, ranges = self._headers.blocks(file, xattrs)
            except FileError as error:
                self._on_error(path, error)
                continue
            if inode.nlink > 1 and inode.type != S_IFDIR:
                self._first_of.setdefault(inode.number, path)
            self.nr_files += 1
            yield blocks
            if file.content is not None and file.content.size:
                yield from self._content(path, file.content, ranges)
        yield END

    def _archived(self, path: bytes, inode: Inode) -> ArchivedFile:
        """Return what is to be said of a file."""
        kind = inode.type
        typeflag = _TYPEFLAGS.get(kind)
        if typeflag is None:
            raise FileError(f"inode {inode.number}: its type {kind:o} is none that is known")
        content, link, size = None, b"", 0
        if (first := self._first_of.get(inode.number)) is not None:
            typeflag, link = HARD_LINK, first
        elif kind == S_IFREG:
            content = self._opened.bytes_of(inode)
            size = content.size
            if not self._salvage:
                content.refuse_lost()
        elif kind == S_IFLNK:
            link = self._opened.file_system.link_target(inode)
        member = Member(
            path + b"/" if kind == S_IFDIR else path,
            typeflag,
            inode.mode,
            inode.uid,
            inode.gid,
            size,
            inode.mtime // _NS,
            link,
            rdev=inode.rdev if kind in (S_IFCHR, S_IFBLK) else (0, 0),
        )
        return ArchivedFile(member, inode, content)

    def _content(
        self, path: bytes, content: FileBytes, ranges: Sequence[tuple[int, int]] | None
    ) -> Iterator[bytes | memoryview]:
        size = 0
        for begin, length in ((0, content.size),) if ranges is None else ranges:
            size += length
            for piece in content.pieces(begin, begin + length):
                if isinstance(piece, memoryview):
                    yield piece
                    continue
                if isinstance(piece, LostPart):
                    if not self._salvage:
                        what = f"{shown(path)}: {piece}; --salvage goes on, with zeros instead"
                        raise FileError(f"{what}; the archive ends here")
                    self._on_error(path, zeros_instead(piece, "archive"))
                yield from zeros(piece.length)
        if rest := padding(size):
            yield rest
