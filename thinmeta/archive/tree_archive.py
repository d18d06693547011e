"""The files of a tree as a tar, a member after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
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
    MemberPart,
    padding,
    rendered,
)
from thinmeta.files.file_bytes import FileBytes, LostPart, zeros, zeros_instead
from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.file_tree import OnFileError, shown
from thinmeta.files.neighbours import read_together
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.outline import Outline

Ranges = Sequence[tuple[int, int]]
"""Parts of a file: where each begins, and its length, in bytes."""

_NS = 10**9
_AT_ONCE = 512  # files
_PIECE_BYTES = 1 << 20
_NO_XATTRS: Mapping[bytes, bytes] = {}

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
        name: its path, which ends in a slash for a directory.
        typeflag: what it is, such as `REGULAR`.
        inode: of the file.
        size: of what follows.
        linkname: where a link leads.
        content: its bytes; None if it has none, or another member has them.
    """

    name: bytes
    typeflag: bytes
    inode: Inode
    size: int = 0
    linkname: bytes = b""
    content: FileBytes | None = None

    def member(self, mode: int, uname: bytes = b"", gname: bytes = b"") -> Member:
        """Return what is said of it in any tar, with whole seconds.

        Args:
            mode: as the tar has it.
            uname: the name of its owner; empty if it is not known.
            gname: the name of its group; empty if it is not known.
        """
        _, _, uid, gid, _, _, _, mtime, _, rdev = self.inode
        return Member(
            *(self.name, self.typeflag, mode, uid, gid, self.size, mtime // _NS, self.linkname),
            *(uname, gname, rdev),
        )


class Headers(Protocol):
    """How a kind of tar says what a file is."""

    def parts(
        self, file: ArchivedFile, xattrs: Mapping[bytes, bytes]
    ) -> tuple[Sequence[MemberPart], Ranges | None]:
        """Return what precedes a file's bytes, and the ranges of them that follow.

        None are all of its bytes, holes as zeros.

        Raises:
            FileError: no tar of this kind can hold the file.
        """
        ...


class _Planned(NamedTuple):
    """A member that is ready to be written."""

    path: bytes
    parts: Sequence[MemberPart]
    content: FileBytes | None
    ranges: Ranges | None


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
        rest = iter(files)
        while some := list(islice(rest, _AT_ONCE)):
            yield from self._members(some)
        yield END

    def _members(self, files: list[tuple[bytes, Inode]]) -> Iterator[bytes | memoryview]:
        """Return the members of some files, with what is small in pieces of a megabyte."""
        planned = list(self._planned(files))
        blocks = iter(rendered([part for each in planned for part in each.parts]))
        whole = read_together(
            self._opened.source,
            (each.content for each in planned if each.content and each.ranges is None),
        )
        out: list[bytes | memoryview] = []
        size = 0
        for path, parts, content, ranges in planned:
            out += islice(blocks, len(parts))
            if content is None:
                continue
            view = next(whole) if ranges is None else None
            if view is not None:
                out += (view, padding(len(view)))
                size += len(view)
            if view is None or size > _PIECE_BYTES:
                yield b"".join(out)
                out, size = [], 0
            if view is None:
                yield from self._content(path, content, ranges)
        yield b"".join(out)

    def _planned(self, files: list[tuple[bytes, Inode]]) -> Iterator[_Planned]:
        """Return the members that files are to be; tell of those that are left out."""
        outlines = self._opened.file_system.outlines([inode for _, inode in files])
        may_be_lost = not self._salvage and self._may_be_lost(files, outlines)
        for (path, inode), outline in zip(files, outlines, strict=True):
            if inode.type == S_IFSOCK:
                self.nr_sockets += 1
                continue
            try:
                file = self._archived(path, inode, outline)
                is_checked = outline.place is not None and not may_be_lost
                if file.content is not None and not (is_checked or self._salvage):
                    file.content.refuse_lost()
                has = outline.has_xattrs
                xattrs = self._opened.file_system.xattrs(inode) if has else _NO_XATTRS
                parts, ranges = self._headers.parts(file, xattrs)
            except FileError as error:
                self._on_error(path, error)
                continue
            if inode.nlink > 1 and not inode.is_directory:
                self._first_of.setdefault(inode.number, path)
            self.nr_files += 1
            yield _Planned(path, parts, file.content if file.size else None, ranges)

    def _may_be_lost(self, files: list[tuple[bytes, Inode]], outlines: list[Outline]) -> bool:
        """Tell whether a part of what is between files that are in one piece is lost."""
        sizes = (inode.size for _, inode in files)
        found = [
            (outline.place, outline.place + size)
            for size, outline in zip(sizes, outlines, strict=True)
            if outline.place is not None and size
        ]
        if not found:
            return False
        begin, end = min(begin for begin, _ in found), max(end for _, end in found)
        source = self._opened.source
        return end > source.size or any(True for _ in source.lost(begin, end))

    def _archived(self, path: bytes, inode: Inode, outline: Outline) -> ArchivedFile:
        """Return what is to be said of a file."""
        kind = inode.type
        typeflag = _TYPEFLAGS.get(kind)
        if typeflag is None:
            raise FileError(f"inode {inode.number}: its type {kind:o} is none that is known")
        if (first := self._first_of.get(inode.number)) is not None:
            return ArchivedFile(path, HARD_LINK, inode, linkname=first)
        if kind == S_IFREG:
            content = self._opened.bytes_of(inode, outline)
            return ArchivedFile(path, typeflag, inode, content.size, content=content)
        if kind == S_IFLNK:
            target = self._opened.file_system.link_target(inode)
            return ArchivedFile(path, typeflag, inode, linkname=target)
        return ArchivedFile(path + b"/" if kind == S_IFDIR else path, typeflag, inode)

    def _content(
        self, path: bytes, content: FileBytes, ranges: Ranges | None
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
