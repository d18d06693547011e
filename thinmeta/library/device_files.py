"""The files of a device: listed and read."""

import os
from collections.abc import Iterator, Mapping
from typing import NoReturn, Self

from thinmeta.analyse.file_places import FilePlace, places_of
from thinmeta.errors import NotThereError
from thinmeta.files.container_root import container_root
from thinmeta.files.file_bytes import FileBytes, FileStream
from thinmeta.files.file_system import FileError
from thinmeta.files.file_tree import FoundFile, OnFileError, below, entries_of, find, shown, walk
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.library.found_files import list_of_places
from thinmeta.library.result_list import ResultList
from thinmeta.volume.contents import Volume

FilePath = str | bytes


def raise_file_error(path: bytes, error: FileError) -> NoReturn:
    """Raise: what is done where one file cannot be read or believed, unless it is asked otherwise.

    Raises:
        FileError: always.
    """
    raise FileError(f"{shown(path)}: {error}") from error


class DeviceFiles:
    """The file system on a device, open for reading; a context manager.

    Paths begin at the root of the file system, for a device of Docker's at `rootfs`. They are
    given as text or bytes, and returned as bytes, without a slash in front.

    >>> import lzma, tempfile, thinmeta
    >>> data, folder = tempfile.NamedTemporaryFile(), "fixtures/c04-lvm-virtual-machines"
    >>> _ = data.write(lzma.open(f"{folder}/data.bin.xz").read())
    >>> pool = thinmeta.open_pool(f"{folder}/meta.bin.xz")
    >>> files = pool.device(1).files(data.name, partition=2)
    >>> files.kind, [each.path for each in files.walk()]
    ('ext4', [b'etc', b'etc/hostname', b'lost+found'])
    >>> [each.path for each in files.entries("/etc")]
    [b'etc/hostname']
    >>> found = files.find("/etc/hostname")
    >>> found.inode.size, files.lost(found), dict(files.xattrs(found))
    (5, [], {})
    >>> with files.open(found) as content:
    ...     content.seek(3), content.read(1)
    (3, b'2')
    >>> place = files.places(found)[0]
    >>> place.part.name, place.length, place.source.name, place.place
    ('CONTENT', 5, 'DATA', 10290176)
    >>> data.seek(place.place), data.read(4)
    (10290176, b'gpt2')
    >>> held = pool.files_at(place.place, place.place + 5, data.name, partition=2)
    >>> [part.held.paths for run in held for part in run.parts]
    [(b'etc/hostname',)]
    >>> files.close(), pool.close()
    (None, None)
    """

    def __init__(self, opened: OpenedFiles, volume: Volume, *, all_of_it: bool) -> None:
        """Take over `volume`; `Device.files()` calls it."""
        self._opened = opened
        self._volume = volume
        file_system = opened.file_system
        top = file_system.inode(file_system.root)
        self._root = (None if all_of_it else container_root(file_system, top)) or top

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the files that it reads; further reads fail."""
        self._volume.close()

    @property
    def kind(self) -> str:
        """The file system: `ext2`, `ext3`, `ext4` or `xfs`."""
        return self._opened.file_system.kind

    @property
    def notes(self) -> list[str]:
        """What a reader should know, as that the journal was replayed; one line each."""
        return self._opened.notes

    def find(self, path: FilePath = "/", *, follow: bool = True) -> FoundFile:
        """Return what a path leads to; symbolic links never lead above the root.

        Args:
            path: what to find.
            follow: go on where a symbolic link leads.

        Raises:
            NotThereError: it leads to nothing.
            FileError: nobody can tell.
        """
        return find(self._opened.file_system, self._root, os.fsencode(path), follow=follow)

    def entries(
        self, path: FilePath = "/", *, on_error: OnFileError = raise_file_error
    ) -> list[FoundFile]:
        """Return what is in a directory, in the order of the names' bytes.

        Args:
            path: of the directory.
            on_error: told of what cannot be read or believed, and is left out.

        Raises:
            NotThereError: there is no such directory.
            FileError: by `on_error`.
        """
        directory = self._directory(path)
        file_system = self._opened.file_system
        found = []
        for name, number in entries_of(file_system, directory.inode, directory.path, on_error):
            where = below(directory.path, name)
            try:
                found.append(FoundFile(where, file_system.inode(number)))
            except FileError as error:
                on_error(where, error)
        return found

    def walk(
        self, path: FilePath = "/", *, on_error: OnFileError = raise_file_error
    ) -> Iterator[FoundFile]:
        """Yield all that is below a directory, depth first, a directory before what is in it.

        Args:
            path: of the directory.
            on_error: told of what cannot be read or believed, and is left out.

        Raises:
            NotThereError: there is no such directory.
            FileError: by `on_error`.
        """
        directory = self._directory(path)
        file_system = self._opened.file_system
        for each in walk(file_system, directory.inode, directory.path, on_error):
            yield FoundFile(*each)

    def open(self, path: FilePath | FoundFile) -> FileStream:
        """Open the contents of a file, as a file that is only read; holes are zeros.

        To read what is lost raises `OSError`.

        Args:
            path: of the file, where symbolic links are followed; or one that was found.

        Raises:
            NotThereError: there is no such file.
            FileError: where its bytes are cannot be read or believed.
        """
        return FileStream(*self._bytes_of(path))

    def lost(self, path: FilePath | FoundFile) -> list[tuple[int, int]]:
        """Return which bytes of a file are known to be lost: first byte and length of each part.

        Args:
            path: as for `open`.
        """
        content, _ = self._bytes_of(path)
        return [(part.begin, part.length) for part in content.lost()]

    def places(
        self, path: FilePath | FoundFile, *, on_error: OnFileError = raise_file_error
    ) -> ResultList[FilePlace]:
        """Return where a file is on the data device, as `thinmeta lookup --file` shows it.

        Content first, in the order of the file, then what must be read to find it. Holes are not
        among them. `columns()` has a row a part, numbers in bytes.

        Args:
            path: as for `open`.
            on_error: told if only a part of it can be found.

        Raises:
            NotThereError: there is no such file.
            FileError: its inode cannot be read or believed, or by `on_error`.
        """
        file = self._found(path)
        found = places_of(self._opened, self._volume.layout, file.inode)
        if found.fault is not None:
            on_error(file.path, found.fault)
        return list_of_places(found.places)

    def link_target(self, link: FoundFile) -> bytes:
        """Return where a symbolic link leads.

        Raises:
            FileError: it cannot be read or believed.
        """
        return self._opened.file_system.link_target(link.inode)

    def xattrs(self, file: FoundFile) -> Mapping[bytes, bytes]:
        """Return the extended attributes of a file by their full names, ACLs as `getxattr()` does.

        Raises:
            FileError: they cannot be read or believed.
        """
        return self._opened.file_system.xattrs(file.inode)

    def _directory(self, path: FilePath) -> FoundFile:
        found = self.find(path)
        if not found.inode.is_directory:
            raise NotThereError(f"{shown(found.path)}: is no directory")
        return found

    def _bytes_of(self, path: FilePath | FoundFile) -> tuple[FileBytes, str]:
        found = self._found(path)
        return self._opened.bytes_of(found.inode), shown(found.path)

    def _found(self, path: FilePath | FoundFile) -> FoundFile:
        return path if isinstance(path, FoundFile) else self.find(path)
