"""What tells a file system, and whether its journal is clean; not a part of thin-pool metadata.

On-disk truth: `struct ext4_super_block`, fs/ext4/ext4.h, and `struct xlog_rec_header` and
`struct xlog_op_header`, fs/xfs/libxfs/xfs_log_format.h (Linux v6.6). ext4 is little
endian, XFS big endian. Field names are the kernel's.
"""

from construct import (
    Bytes,
    Int8ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Int64ub,
    Padding,
    Struct,
)

EXT4_SUPERBLOCK_OFFSET = 1024
EXT4_SUPER_MAGIC = 0xEF53
EXT4_FEATURE_INCOMPAT_RECOVER = 0x4

XLOG_HEADER_MAGIC_NUM = 0xFEEDBABE
XLOG_UNMOUNT_TRANS = 0x20
XLOG_BASIC_BLOCK_BYTES = 512
XLOG_HEADER_CYCLE_BYTES = 32768
XLOG_VERSION_2 = 2
XFS_MAX_LOG_BYTES = 2**31

Ext4Superblock = "ext4_super_block" / Struct(
    Padding(56),
    "s_magic" / Int16ul * "0xEF53",
    Padding(38),
    "s_feature_incompat" / Int32ul * "bit 2: the journal must be replayed",
    Padding(4),
    "s_uuid" / Bytes(16) * "of the file system",
)

XfsLogRecord = "xlog_rec_header" / Struct(
    "h_magicno" / Int32ub * "0xFEEDBABE, at the beginning of a basic block of 512 bytes",
    "h_cycle" / Int32ub * "how often the log was written round",
    "h_version" / Int32ub * "bit 1: the header may take more than one basic block",
    "h_len" / Int32ub * "bytes after the header",
    "h_lsn" / Int64ub * "cycle and basic block of this record",
    Padding(16),
    "h_num_logops" / Int32ub * "operations in it",
    Padding(276),
    "h_size" / Int32ub * "the header takes a basic block for each 32 KiB of it",
)

XfsLogOperation = "xlog_op_header" / Struct(
    Padding(9),
    "oh_flags" / Int8ub * "bit 5: it is the record of an unmount",
)
