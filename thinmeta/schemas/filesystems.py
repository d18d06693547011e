"""What tells whether the log of XFS is clean.

On-disk truth: `struct xlog_rec_header` and `struct xlog_op_header`,
fs/xfs/libxfs/xfs_log_format.h (Linux v6.6). XFS is big endian. Field names are the kernel's.
"""

from construct import (
    Int8ub,
    Int32ub,
    Int64ub,
    Padding,
    Struct,
)

XLOG_HEADER_MAGIC_NUM = 0xFEEDBABE
XLOG_UNMOUNT_TRANS = 0x20
XLOG_BASIC_BLOCK_BYTES = 512
XLOG_HEADER_CYCLE_BYTES = 32768
XLOG_VERSION_2 = 2
XFS_MAX_LOG_BYTES = 2**31

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
