"""The journal of ext3 and ext4.

On-disk truth: include/linux/jbd2.h and fs/jbd2/recovery.c, and for fast commits
fs/ext4/fast_commit.h (Linux v6.6). All is big endian but fast commits, which are little
endian. Field names are the kernel's.
"""

from construct import (
    Array,
    Bytes,
    Int8ub,
    Int16ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Int64ub,
    Padding,
    Struct,
)

JBD2_MAGIC_NUMBER = 0xC03B3998

JBD2_DESCRIPTOR_BLOCK = 1
JBD2_COMMIT_BLOCK = 2
JBD2_SUPERBLOCK_V1 = 3
JBD2_SUPERBLOCK_V2 = 4
JBD2_REVOKE_BLOCK = 5

JBD2_FEATURE_COMPAT_CHECKSUM = 0x1
JBD2_FEATURE_INCOMPAT_REVOKE = 0x1
JBD2_FEATURE_INCOMPAT_64BIT = 0x2
JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT = 0x4
JBD2_FEATURE_INCOMPAT_CSUM_V2 = 0x8
JBD2_FEATURE_INCOMPAT_CSUM_V3 = 0x10
JBD2_FEATURE_INCOMPAT_FAST_COMMIT = 0x20
JBD2_KNOWN_INCOMPAT = 0x3F

JBD2_FLAG_ESCAPE = 1
JBD2_FLAG_SAME_UUID = 2
JBD2_FLAG_LAST_TAG = 8

JBD2_CRC32_CHKSUM = 1
JBD2_CRC32_CHKSUM_SIZE = 4
JBD2_CRC32C_CHKSUM = 4

JBD2_SUPERBLOCK_BYTES = 1024
JBD2_UUID_BYTES = 16
JBD2_DEFAULT_FAST_COMMIT_BLOCKS = 256
JBD2_MIN_JOURNAL_BLOCKS = 1024

EXT4_FC_TAG_HEAD = 9

_HEADER = (
    "h_magic" / Int32ub * "0xC03B3998",
    "h_blocktype" / Int32ub * "1: descriptor, 2: commit, 3 and 4: superblock, 5: revocations",
    "h_sequence" / Int32ub * "number of the transaction",
)

Jbd2Header = "journal_header" / Struct(*_HEADER)

Jbd2Superblock = "journal_superblock" / Struct(
    *_HEADER,
    "s_blocksize" / Int32ub * "in bytes",
    "s_maxlen" / Int32ub * "blocks of the journal",
    "s_first" / Int32ub * "its first block that is not the superblock",
    "s_sequence" / Int32ub * "number of the first transaction",
    "s_start" / Int32ub * "block that it begins at; 0: there is nothing to replay",
    "s_errno" / Int32ub * "error that ended the journal",
    "s_feature_compat" / Int32ub * "bit 0: a commit has a CRC-32 of its transaction",
    "s_feature_incompat" / Int32ub * "bits 3 and 4: every block has a CRC-32C",
    "s_feature_ro_compat" / Int32ub * "0",
    "s_uuid" / Bytes(16) * "of the journal, with which checksums begin",
    Padding(16),
    "s_checksum_type" / Int8ub * "4: CRC-32C",
    Padding(3),
    "s_num_fc_blks" / Int32ub * "blocks at its end for fast commits; 0: 256",
    Padding(164),
    "s_checksum" / Int32ub * "CRC-32C of the superblock, with this field 0",
)

Jbd2Tag = "journal_block_tag" / Struct(
    "t_blocknr" / Int32ub * "block of the file system whose content follows",
    "t_checksum" / Int16ub * "bits 0..15 of a CRC-32C of the transaction's number and the block",
    "t_flags" / Int16ub * "1: its magic was cleared, 2: no UUID follows, 8: it is the last",
)

Jbd2Tag64 = "journal_block_tag" / Struct(
    *Jbd2Tag.subcon.subcons,
    "t_blocknr_high" / Int32ub * "bits 32 on of the block",
)

Jbd2Tag3 = "journal_block_tag3" / Struct(
    "t_blocknr" / Int32ub * "block of the file system whose content follows",
    "t_flags" / Int32ub * "1: its magic was cleared, 2: no UUID follows, 8: it is the last",
    "t_blocknr_high" / Int32ub * "bits 32 on of the block, with 64bit",
    "t_checksum" / Int32ub * "CRC-32C of the transaction's number and the block",
)

_V2_PADDING = Padding(2) * "tags with checksums of version 2 are further apart than they need be"

Jbd2TagV2 = "journal_block_tag" / Struct(*Jbd2Tag.subcon.subcons, _V2_PADDING)
Jbd2Tag64V2 = "journal_block_tag" / Struct(*Jbd2Tag64.subcon.subcons, _V2_PADDING)

Jbd2Tail = "jbd2_journal_block_tail" / Struct(
    "t_checksum" / Int32ub * "CRC-32C of a block of tags or revocations, with this field 0",
)

Jbd2RevokeHeader = "jbd2_journal_revoke_header" / Struct(
    *_HEADER,
    "r_count" / Int32ub * "bytes in use, with this header",
)

Jbd2Revoked = "block" / Int32ub * "block of the file system; what the journal had of it is void"
Jbd2Revoked64 = "block" / Int64ub * "the same, with 64bit"

Jbd2Commit = "commit_header" / Struct(
    *_HEADER,
    "h_chksum_type" / Int8ub * "1: CRC-32",
    "h_chksum_size" / Int8ub * "in bytes",
    Padding(2),
    "h_chksum" / Array(8, Int32ub) * "CRC-32 of the transaction, or CRC-32C of this block",
    "h_commit_sec" / Int64ub * "when it was written, in seconds since 1970",
)

Jbd2Magic = "h_magic" / Int32ub * "what an escaped block begins with"

Jbd2Sequence = "h_sequence" / Int32ub * "with which the checksum of a block begins"

Ext4FastCommitHead = "ext4_fc_head" / Struct(
    "fc_tag" / Int16ul * "9: a fast commit begins",
    "fc_len" / Int16ul * "8",
    "fc_features" / Int32ul * "0",
    "fc_tid" / Int32ul * "number of the transaction that it goes before",
)
