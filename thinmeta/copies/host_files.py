"""Files of the host that are made anew: nothing that exists is ever opened to be written."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from stat import S_IFMT, S_ISDIR

from thinmeta.copies.host_attributes import drop_inherited
from thinmeta.copies.host_folders import HostFolders, identity_of
from thinmeta.device.inputs import Inputs
from thinmeta.files.file_system import Inode

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNOPENED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Make = Callable[[int, bytes], None]
"""Makes a file in a folder, of which it is given a descriptor, by the name that it is given."""


class HostFiles:
    """Where files are put.

    Attributes:
        nr_made: how many there are.
    """

    def __init__(
        self, folders: HostFolders, inputs: Inputs, shown: Callable[[bytes], str], *, force: bool
    ) -> None:
        """Begin with none.

        Args:
            folders: the way to where they are put.
            inputs: what is read, which is never replaced.
            shown: makes text of a path.
            force: replace what is there.
        """
        self.nr_made = 0
        self._folders = folders
        self._inputs = inputs
        self._shown = shown
        self._force = force

    def place(self, target: bytes, make: Make) -> tuple[int, int]:
        """Make a file, beside what it replaces, and return what it then is.

        Args:
            target: its path.
            make: makes it; what is left where it fails is taken away.

        Raises:
            OSError: it cannot be made, or something is there that is not to be replaced.
            OutputError: what is there is read.
        """
        parent, _, name = target.rpartition(b"/")
        folder = self._folders.enter(parent)
        here = name
        if self._is_there(target, folder, name):
            here = b".thinmeta-" + token_hex(8).encode()
        try:
            make(folder, here)
        except FileExistsError:  # another's, which has appeared in the meantime
            raise
        except BaseException:
            _remove(folder, here)
            raise
        if here != name:
            try:
                os.rename(here, name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                _remove(folder, here)  # rename() leaves it, too, if both are names of one file
        self.nr_made += 1
        return identity_of(os.stat(name, dir_fd=folder, follow_symlinks=False))

    def _is_there(self, target: bytes, folder: int, name: bytes) -> bool:
        """Tell whether there is something that is to be replaced."""
        try:
            old = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if S_ISDIR(old.st_mode):
            raise OSError(errno.EISDIR, "is there already, and is a folder, which is left as it is")
        if not self._force:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        fd = os.open(name, _UNOPENED, dir_fd=folder)
        try:
            self._inputs.refuse(fd, self._shown(target))
        finally:
            os.close(fd)
        return True


@contextmanager
def new_file(folder: int, name: bytes) -> Iterator[int]:
    """Make a regular file, which is open as the descriptor that is returned, for writing."""
    fd = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        drop_inherited(fd)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def new_special(folder: int, name: bytes, inode: Inode) -> Iterator[int]:
    """Make a device, pipe or socket; the descriptor tells which file it is, without opening it."""
    os.mknod(name, inode.type | 0o600, os.makedev(*inode.rdev), dir_fd=folder)
    fd = os.open(name, _UNOPENED, dir_fd=folder)
    try:
        if S_IFMT(os.fstat(fd).st_mode) != inode.type:
            raise OSError(errno.ESTALE, "was replaced in the meantime")
        drop_inherited(b"/proc/self/fd/%d" % fd)
        yield fd
    finally:
        os.close(fd)


def _remove(folder: int, name: bytes) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
