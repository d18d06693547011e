"""What a file of the host has beside its name and bytes, as a volume's file has it."""

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from stat import S_IMODE, S_ISLNK

from thinmeta.files.file_system import Inode

_PLAIN_MODE = 0o777
_NO_OWNER = 2**32 - 1  # means to chown() that the owner stays

_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_NO_ACL = {errno.ENODATA, errno.EOPNOTSUPP}

OnUnset = Callable[[str], None]
"""The hook that is told of each attribute that the host does not take."""


def set_attributes(
    place: int | bytes,
    inode: Inode,
    xattrs: Mapping[bytes, bytes] | None,
    on_unset: OnUnset,
) -> None:
    """Give a file of the host the mode and times of a file of a volume.

    A mode has no setuid, setgid and sticky bit, unless the file has its owner, too.

    Args:
        place: the host's file: a descriptor, or a path, of which the last name is followed
            unless `inode` is a symbolic link.
        inode: the volume's file.
        xattrs: the extended attributes that it gets, with its owner and all of its mode; None:
            it gets neither.
        on_unset: told of what cannot be set; the rest is.
    """
    follow = not S_ISLNK(inode.mode)
    mode = _PLAIN_MODE
    if xattrs is not None:
        if _tried("the owner", lambda: _give(place, inode, follow=follow), on_unset):
            mode = 0o7777
        for name, value in xattrs.items():  # after the owner, whose change ends capabilities
            what = f"the attribute {name.decode('utf-8', 'surrogateescape')}"
            put = partial(os.setxattr, place, name, value, follow_symlinks=follow)
            _tried(what, put, on_unset)
    if follow:
        _tried("the mode", lambda: os.chmod(place, S_IMODE(inode.mode) & mode), on_unset)  # noqa: PTH101
    times = inode.atime, inode.mtime
    _tried("the times", lambda: os.utime(place, ns=times, follow_symlinks=follow), on_unset)


def drop_inherited(place: int | bytes) -> None:
    """Take from a new file, or folder, the ACLs that the folder above has for all that is new.

    With them a mode would not be what it says.

    Args:
        place: a descriptor or a path, of which the last name is followed.

    Raises:
        OSError: they cannot be taken away.
    """
    for name in _ACLS:
        try:
            os.removexattr(place, name)
        except OSError as error:
            if error.errno not in _NO_ACL:
                raise


def _give(place: int | bytes, inode: Inode, *, follow: bool) -> None:
    if _NO_OWNER in (inode.uid, inode.gid):
        raise ValueError(f"there is no owner {_NO_OWNER}")
    os.chown(place, inode.uid, inode.gid, follow_symlinks=follow)


def _tried(what: str, act: Callable[[], None], on_unset: OnUnset) -> bool:
    try:
        act()
    except (OSError, OverflowError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        on_unset(f"{what} cannot be set: {why}")
        return False
    return True
