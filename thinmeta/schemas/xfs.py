"""XFS: the superblock, inodes, and the extents of a file.

On-disk truth: `struct xfs_dsb`, `struct xfs_dinode`, `xfs_bmbt_rec_t`, `struct xfs_btree_block`
and `struct xfs_dsymlink_hdr`, fs/xfs/libxfs/xfs_format.h (Linux v6.6). Big endian, but for
checksums. Version 5 of the superblock brought checksums and blocks that say whose they are.
Field names are the kernel's.
"""

from construct import Bytes, Int8ub, Int16ub, Int32ub, Int32ul, Int64ub, Padding, Struct

XFS_SB_MAGIC = b"XFSB"
XFS_SB_VERSION_4 = 4
XFS_SB_VERSION_5 = 5
XFS_SB_VERSION_DIRV2BIT = 0x2000
XFS_SB_VERSION_MOREBITSBIT = 0x8000
XFS_SB_VERSION2_FTYPE = 0x200
XFS_SB_FEAT_INCOMPAT_FTYPE = 0x1
XFS_SB_FEAT_INCOMPAT_META_UUID = 0x4
XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR = 0x10
XFS_DINODE_MAGIC = 0x494E
XFS_DINODE_FMT_DEV = 0
XFS_DINODE_FMT_LOCAL = 1
XFS_DINODE_FMT_EXTENTS = 2
XFS_DINODE_FMT_BTREE = 3
XFS_DIFLAG_REALTIME = 0x1
XFS_DIFLAG2_BIGTIME = 0x8
XFS_DIFLAG2_NREXT64 = 0x10
XFS_BIGTIME_EPOCH_SECONDS = 2**31
XFS_BMAP_MAGIC = 0x424D4150
XFS_BMAP_CRC_MAGIC = 0x424D4133
XFS_SYMLINK_MAGIC = 0x58534C4D
XFS_SYMLINK_MAXLEN = 1024

XfsSuperblock = "xfs_dsb" / Struct(
    "sb_magicnum" / Bytes(4) * "XFSB",
    "sb_blocksize" / Int32ub * "in bytes",
    "sb_dblocks" / Int64ub * "blocks of the file system",
    Padding(16),
    "sb_uuid" / Bytes(16) * "of the file system",
    "sb_logstart" / Int64ub * "first block of the log; 0: it is on another device",
    "sb_rootino" / Int64ub * "inode of the root directory",
    Padding(20),
    "sb_agblocks" / Int32ub * "blocks of an allocation group",
    "sb_agcount" / Int32ub * "allocation groups; the last one may be shorter",
    Padding(4),
    "sb_logblocks" / Int32ub * "blocks of the log",
    "sb_versionnum" / Int16ub * "bits 0..3: version, 4 or 5; then features",
    "sb_sectsize" / Int16ub * "bytes of a sector; the checksum covers one",
    "sb_inodesize" / Int16ub * "bytes of an inode",
    "sb_inopblock" / Int16ub * "inodes in a block",
    "sb_fname" / Bytes(12) * "label",
    "sb_blocklog" / Int8ub * "log2 of sb_blocksize",
    "sb_sectlog" / Int8ub * "log2 of sb_sectsize",
    "sb_inodelog" / Int8ub * "log2 of sb_inodesize",
    "sb_inopblog" / Int8ub * "log2 of sb_inopblock",
    "sb_agblklog" / Int8ub * "bits of a block number within its allocation group",
    Padding(1),
    "sb_inprogress" / Int8ub * "1: mkfs did not finish",
    Padding(65),
    "sb_dirblklog" / Int8ub * "log2 of the file system blocks in a directory block",
    Padding(7),
    "sb_features2" / Int32ub * "more features of version 4",
    "sb_bad_features2" / Int32ub * "the same, where a fault once put them",
    Padding(8),
    "sb_features_incompat" / Int32ub * "features that a reader must know; version 5",
    Padding(4),
    "sb_crc" / Int32ul * "CRC-32C of the sector, with zeros in this field; version 5",
    Padding(12),
    "sb_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "sb_meta_uuid" / Bytes(16) * "what is in blocks, if sb_uuid was changed since",
)

Dinode = "xfs_dinode" / Struct(
    "di_magic" / Int16ub * "IN",
    "di_mode" / Int16ub * "type and permissions; 0: free",
    "di_version" / Int8ub * "3 in version 5 of the superblock, else 1 or 2",
    "di_format" / Int8ub * "of the data: a device, or in the inode, in extents, in a tree",
    "di_onlink" / Int16ub * "names, in version 1",
    "di_uid" / Int32ub * "owner",
    "di_gid" / Int32ub * "group",
    "di_nlink" / Int32ub * "names",
    Padding(4),
    "di_big_nextents" / Int64ub * "extents of the data, with flag NREXT64",
    "di_atime" / Int64ub * "two 32-bit numbers, seconds and ns; with flag BIGTIME ns since 1901",
    "di_mtime" / Int64ub * "the same",
    "di_ctime" / Int64ub * "the same",
    "di_size" / Int64ub * "in bytes",
    Padding(12),
    "di_nextents" / Int32ub * "extents of the data; with NREXT64 of the attributes",
    "di_anextents" / Int16ub * "extents of the attributes",
    "di_forkoff" / Int8ub * "where the attributes begin, in 8 bytes from the data; 0: none",
    "di_aformat" / Int8ub * "of the attributes",
    Padding(6),
    "di_flags" / Int16ub * "bit 0: the data is on the realtime device",
    Padding(8),  # version 2 ends here
)

Dinode3 = "xfs_dinode (version 3)" / Struct(
    *Dinode.subcon.subcons,
    "di_crc" / Int32ul * "CRC-32C of the inode, with zeros in this field",
    Padding(8),
    "di_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "di_flags2" / Int64ub * "bit 3: BIGTIME; bit 4: NREXT64",
    Padding(24),
    "di_ino" / Int64ub * "its own number",
    "di_uuid" / Bytes(16) * "of the file system",
)

DeviceNumber = Int32ub
"""What the inode of a device has for data: 14 bits major, 18 bits minor."""

XFS_MINOR_BITS = 18

BmbtRec = "xfs_bmbt_rec" / Struct(
    "l0" / Int64ub * "bit 63: unwritten; 9..62: first block in the file; 0..8: see l1",
    "l1" / Int64ub * "with 9 bits of l0, bits 21..72: first block; 0..20: number of blocks",
)

BmdrBlock = "xfs_bmdr_block" / Struct(
    "bb_level" / Int16ub * "height of the root, which is in the inode; then keys, then pointers",
    "bb_numrecs" / Int16ub * "children",
)

BmbtPtr = Int64ub
"""A child of a tree of extents; a key takes as much room."""

BmbtBlock = "xfs_btree_lblock" / Struct(
    "bb_magic" / Int32ub * "BMAP",
    "bb_level" / Int16ub * "0: extents; else keys, then pointers",
    "bb_numrecs" / Int16ub * "how many",
    Padding(16),  # version 4 ends here
)

BmbtBlock3 = "xfs_btree_lblock (version 5)" / Struct(
    "bb_magic" / Int32ub * "BMA3",
    *BmbtBlock.subcon.subcons[1:],
    "bb_blkno" / Int64ub * "where it is, in 512 bytes",
    "bb_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "bb_uuid" / Bytes(16) * "of the file system",
    "bb_owner" / Int64ub * "inode",
    "bb_crc" / Int32ul * "CRC-32C of the block, with zeros in this field",
    Padding(4),
)

SymlinkHdr = "xfs_dsymlink_hdr" / Struct(
    "sl_magic" / Int32ub * "XSLM",
    "sl_offset" / Int32ub * "of what follows, in the target",
    "sl_bytes" / Int32ub * "how much follows",
    "sl_crc" / Int32ul * "CRC-32C of the extent, with zeros in this field",
    "sl_uuid" / Bytes(16) * "of the file system",
    "sl_owner" / Int64ub * "inode",
    "sl_blkno" / Int64ub * "where it is, in 512 bytes",
    "sl_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
)

XFS_AGF_MAGIC = 0x58414746
XFS_ABTB_MAGIC = 0x41425442
XFS_ABTB_CRC_MAGIC = 0x41423342

Agf = "xfs_agf" / Struct(
    "agf_magicnum" / Int32ub * "XAGF",
    Padding(4),
    "agf_seqno" / Int32ub * "number of the allocation group",
    "agf_length" / Int32ub * "blocks of the group",
    "agf_bno_root" / Int32ub * "root of the tree of free blocks, in the group",
    Padding(8),
    "agf_bno_level" / Int32ub * "its height",
    Padding(32),
    "agf_uuid" / Bytes(16) * "of the file system; version 5",
    Padding(128),
    "agf_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "agf_crc" / Int32ul * "CRC-32C of the sector, with zeros in this field; version 5",
)
"""The free blocks of an allocation group; in its second sector."""

AllocBlock = "xfs_btree_sblock" / Struct(
    "bb_magic" / Int32ub * "ABTB",
    "bb_level" / Int16ub * "0: records; else keys, then pointers",
    "bb_numrecs" / Int16ub * "how many",
    Padding(4),
    "bb_rightsib" / Int32ub * "next block of this height; all bits: none",
)

AllocBlock3 = "xfs_btree_sblock (version 5)" / Struct(
    "bb_magic" / Int32ub * "AB3B",
    *AllocBlock.subcon.subcons[1:],
    "bb_blkno" / Int64ub * "where it is, in 512 bytes",
    "bb_lsn" / Int64ub * "of the log record that it was last logged in, when it was written",
    "bb_uuid" / Bytes(16) * "of the file system",
    "bb_owner" / Int32ub * "number of the allocation group",
    "bb_crc" / Int32ul * "CRC-32C of the block, with zeros in this field",
)

AllocRec = "xfs_alloc_rec" / Struct(
    "ar_startblock" / Int32ub * "first free block, in the group",
    "ar_blockcount" / Int32ub * "how many",
)

AllocPtr = Int32ub
"""A child of a tree of free blocks, in the group; a key takes as much room as a record."""
