"""Where Docker keeps the files of an image or a container on a thin device, and what of them."""

from stat import S_ISREG

from thinmeta.errors import NotThereError
from thinmeta.files.file_system import FileError, FileSystem, Inode
from thinmeta.files.file_tree import find

ROOTFS = b"rootfs"

CAPABILITY = b"security.capability"
"""The only extended attribute that Docker keeps in a tar, and holds against another file's."""

_ID = b"id"
_ID_BYTES = 64


def container_root(file_system: FileSystem, top: Inode) -> Inode | None:
    """Return the directory `rootfs` that Docker made, and an image's files are below.

    Docker puts a file beside it with the id of the base device's, 64 digits. None is a
    device that is not Docker's, or the base device, which is empty.

    Args:
        file_system: on the device.
        top: its root directory.

    Raises:
        FileError: nobody can tell.

    Source: `Get()`, daemon/graphdriver/devmapper/driver.go (moby 23.0).
    """
    try:
        rootfs = find(file_system, top, ROOTFS, follow=False).inode
        beside = find(file_system, top, _ID, follow=False).inode
    except NotThereError:
        return None
    except FileError as error:
        raise FileError(f"nobody can tell whether it is a device of Docker's: {error}") from error
    is_docker = rootfs.is_directory and S_ISREG(beside.mode) and beside.size == _ID_BYTES
    return rootfs if is_docker else None
