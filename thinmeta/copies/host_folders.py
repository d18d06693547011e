"""The way down into folders of the host: by descriptors, and through no symbolic link."""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

_MOST_OPEN = 32
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

OnFolder = Callable[[int, bytes], None]
"""The hook that is told of each folder that is entered: its descriptor and path."""


class _Step(NamedTuple):
    """A folder on the way: a descriptor, unless too many are open, and what it is of."""

    fd: int | None
    identity: tuple[int, int]


class HostFolders:
    """One place below a folder, which moves from name to name.

    However deep it is, at most 33 descriptors are open. A folder that was closed on the way down
    is on the way up what it was before, or an error: nobody can lead elsewhere by moving it.
    """

    def __init__(self, base: int, on_folder: OnFolder) -> None:
        """Begin in a folder.

        Args:
            base: a descriptor of it, which stays open as long as this is used.
            on_folder: may raise for a folder that is not to be entered.
        """
        self._on_folder = on_folder
        self._path = b""
        self._way = [_Step(base, identity_of(os.fstat(base)))]

    def enter(self, path: bytes) -> int:
        """Return a descriptor of the folder at `path`, which is valid until the next call.

        Args:
            path: below the base, of safe names; the base's own is empty.

        Raises:
            OSError: there is none, or a symbolic link is in its place.
        """
        whole = path + b"/"
        while self._path and not whole.startswith(self._path + b"/"):
            self._up()
        rest = path[len(self._path) :].lstrip(b"/")
        for name in rest.split(b"/") if rest else ():
            self._down(name)
        return self._fd

    def close(self) -> None:
        """Close all but the base."""
        for step in self._way[1:]:
            if step.fd is not None:
                os.close(step.fd)
        del self._way[1:]
        self._path = b""

    @property
    def _fd(self) -> int:
        fd = self._way[-1].fd
        assert fd is not None
        return fd

    def _down(self, name: bytes) -> None:
        fd = os.open(name, _FOLDER, dir_fd=self._fd)
        path = self._path + b"/" + name if self._path else name
        try:
            identity = identity_of(os.fstat(fd))
            self._on_folder(fd, path)
        except BaseException:
            os.close(fd)
            raise
        self._way.append(_Step(fd, identity))
        self._path = path
        far = len(self._way) - 1 - _MOST_OPEN
        if far > 0 and (old := self._way[far].fd) is not None:
            self._way[far] = self._way[far]._replace(fd=None)
            os.close(old)

    def _up(self) -> None:
        above = self._way[-2]
        if above.fd is None:
            fd = os.open(b"..", _FOLDER, dir_fd=self._fd)
            if identity_of(os.fstat(fd)) != above.identity:
                os.close(fd)
                raise OSError(errno.ESTALE, "a folder above was moved in the meantime")
            self._way[-2] = above._replace(fd=fd)
        os.close(self._fd)
        self._way.pop()
        self._path = self._path.rpartition(b"/")[0]


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return the numbers of a file's file system, and of its inode."""
    return status.st_dev, status.st_ino
