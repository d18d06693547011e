"""ACLs of ext4, made into what the system call returns."""

from collections.abc import Iterator

from thinmeta.files.file_system import FileError
from thinmeta.files.posix_acl import acl_xattr
from thinmeta.schemas.columns import dtype_of, fields_at
from thinmeta.schemas.ext4_attributes import (
    ACL_SHORT_TAGS,
    EXT4_ACL_VERSION,
    Ext4AclHeader,
    Ext4AclLongEntry,
    Ext4AclShortEntry,
)
from thinmeta.schemas.posix_acl import ACL_GROUP, ACL_USER

_HEADER = dtype_of(Ext4AclHeader)
_SHORT = dtype_of(Ext4AclShortEntry)
_LONG = dtype_of(Ext4AclLongEntry)


def as_xattr(value: bytes) -> bytes:
    """Return an ACL as `getxattr()` does, from its form on disk.

    Raises:
        FileError: it is no ACL.

    Source: `ext4_acl_from_disk()`, fs/ext4/acl.c (Linux v6.6).
    """
    if len(value) < _HEADER.itemsize or fields_at(_HEADER, value)["a_version"] != EXT4_ACL_VERSION:
        raise FileError("its ACL is of an unknown version")
    return acl_xattr(_entries(value))


def _entries(value: bytes) -> Iterator[tuple[int, int, int]]:
    begin = _HEADER.itemsize
    while begin < len(value):
        if begin + _SHORT.itemsize > len(value):
            raise FileError("its ACL ends within an entry")
        fields = fields_at(_SHORT, value, begin)
        tag, number, size = fields["e_tag"], 0, _SHORT.itemsize
        if tag in (ACL_USER, ACL_GROUP):
            size = _LONG.itemsize
            if begin + size > len(value):
                raise FileError("its ACL ends within an entry")
            number = fields_at(_LONG, value, begin)["e_id"]
        elif tag not in ACL_SHORT_TAGS:
            raise FileError(f"its ACL has an entry of the unknown kind {tag}")
        yield tag, fields["e_perm"], number
        begin += size
