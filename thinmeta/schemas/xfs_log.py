"""The log of XFS: records, their operations, and what these change.

On-disk truth: fs/xfs/libxfs/xfs_log_format.h and fs/xfs/libxfs/xfs_log_recover.h
(Linux v6.6). Records and operations are big endian; what operations hold is as the machine
had it in memory, here little endian. Field names are the kernel's.
"""

from construct import (
    Array,
    Bytes,
    Construct,
    Int8ub,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ub,
    Int32ul,
    Int64sl,
    Int64ub,
    Int64ul,
    Padding,
    Struct,
)

XLOG_HEADER_MAGIC_NUM = 0xFEEDBABE
XLOG_BASIC_BLOCK_BYTES = 512
XLOG_HEADER_CYCLE_BYTES = 32768
XLOG_CYCLES_A_BLOCK = 64
XLOG_VERSION_2 = 2
XLOG_MAX_ICLOGS = 8
XLOG_MAX_RECORD_BYTES = 262144
XLOG_RECORD_BYTES = (328, 324)
"""Of a record's header, by which its checksum begins: on 64-bit machines, and on i386."""

XLOG_EXTENSION_BYTES = 260
XFS_MAX_LOG_BYTES = 2**31

XLOG_START_TRANS = 0x1
XLOG_COMMIT_TRANS = 0x2
XLOG_CONTINUE_TRANS = 0x4
XLOG_WAS_CONT_TRANS = 0x8
XLOG_UNMOUNT_TRANS = 0x20
XFS_TRANSACTION = 0x69
XFS_LOG = 0xAA

XFS_TRANS_HEADER_MAGIC = 0x5452414E
XFS_LI_FIRST = 0x1236
XFS_LI_INODE = 0x123B
XFS_LI_BUF = 0x123C
XFS_LI_LAST = 0x124F
XFS_INTENTS = (0x1244, 0x1246, 0x1248)
"""Of changes to extents of a file, to attributes, and exchanges of content; what says that one
is done has the next number."""

XFS_BLF_CHUNK = 128
XFS_BLF_INODE_BUF = 0x1
XFS_BLF_CANCEL = 0x2
XFS_BLF_DQUOT_BUFS = 0x4 | 0x8 | 0x10
XFS_BLF_DATAMAP_SIZE = 17

XFS_ILOG_CORE = 0x1
XFS_ILOG_DFORK = 0x2 | 0x4
"""The data, or its extents, as they stand in the inode."""

XFS_ILOG_DBROOT = 0x8
XFS_ILOG_DEV = 0x10
XFS_ILOG_AFORK = 0x40 | 0x80
XFS_ILOG_ABROOT = 0x100

XfsLogRecord = "xlog_rec_header" / Struct(
    "h_magicno" / Int32ub * "0xFEEDBABE, at the beginning of a basic block of 512 bytes",
    "h_cycle" / Int32ub * "how often the log was written round",
    "h_version" / Int32ub * "bit 1: the header may take more than one basic block",
    "h_len" / Int32ub * "bytes after the header",
    "h_lsn" / Int64ub * "cycle and basic block of this record",
    "h_tail_lsn" / Int64ub * "those of the first record that had to be replayed then",
    "h_crc" / Int32ul * "CRC-32C of the header, with zeros in this field, and what follows",
    Padding(4),
    "h_num_logops" / Int32ub * "operations in it",
    "h_cycle_data"
    / Bytes(4 * XLOG_CYCLES_A_BLOCK)
    * "of each block of 512 bytes that follows, what it began with",
    Padding(20),
    "h_size" / Int32ub * "the header takes a basic block for each 32 KiB of it",
)

XfsLogRecordExtension = "xlog_rec_ext_header" / Struct(
    "xh_cycle" / Int32ub * "how often the log was written round",
    "xh_cycle_data" / Bytes(4 * XLOG_CYCLES_A_BLOCK) * "the same of the next 32 KiB",
)

XfsLogWord = "cycle" / Int32ub * "what each basic block of a record begins with"

XfsLogOperation = "xlog_op_header" / Struct(
    "oh_tid" / Int32ub * "of a transaction",
    "oh_len" / Int32ub * "bytes that follow",
    "oh_clientid" / Int8ub * "0x69: a transaction, 0xAA: the log itself",
    "oh_flags" / Int8ub * "1: begins, 2: commits, 4: goes on later, 8: goes on, 32: unmount",
    Padding(2),
)

XfsTransHeader = "xfs_trans_header" / Struct(
    "th_magic" / Int32ul * "TRAN",
)

XfsLogItem = "xfs_log_item" / Struct(
    "type" / Int16ul * "what it changes",
    "size" / Int16ul * "regions that it has, with this one",
)
"""What the first region of everything that is logged begins with."""

XfsIntentLogFormat = "xfs_intent_log_format" / Struct(
    *XfsLogItem.subcon.subcons,
    Padding(4),
    "id" / Int64ul * "of what is begun here, or done",
)

XfsBufLogFormat = "xfs_buf_log_format" / Struct(
    *XfsLogItem.subcon.subcons,
    "blf_flags" / Int16ul * "1: of inodes, 2: what was logged of it before is void",
    "blf_len" / Int16ul * "of the buffer, in 512 bytes",
    "blf_blkno" / Int64sl * "where it is, in 512 bytes",
    "blf_map_size" / Int32ul * "words of the map",
    "blf_data_map" / Bytes(4 * XFS_BLF_DATAMAP_SIZE) * "a bit for each 128 bytes that follow",
)

XfsInodeLogFormat = "xfs_inode_log_format" / Struct(
    *XfsLogItem.subcon.subcons,
    "ilf_fields" / Int32ul * "what follows",
    Padding(8),
    "ilf_ino" / Int64ul * "the inode",
    "ilf_rdev" / Int32ul * "device numbers",
    Padding(12),
    "ilf_blkno" / Int64sl * "buffer that it is in, in 512 bytes",
    "ilf_len" / Int32sl * "of the buffer, in 512 bytes",
    "ilf_boffset" / Int32sl * "where in the buffer, in bytes",
)

XfsInodeLogFormat32 = "xfs_inode_log_format_32" / Struct(
    *XfsLogItem.subcon.subcons,
    "ilf_fields" / Int32ul * "what follows",
    Padding(4),
    "ilf_ino" / Int64ul * "the inode",
    "ilf_rdev" / Int32ul * "device numbers",
    Padding(12),
    "ilf_blkno" / Int64sl * "buffer that it is in, in 512 bytes",
    "ilf_len" / Int32sl * "of the buffer, in 512 bytes",
    "ilf_boffset" / Int32sl * "where in the buffer, in bytes",
)
"""What 32-bit machines write."""


def _dinode(*, has_big_times: bool, has_big_counts: bool) -> Construct:
    """Return an inode's layout in the log: that on disk, but for the order of bytes."""
    time = Int64ul if has_big_times else Array(2, Int32ul)
    big_counts = (
        ["di_big_nextents" / Int64ul]
        if has_big_counts
        else [
            "di_v2_pad" / Bytes(6),
            "di_flushiter" / Int16ul,
        ]
    )
    return "xfs_log_dinode" / Struct(
        "di_magic" / Int16ul,
        "di_mode" / Int16ul,
        "di_version" / Int8ul,
        "di_format" / Int8ul,
        "di_pad3" / Bytes(2),
        "di_uid" / Int32ul,
        "di_gid" / Int32ul,
        "di_nlink" / Int32ul,
        "di_projid_lo" / Int16ul,
        "di_projid_hi" / Int16ul,
        *big_counts,
        "di_atime" / time,
        "di_mtime" / time,
        "di_ctime" / time,
        "di_size" / Int64ul,
        "di_nblocks" / Int64ul,
        "di_extsize" / Int32ul,
        "di_nextents" / Int32ul,
        "di_anextents" / Int16ul,
        "di_forkoff" / Int8ul,
        "di_aformat" / Int8ul,
        "di_dmevmask" / Int32ul,
        "di_dmstate" / Int16ul,
        "di_flags" / Int16ul,
        "di_gen" / Int32ul,
        "di_next_unlinked" / Int32ul,
        "di_crc" / Bytes(4),
        "di_changecount" / Int64ul,
        "di_lsn" / Int64ul,
        "di_flags2" / Int64ul,
        "di_cowextsize" / Int32ul,
        "di_pad2" / Bytes(12),
        "di_crtime" / time,
        "di_ino" / Int64ul,
        "di_uuid" / Bytes(16),
    )


XFS_LOG_DINODES = {
    (has_big_times, has_big_counts): _dinode(
        has_big_times=has_big_times, has_big_counts=has_big_counts
    )
    for has_big_times in (False, True)
    for has_big_counts in (False, True)
}
"""By the flags BIGTIME and NREXT64 of the inode; those on disk say what fields mean."""
