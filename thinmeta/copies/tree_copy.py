"""Files of a volume copied to a folder of the host, which may be where others write, too.

Nothing is written through a symbolic link: folders are entered by descriptors, files are made
anew, and the links of the volume are made when all else is there.
"""

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from stat import S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import NamedTuple

from thinmeta.copies.host_attributes import drop_inherited, set_attributes
from thinmeta.copies.host_files import HostFiles, Make, new_file, new_special
from thinmeta.copies.host_folders import HostFolders, identity_of
from thinmeta.device.inputs import Inputs
from thinmeta.errors import OutputError
from thinmeta.files.file_bytes import FileBytes, FileHole, LostPart, left_out, zeros_instead
from thinmeta.files.file_system import FileError, IncompleteFileError, Inode
from thinmeta.files.file_tree import FoundFile, OnFileError, below, walk
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.files.outline import Outline

_OPENED_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = (S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK)
_LAST = {  # after which nothing else can be written, either
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}
_AT_ONCE = 512  # files
_UNKNOWN = Outline(None, has_xattrs=True)
_FOLDER_THERE = "is there already, and is no folder: what would be in it is left out"


class CopyRules(NamedTuple):
    """How files are copied.

    Attributes:
        salvage: leave holes for what cannot be had; otherwise such a file is left out.
        force: replace what is there already, unless it is a folder.
        archive: keep owners, all bits of modes, extended attributes, devices, pipes and sockets.
    """

    salvage: bool = False
    force: bool = False
    archive: bool = False


class _Copied(NamedTuple):
    """A file that is there: where, and what it is."""

    target: bytes
    identity: tuple[int, int]


class TreeCopy:
    """A copy that is being made.

    Attributes:
        nr_folders: that are in it, new or not.
        nr_special: devices, pipes and sockets that were left out.
    """

    def __init__(  # noqa: PLR0913  # two ends, and a hook for each
        self,
        opened: OpenedFiles,
        base: int,
        base_name: str,
        inputs: Inputs,
        rules: CopyRules,
        *,
        on_error: OnFileError,
        on_refused: Callable[[bytes, str], None],
        on_written: Callable[[int], None] = lambda nr_bytes: None,  # noqa: ARG005
    ) -> None:
        """Begin with nothing.

        Args:
            opened: the file system of the files.
            base: a descriptor of the folder that they are put in; it stays open until the end.
            base_name: of that folder, for messages.
            inputs: what is read, which is never written to.
            rules: how files are copied.
            on_error: told of what cannot be read, by its path on the volume.
            on_refused: told of what the host does not take, and of why, which begins with its name.
            on_written: told how many bytes more are written.
        """
        self.nr_folders = 0
        self.nr_special = 0
        self._opened = opened
        self._base_name = base_name
        self._inputs = inputs
        self._rules = rules
        self._on_error = on_error
        self._on_refused = on_refused
        self._on_written = on_written
        self._folders = HostFolders(base, self._check)
        self._files = HostFiles(self._folders, inputs, self._shown, force=rules.force)
        self._others = HostFolders(base, self._check)
        self._links: list[tuple[bytes, bytes, Inode]] = []
        self._directories: list[tuple[bytes, bytes, Inode]] = []
        self._first_of: dict[int, _Copied] = {}
        self._left_out: bytes | None = None

    def add(self, found: FoundFile, target: bytes) -> None:
        """Copy a file, or a directory with all that is in it.

        Args:
            found: the file.
            target: what it is called below the base; a directory without a name is the base.

        Raises:
            OutputError: nothing more can be written.
        """
        self._left_out = None
        self._add_all([(target, found.path, found.inode)])
        if found.inode.is_directory:
            skip = len(found.path) + 1 if found.path else 0
            files = walk(self._opened.file_system, found.inode, found.path, self._on_error)
            rest = ((below(target, path[skip:]), path, inode) for path, inode in files)
            while some := list(islice(rest, _AT_ONCE)):
                self._add_all(some)

    def _add_all(self, files: list[tuple[bytes, bytes, Inode]]) -> None:
        outlines = self._opened.file_system.outlines([inode for *_, inode in files])
        for file, outline in zip(files, outlines, strict=True):
            self._guarded(partial(self._add, outline), *file)

    @property
    def nr_files(self) -> int:
        """How many files of any type are in it."""
        return self.nr_folders + self._files.nr_made

    def finish(self) -> None:
        """Make the symbolic links; then directories get their modes and times, the deepest first.

        Raises:
            OutputError: nothing more can be written.
        """
        try:
            for link in self._links:
                self._guarded(self._file, *link)
            for directory in reversed(self._directories):
                self._guarded(self._attributes_of_folder, *directory)
        finally:
            self.close()

    def close(self) -> None:
        """Close all descriptors but that of the base."""
        self._folders.close()
        self._others.close()

    def _guarded(
        self, act: Callable[[bytes, bytes, Inode], None], target: bytes, path: bytes, inode: Inode
    ) -> None:
        try:
            act(target, path, inode)
        except FileError as error:
            self._on_error(path, error)
        except OSError as error:
            name, why = self._shown(target), error.strerror or str(error)
            if error.errno in _LAST:
                done = f"files that were copied before: {self._files.nr_made}"
                raise OutputError(f"{name}: cannot be written: {why}; {done}") from error
            if error.errno == errno.EEXIST:
                why = "is there already, and is left as it is; --force replaces it"
            self._on_refused(self._full(target), f"{name}: {why}")

    def _add(self, outline: Outline, target: bytes, path: bytes, inode: Inode) -> None:
        if self._left_out is not None and target.startswith(self._left_out):
            return
        kind = inode.type
        if inode.is_directory:
            self._folder(target, path, inode)
        elif kind == S_IFLNK:
            self._links.append((target, path, inode))
        elif kind in _SPECIAL and not self._rules.archive:
            self.nr_special += 1
        elif kind == S_IFREG or kind in _SPECIAL:
            self._file(target, path, inode, outline)
        else:
            raise FileError(f"inode {inode.number}: its type {kind:o} is none that is known")

    def _folder(self, target: bytes, path: bytes, inode: Inode) -> None:
        if not target:
            return  # the base, which stays as it is
        parent, _, name = target.rpartition(b"/")
        is_new = True
        try:
            try:
                os.mkdir(name, 0o700, dir_fd=self._folders.enter(parent))
            except FileExistsError:
                is_new = False
            folder = self._folders.enter(target)
            if is_new:
                drop_inherited(b"/proc/self/fd/%d" % folder)
        except OSError as error:
            self._left_out = target + b"/"
            if not is_new and error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise OSError(errno.ENOTDIR, _FOLDER_THERE) from error
            raise
        self.nr_folders += 1
        if is_new or self._rules.force:
            self._directories.append((target, path, inode))

    def _file(self, target: bytes, path: bytes, inode: Inode, outline: Outline = _UNKNOWN) -> None:
        """Copy what is no directory."""
        if (first := self._first_of.get(inode.number)) is not None:
            self._files.place(target, lambda folder, name: self._hard_link(first, folder, name))
            return
        xattrs: Mapping[bytes, bytes] | None = {} if self._rules.archive else None
        if self._rules.archive and outline.has_xattrs:
            xattrs = self._opened.file_system.xattrs(inode)
        make: Make

        def set_all(place: int | bytes) -> None:
            set_attributes(place, inode, xattrs, lambda what: self._unset(target, what))

        if inode.type == S_IFREG:
            content = self._content(inode, outline)

            def make(folder: int, name: bytes) -> None:
                with new_file(folder, name) as fd:
                    self._write(path, content, fd)
                    set_all(fd)
        elif inode.type == S_IFLNK:
            to = self._opened.file_system.link_target(inode)
            if b"\0" in to:
                raise FileError("where it leads has a NUL in it, which no link can have")

            def make(folder: int, name: bytes) -> None:
                os.symlink(to, name, dir_fd=folder)
                set_all(b"/proc/self/fd/%d/%b" % (folder, name))
        else:

            def make(folder: int, name: bytes) -> None:
                with new_special(folder, name, inode) as fd:
                    set_all(b"/proc/self/fd/%d" % fd)

        identity = self._files.place(target, make)
        if inode.nlink > 1:
            self._first_of[inode.number] = _Copied(target, identity)

    def _hard_link(self, first: _Copied, folder: int, name: bytes) -> None:
        parent, _, there = first.target.rpartition(b"/")
        beside = self._others.enter(parent)
        os.link(there, name, src_dir_fd=beside, dst_dir_fd=folder, follow_symlinks=False)
        if identity_of(os.stat(name, dir_fd=folder, follow_symlinks=False)) != first.identity:
            why = f"{self._shown(first.target)}, which it is the same as, was replaced"
            raise OSError(errno.ESTALE, why)

    def _content(self, inode: Inode, outline: Outline) -> FileBytes:
        content = self._opened.bytes_of(inode, outline)
        if not self._rules.salvage:
            content.refuse_lost()
        return content

    def _write(self, path: bytes, content: FileBytes, fd: int) -> None:
        os.ftruncate(fd, content.size)
        place = 0
        for piece in content.pieces():
            if isinstance(piece, LostPart):
                if not self._rules.salvage:
                    raise left_out(piece, (piece,))
                self._on_error(path, zeros_instead(piece, "copy"))
            if isinstance(piece, FileHole | LostPart):
                place += piece.length
                continue
            left = piece
            while left:
                done = os.pwrite(fd, left, place)
                place, left = place + done, left[done:]
            self._on_written(len(piece))

    def _attributes_of_folder(self, target: bytes, path: bytes, inode: Inode) -> None:
        parent, _, name = target.rpartition(b"/")
        fd = os.open(name, _OPENED_FOLDER, dir_fd=self._folders.enter(parent))
        try:
            xattrs = self._opened.file_system.xattrs(inode) if self._rules.archive else None
            set_attributes(fd, inode, xattrs, lambda what: self._unset(target, what))
        except FileError as error:
            what = f"is copied without its owner, mode and times: {error}"
            self._on_error(path, IncompleteFileError(what))
        finally:
            os.close(fd)

    def _unset(self, target: bytes, what: str) -> None:
        self._on_refused(self._full(target), f"{self._shown(target)}: {what}")

    def _check(self, folder: int, path: bytes) -> None:
        self._inputs.refuse_folder(folder, self._shown(path))

    def _full(self, target: bytes) -> bytes:
        return os.path.join(os.fsencode(self._base_name), target).rstrip(b"/") or b"/"  # noqa: PTH118

    def _shown(self, target: bytes) -> str:
        return os.fsdecode(self._full(target))
