"""XFS: directories and extended attributes.

On-disk truth: fs/xfs/libxfs/xfs_da_format.h and xfs_format.h (Linux v6.6). Big endian, but for
checksums. Field names are the kernel's. A directory's data block is a header and then entries
and free space; the index that follows them, or fills blocks of its own, is not read.
"""

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int32ul, Int64ub, Padding, Struct

XFS_DIR2_BLOCK_MAGIC = 0x58443242
XFS_DIR2_DATA_MAGIC = 0x58443244
XFS_DIR3_BLOCK_MAGIC = 0x58444233
XFS_DIR3_DATA_MAGIC = 0x58444433
XFS_DIR2_LEAF_OFFSET = 1 << 35
XFS_DIR2_DATA_FREE_TAG = 0xFFFF
XFS_DA_NODE_MAGIC = 0xFEBE
XFS_ATTR_LEAF_MAGIC = 0xFBEE
XFS_DA3_NODE_MAGIC = 0x3EBE
XFS_ATTR3_LEAF_MAGIC = 0x3BEE
XFS_ATTR3_RMT_MAGIC = 0x5841524D
XFS_ATTR_LOCAL = 0x1
XFS_ATTR_ROOT = 0x2
XFS_ATTR_SECURE = 0x4
XFS_ATTR_PARENT = 0x8
XFS_ATTR_INCOMPLETE = 0x80
XFS_XATTR_SIZE_MAX = 65536
XFS_DA_NODE_MAXDEPTH = 5

Dir2SfHdr = "xfs_dir2_sf_hdr" / Struct(
    "count" / Int8ub * "entries: length of the name, offset (2 bytes), name, type, inode",
    "i8count" / Int8ub * "not 0: inode numbers, that of the parent too, have 8 bytes; else 4",
)

Dir2SfNumber4 = Int32ub
"""An inode number in such a directory, if all are short."""

Dir2DataHdr = "xfs_dir2_data_hdr" / Struct(
    "magic" / Int32ub * "XD2B: the whole directory; XD2D: a part of it",
    Padding(12),
)

Dir3DataHdr = "xfs_dir3_data_hdr" / Struct(
    "magic" / Int32ub * "XDB3: the whole directory; XDD3: a part of it",
    "crc" / Int32ul * "CRC-32C of the block, with zeros in this field",
    "blkno" / Int64ub * "where it is, in 512 bytes",
    "lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "uuid" / Bytes(16) * "of the file system",
    "owner" / Int64ub * "inode",
    Padding(16),
)

Dir2Word = Int64ub
"""What entries are aligned to. An entry is an inode number, the length of the name, the name,
its type (a feature) and its own offset in the last 2 bytes; free space begins with 0xFFFF and
its length, 2 bytes each, and ends like an entry."""

Dir2BlockTail = "xfs_dir2_block_tail" / Struct(
    "count" / Int32ub * "of the hashes, 8 bytes each, before this; at the end of XD2B and XDB3",
    "stale" / Int32ub * "of these unused",
)

AttrSfHdr = "xfs_attr_sf_hdr" / Struct(
    "totsize" / Int16ub * "bytes, with this",
    "count" / Int8ub * "attributes that follow",
    Padding(1),
)

AttrSfEntry = "xfs_attr_sf_entry" / Struct(
    "namelen" / Int8ub * "of the name, which follows",
    "valuelen" / Int8ub * "of the value, which follows the name",
    "flags" / Int8ub * "bit 1: trusted; bit 2: security; bit 3: a parent; none: user",
)

DaNodeHdr = "xfs_da_node_hdr" / Struct(
    Padding(8),
    "magic" / Int16ub * "0xFEBE",
    Padding(2),
    "count" / Int16ub * "children",
    "level" / Int16ub * "height",
)

Da3NodeHdr = "xfs_da3_node_hdr" / Struct(
    Padding(8),
    "magic" / Int16ub * "0x3EBE",
    Padding(2),
    "crc" / Int32ul * "CRC-32C of the block, with zeros in this field",
    "blkno" / Int64ub * "where it is, in 512 bytes",
    "lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "uuid" / Bytes(16) * "of the file system",
    "owner" / Int64ub * "inode",
    "count" / Int16ub * "children",
    "level" / Int16ub * "height",
    Padding(4),
)

DaNodeEntry = "xfs_da_node_entry" / Struct(
    "hashval" / Int32ub * "the highest below",
    "before" / Int32ub * "child, as a block of the attributes",
)

AttrLeafHdr = "xfs_attr_leaf_hdr" / Struct(
    Padding(8),
    "magic" / Int16ub * "0xFBEE",
    Padding(2),
    "count" / Int16ub * "entries that follow",
    Padding(18),
)

Attr3LeafHdr = "xfs_attr3_leaf_hdr" / Struct(
    *Da3NodeHdr.subcon.subcons[:1],
    "magic" / Int16ub * "0x3BEE",
    *Da3NodeHdr.subcon.subcons[2:8],
    "count" / Int16ub * "entries that follow",
    Padding(22),
)

AttrLeafEntry = "xfs_attr_leaf_entry" / Struct(
    "hashval" / Int32ub * "of the name",
    "nameidx" / Int16ub * "where in the block the name is",
    "flags" / Int8ub * "as in the inode; bit 0: the value is here; bit 7: incomplete",
    Padding(1),
)

AttrLeafNameLocal = "xfs_attr_leaf_name_local" / Struct(
    "valuelen" / Int16ub * "of the value, which follows the name",
    "namelen" / Int8ub * "of the name, which follows",
)

AttrLeafNameRemote = "xfs_attr_leaf_name_remote" / Struct(
    "valueblk" / Int32ub * "where the value begins, as a block of the attributes",
    "valuelen" / Int32ub * "of the value",
    "namelen" / Int8ub * "of the name, which follows",
)

Attr3RmtHdr = "xfs_attr3_rmt_hdr" / Struct(
    "rm_magic" / Int32ub * "XARM",
    "rm_offset" / Int32ub * "of what follows, in the value",
    "rm_bytes" / Int32ub * "how much follows",
    "rm_crc" / Int32ul * "CRC-32C of the block, with zeros in this field",
    "rm_uuid" / Bytes(16) * "of the file system",
    "rm_owner" / Int64ub * "inode",
    "rm_blkno" / Int64ub * "where it is, in 512 bytes",
    Padding(8),
)

AclHdr = "xfs_acl" / Struct(
    "acl_cnt" / Int32ub * "entries that follow",
)

AclEntry = "xfs_acl_entry" / Struct(
    "ae_tag" / Int32ub * "whom it is about",
    "ae_id" / Int32ub * "user or group",
    "ae_perm" / Int16ub * "what they may",
    Padding(2),
)
