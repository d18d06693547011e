"""Directories of ext2, ext3 and ext4.

On-disk truth: fs/ext4/ext4.h and fs/ext4/namei.c (Linux v6.6). All is little endian. Field
names are the kernel's.
"""

from construct import Int8ul, Int16ul, Int32ul, Padding, Struct

EXT4_FT_DIR_CSUM = 0xDE
EXT4_MAX_REC_LEN = 0xFFFF
DX_INFO_LENGTH = 8

Ext4DirEntry = "ext4_dir_entry_2" / Struct(
    "inode" / Int32ul * "0: no entry",
    "rec_len" / Int16ul * "bytes to the next one",
    "name_len" / Int8ul * "bytes of the name, which follows",
    "file_type" / Int8ul * "with filetype; without it 0",
)

Ext4DirEntryTail = "ext4_dir_entry_tail" / Struct(
    "det_reserved_zero1" / Int32ul * "0: no entry",
    "det_rec_len" / Int16ul * "12",
    "det_reserved_zero2" / Int8ul * "0",
    "det_reserved_ft" / Int8ul * "0xDE",
    "det_checksum" / Int32ul * "CRC-32C of the block up to here",
)

Ext4DxRootInfo = "dx_root_info" / Struct(
    "reserved_zero" / Int32ul * "0",
    "hash_version" / Int8ul * "how names are hashed",
    "info_length" / Int8ul * "8",
    "indirect_levels" / Int8ul * "levels between this one and the entries",
    "unused_flags" / Int8ul * "0",
)

Ext4DxCountLimit = "dx_countlimit" / Struct(
    "limit" / Int16ul * "room for so many index entries of 8 bytes, of which this is the first",
    "count" / Int16ul * "in use",
    Padding(4),
)

Ext4DxTail = "dx_tail" / Struct(
    "dt_reserved" / Int32ul * "not used",
    "dt_checksum" / Int32ul * "CRC-32C of the block up to the last index entry, and of this",
)
