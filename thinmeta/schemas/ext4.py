"""ext2, ext3 and ext4: superblock, group descriptors, inodes, and where a file's blocks are.

On-disk truth: fs/ext4/ext4.h and fs/ext4/ext4_extents.h (Linux v6.6). All is little endian.
Field names are the kernel's.
"""

from construct import Array, Bytes, Int8ul, Int16ul, Int32sl, Int32ul, Padding, Struct

EXT4_SUPERBLOCK_OFFSET = 1024
EXT4_SUPER_MAGIC = 0xEF53

EXT4_FEATURE_COMPAT_HAS_JOURNAL = 0x4
EXT4_FEATURE_COMPAT_SPARSE_SUPER2 = 0x200

EXT4_FEATURE_INCOMPAT_FILETYPE = 0x2
EXT4_FEATURE_INCOMPAT_RECOVER = 0x4
EXT4_FEATURE_INCOMPAT_META_BG = 0x10
EXT4_FEATURE_INCOMPAT_64BIT = 0x80
EXT4_FEATURE_INCOMPAT_EA_INODE = 0x400
EXT4_FEATURE_INCOMPAT_CSUM_SEED = 0x2000
EXT4_FEATURE_INCOMPAT_LARGEDIR = 0x4000

EXT4_FEATURE_RO_COMPAT_SPARSE_SUPER = 0x1
EXT4_FEATURE_RO_COMPAT_GDT_CSUM = 0x10
EXT4_FEATURE_RO_COMPAT_METADATA_CSUM = 0x400

EXT2_INCOMPAT = 0x2 | 0x10
EXT2_RO_COMPAT = 0x1 | 0x2 | 0x4
"""Features that ext2 and ext3 have; the latter's journal may need a replay, too."""

INCOMPAT_FEATURES = {
    0x1: "compression",
    0x2: "filetype",
    0x4: "needs_recovery",
    0x8: "journal_dev",
    0x10: "meta_bg",
    0x40: "extent",
    0x80: "64bit",
    0x100: "mmp",
    0x200: "flex_bg",
    0x400: "ea_inode",
    0x1000: "dirdata",
    0x2000: "metadata_csum_seed",
    0x4000: "large_dir",
    0x8000: "inline_data",
    0x10000: "encrypt",
    0x20000: "casefold",
}
"""Features that a reader must know, by the names that mke2fs has for them."""

UNREAD_FEATURES = 0x1 | 0x8 | 0x1000
"""Those of them that are known, and not read here."""

EXT4_ROOT_INO = 2
EXT4_GOOD_OLD_REV = 0
EXT4_GOOD_OLD_INODE_SIZE = 128
EXT4_MIN_DESC_SIZE = 32
EXT4_MIN_DESC_SIZE_64BIT = 64
EXT4_MAX_BLOCK_LOG_SIZE = 16
EXT4_MIN_BLOCK_LOG_SIZE = 10
EXT4_MAX_CLUSTER_LOG_SIZE = 30
EXT4_CRC32C_CHKSUM = 1
EXT4_OS_LINUX = 0

EXT4_ENCRYPT_FL = 0x800
EXT4_INDEX_FL = 0x1000
EXT4_EXTENTS_FL = 0x80000
EXT4_EA_INODE_FL = 0x200000
EXT4_INLINE_DATA_FL = 0x10000000

EXT4_NDIR_BLOCKS = 12
EXT4_EPOCH_BITS = 2
EXT4_EPOCH_MASK = 3

EXT4_EXT_MAGIC = 0xF30A
EXT4_MAX_EXTENT_DEPTH = 5
EXT4_BG_BLOCK_UNINIT = 0x2
EXT_INIT_MAX_LEN = 0x8000
"""Of an extent in blocks; what is more was set aside for so much less, and never written."""

Ext4Superblock = "ext4_super_block" / Struct(
    "s_inodes_count" / Int32ul * "inodes, used or not",
    "s_blocks_count_lo" / Int32ul * "blocks",
    Padding(12),
    "s_first_data_block" / Int32ul * "1 where blocks have 1 KiB, else 0",
    "s_log_block_size" / Int32ul * "blocks have 1024 << this bytes",
    "s_log_cluster_size" / Int32ul * "clusters have 1024 << this bytes",
    "s_blocks_per_group" / Int32ul * "blocks of a group",
    "s_clusters_per_group" / Int32ul * "clusters of a group",
    "s_inodes_per_group" / Int32ul * "inodes of a group",
    Padding(12),
    "s_magic" / Int16ul * "0xEF53",
    Padding(14),
    "s_creator_os" / Int32ul * "0: Linux",
    "s_rev_level" / Int32ul * "0: no features, inodes of 128 bytes",
    Padding(4),
    "s_first_ino" / Int32ul * "first inode that is not reserved",
    "s_inode_size" / Int16ul * "in bytes",
    Padding(2),
    "s_feature_compat" / Int32ul * "features that any reader or writer can do without",
    "s_feature_incompat" / Int32ul * "those that nobody can; bit 2: the journal must be replayed",
    "s_feature_ro_compat" / Int32ul * "those that a reader can do without",
    "s_uuid" / Bytes(16) * "of the file system",
    "s_volume_name" / Bytes(16) * "its label, up to a zero",
    Padding(70),
    "s_reserved_gdt_blocks" / Int16ul * "blocks after the descriptors, for more of them",
    "s_journal_uuid" / Bytes(16) * "of the device that the journal is on",
    "s_journal_inum" / Int32ul * "inode of the journal; 0: it is on another device, or nowhere",
    "s_journal_dev" / Int32ul * "device number of that device",
    Padding(22),
    "s_desc_size" / Int16ul * "bytes of a group descriptor, with 64bit",
    Padding(4),
    "s_first_meta_bg" / Int32ul * "first block of descriptors that stands in its own groups",
    Padding(72),
    "s_blocks_count_hi" / Int32ul * "bits 32 on of the blocks, with 64bit",
    Padding(33),
    "s_checksum_type" / Int8ul * "1: CRC-32C",
    Padding(214),
    "s_backup_bgs" / Array(2, Int32ul) * "groups with a superblock, with sparse_super2",
    Padding(28),
    "s_checksum_seed" / Int32ul * "what checksums begin with, with metadata_csum_seed",
    Padding(392),
    "s_checksum" / Int32ul * "CRC-32C of all before it",
)

Ext4GroupDescriptor = "ext4_group_desc" / Struct(
    "bg_block_bitmap_lo" / Int32ul * "block with a bit for each block of the group",
    "bg_inode_bitmap_lo" / Int32ul * "block with a bit for each inode",
    "bg_inode_table_lo" / Int32ul * "first block of the inodes",
    Padding(6),
    "bg_flags" / Int16ul * "bit 1: the bits of the blocks were never written",
    Padding(4),
    "bg_block_bitmap_csum_lo" / Int16ul * "CRC-32C of the bits of the blocks",
    Padding(4),
    "bg_checksum" / Int16ul * "CRC-16, or half of a CRC-32C, of the group's number and the rest",
)

Ext4GroupDescriptor64 = "ext4_group_desc" / Struct(
    *Ext4GroupDescriptor.subcon.subcons,
    "bg_block_bitmap_hi" / Int32ul * "bits 32 on of the block of bits",
    "bg_inode_bitmap_hi" / Int32ul * "bits 32 on of the other one",
    "bg_inode_table_hi" / Int32ul * "bits 32 on of the first block of the inodes",
    Padding(12),
    "bg_block_bitmap_csum_hi" / Int16ul * "bits 16 on of the checksum",
    Padding(6),
)

Ext4Inode = "ext4_inode" / Struct(
    "i_mode" / Int16ul * "type and permissions",
    "i_uid" / Int16ul * "owner",
    "i_size_lo" / Int32ul * "in bytes",
    "i_atime" / Int32sl * "last access, in seconds since 1970",
    "i_ctime" / Int32sl * "last change of the inode",
    "i_mtime" / Int32sl * "last change of the content",
    Padding(4),
    "i_gid" / Int16ul * "group",
    "i_links_count" / Int16ul * "names that lead to it; 0: not in use",
    "i_blocks_lo" / Int32ul * "sectors of 512 bytes",
    "i_flags" / Int32ul * "how it is kept",
    Padding(4),
    "i_block" / Bytes(60) * "extents, block numbers, a short link, a device, or the content",
    "i_generation" / Int32ul * "of inodes of this number, a part of checksums",
    "i_file_acl_lo" / Int32ul * "block of attributes; 0: none",
    "i_size_high" / Int32ul * "bits 32 on of the size, but of a directory without large_dir",
    Padding(4),
    "i_blocks_high" / Int16ul * "bits 32 on of the sectors",
    "i_file_acl_high" / Int16ul * "bits 32 on of the block of attributes, with 64bit",
    "i_uid_high" / Int16ul * "bits 16 on of the owner",
    "i_gid_high" / Int16ul * "bits 16 on of the group",
    "i_checksum_lo" / Int16ul * "CRC-32C of number, generation and inode",
    Padding(2),
)

Ext4LargeInode = "ext4_inode" / Struct(
    *Ext4Inode.subcon.subcons,
    "i_extra_isize" / Int16ul * "bytes of the fields from this one on",
    "i_checksum_hi" / Int16ul * "bits 16 on of the checksum",
    "i_ctime_extra" / Int32ul * "bits 32 and 33 of the seconds, then nanoseconds",
    "i_mtime_extra" / Int32ul * "the same of the content",
    "i_atime_extra" / Int32ul * "the same of the access",
    Padding(16),
)

Ext4DeviceNumbers = "i_block" / Struct(
    "old" / Int32ul * "major and minor, 8 bits each; 0: the new form",
    "new" / Int32ul * "major in bits 8..19, minor in bits 0..7 and 20..31",
)

Ext4ChecksumSeed = "ext4_csum_seed" / Struct(
    "number" / Int32ul * "of the inode",
    "generation" / Int32ul * "of the inode",
)
"""What the checksums of an inode, and of what it leads to, begin with."""

Ext4GroupNumber = "group" / Int32ul * "with which the checksum of a descriptor begins"

Ext4BlockPointer = "block" / Int32ul * "of content, or of pointers; 0: a hole"

Ext4BlockPointers = "i_block" / Array(15, Ext4BlockPointer) * "12 direct ones, then one a level"

Ext4ExtentHeader = "ext4_extent_header" / Struct(
    "eh_magic" / Int16ul * "0xF30A",
    "eh_entries" / Int16ul * "in use",
    "eh_max" / Int16ul * "room for so many",
    "eh_depth" / Int16ul * "0: extents follow, else indexes",
    Padding(4),
)

Ext4ExtentIndex = "ext4_extent_idx" / Struct(
    "ei_block" / Int32ul * "first block of the file that is below it",
    "ei_leaf_lo" / Int32ul * "block of the node",
    "ei_leaf_hi" / Int16ul * "bits 32 on of it",
    Padding(2),
)

Ext4Extent = "ext4_extent" / Struct(
    "ee_block" / Int32ul * "first block of the file",
    "ee_len" / Int16ul * "blocks; 32768 more: not written yet",
    "ee_start_hi" / Int16ul * "bits 32 on of the place",
    "ee_start_lo" / Int32ul * "where it is",
)

Ext4ExtentRoot = "i_block" / Struct(
    "header" / Ext4ExtentHeader * "of what stands in the inode",
    "extents" / Array(4, Ext4Extent) * "or as many indexes",
)

Ext4ExtentTail = "ext4_extent_tail" / Struct(
    "et_checksum" / Int32ul * "CRC-32C of the block up to here",
)
