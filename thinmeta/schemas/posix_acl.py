"""POSIX ACLs, as system calls take and give them: an extended attribute.

`struct posix_acl_xattr_header` and `struct posix_acl_xattr_entry`,
include/uapi/linux/posix_acl_xattr.h (Linux v6.6). Names are the kernel's.
"""

from construct import Int16ul, Int32ul, Struct

POSIX_ACL_XATTR_VERSION = 2
ACL_USER = 0x02
ACL_GROUP = 0x08
ACL_UNDEFINED_ID = 0xFFFFFFFF

AclXattrHeader = "posix_acl_xattr_header" / Struct(
    "a_version" / Int32ul * "2; then entries",
)

AclXattrEntry = "posix_acl_xattr_entry" / Struct(
    "e_tag" / Int16ul * "whom it is about",
    "e_perm" / Int16ul * "what they may",
    "e_id" / Int32ul * "user or group, if it names one; else 0xFFFFFFFF",
)
