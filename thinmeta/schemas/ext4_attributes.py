"""Extended attributes and ACLs of ext2, ext3 and ext4.

On-disk truth: fs/ext4/xattr.h and fs/ext4/acl.h (Linux v6.6). All is little endian. Field
names are the kernel's.
"""

from construct import Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

EXT4_XATTR_MAGIC = 0xEA020000
EXT4_XATTR_SYSTEM_DATA = (7, b"data")
"""The end of a file that is kept with its inode: an attribute, but to nobody outside."""

EXT4_XATTR_ENCRYPTION = 9
"""The index of what only the kernel reads."""

XATTR_POSIX_ACL_ACCESS = 2
XATTR_POSIX_ACL_DEFAULT = 3
XATTR_PREFIXES = {
    1: b"user.",
    4: b"trusted.",
    6: b"security.",
    7: b"system.",
    8: b"system.richacl",
    10: b"gnu.",
}
"""What a name begins with, by its index."""

EXT4_ACL_VERSION = 1
ACL_SHORT_TAGS = (0x1, 0x4, 0x10, 0x20)
"""Of entries that name no user or group."""

Ext4BlockNumber = "block" / Int64ul * "with which the checksum of a block of attributes begins"

Ext4XattrBodyHeader = "ext4_xattr_ibody_header" / Struct(
    "h_magic" / Int32ul * "0xEA020000",
)

Ext4XattrHeader = "ext4_xattr_header" / Struct(
    "h_magic" / Int32ul * "0xEA020000",
    Padding(4),
    "h_blocks" / Int32ul * "1",
    Padding(4),
    "h_checksum" / Int32ul * "CRC-32C of the block's number and the block",
    Padding(12),
)

Ext4XattrEntry = "ext4_xattr_entry" / Struct(
    "e_name_len" / Int8ul * "bytes of the name, which follows",
    "e_name_index" / Int8ul * "what the name begins with",
    "e_value_offs" / Int16ul * "from the first entry in an inode, from the beginning of a block",
    "e_value_inum" / Int32ul * "inode that holds the value; 0: it is here",
    "e_value_size" / Int32ul * "bytes of the value",
    Padding(4),
)

Ext4AclHeader = "ext4_acl_header" / Struct(
    "a_version" / Int32ul * "1",
)

Ext4AclShortEntry = "ext4_acl_entry_short" / Struct(
    "e_tag" / Int16ul * "whom it is about",
    "e_perm" / Int16ul * "what they may",
)

Ext4AclLongEntry = "ext4_acl_entry" / Struct(
    *Ext4AclShortEntry.subcon.subcons,
    "e_id" / Int32ul * "user or group, if it names one",
)
