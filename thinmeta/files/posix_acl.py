"""POSIX ACLs in the form of the system calls, whatever a file system has for them."""

from collections.abc import Iterable

import numpy as np

from thinmeta.schemas import posix_acl as schema
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.decode import built

ACCESS = b"system.posix_acl_access"
DEFAULT = b"system.posix_acl_default"

_ENTRY = dtype_of(schema.AclXattrEntry)
_WITH_ID = (schema.ACL_USER, schema.ACL_GROUP)


def acl_xattr(entries: Iterable[tuple[int, int, int]]) -> bytes:
    """Return an ACL as `getxattr()` gives it.

    Args:
        entries: of each the tag, the permissions, and the user or group if it names one.

    >>> acl_xattr([(1, 6, 0), (2, 4, 33)]).hex()
    '0200000001000600ffffffff0200040021000000'

    Source: `posix_acl_to_xattr()`, fs/posix_acl.c (Linux v6.6).
    """
    rows = [
        (tag, permissions, number if tag in _WITH_ID else schema.ACL_UNDEFINED_ID)
        for tag, permissions, number in entries
    ]
    header = built(schema.AclXattrHeader, a_version=schema.POSIX_ACL_XATTR_VERSION)
    return header + np.array(rows, dtype=_ENTRY).tobytes()
