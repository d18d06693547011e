"""Fields stand where the kernel's documentation has them: Documentation/filesystems/ext4."""

import pytest
from construct import Construct

from thinmeta.schemas.columns import field_of
from thinmeta.schemas.ext4 import (
    Ext4Extent,
    Ext4ExtentHeader,
    Ext4ExtentIndex,
    Ext4GroupDescriptor64,
    Ext4LargeInode,
    Ext4Superblock,
)
from thinmeta.schemas.ext4_attributes import Ext4XattrEntry, Ext4XattrHeader
from thinmeta.schemas.ext4_directory import Ext4DirEntry, Ext4DirEntryTail, Ext4DxRootInfo

OFFSETS: list[tuple[Construct, dict[str, int]]] = [
    (
        Ext4Superblock,
        {
            "s_inodes_count": 0x0,
            "s_blocks_count_lo": 0x4,
            "s_first_data_block": 0x14,
            "s_log_block_size": 0x18,
            "s_log_cluster_size": 0x1C,
            "s_blocks_per_group": 0x20,
            "s_clusters_per_group": 0x24,
            "s_inodes_per_group": 0x28,
            "s_magic": 0x38,
            "s_creator_os": 0x48,
            "s_rev_level": 0x4C,
            "s_first_ino": 0x54,
            "s_inode_size": 0x58,
            "s_feature_compat": 0x5C,
            "s_feature_incompat": 0x60,
            "s_feature_ro_compat": 0x64,
            "s_uuid": 0x68,
            "s_volume_name": 0x78,
            "s_reserved_gdt_blocks": 0xCE,
            "s_journal_uuid": 0xD0,
            "s_journal_inum": 0xE0,
            "s_journal_dev": 0xE4,
            "s_desc_size": 0xFE,
            "s_first_meta_bg": 0x104,
            "s_blocks_count_hi": 0x150,
            "s_checksum_type": 0x175,
            "s_backup_bgs": 0x24C,
            "s_checksum_seed": 0x270,
            "s_checksum": 0x3FC,
        },
    ),
    (
        Ext4GroupDescriptor64,
        {
            "bg_block_bitmap_lo": 0x0,
            "bg_inode_bitmap_lo": 0x4,
            "bg_inode_table_lo": 0x8,
            "bg_flags": 0x12,
            "bg_block_bitmap_csum_lo": 0x18,
            "bg_checksum": 0x1E,
            "bg_block_bitmap_hi": 0x20,
            "bg_inode_bitmap_hi": 0x24,
            "bg_inode_table_hi": 0x28,
            "bg_block_bitmap_csum_hi": 0x38,
        },
    ),
    (
        Ext4LargeInode,
        {
            "i_mode": 0x0,
            "i_uid": 0x2,
            "i_size_lo": 0x4,
            "i_atime": 0x8,
            "i_ctime": 0xC,
            "i_mtime": 0x10,
            "i_gid": 0x18,
            "i_links_count": 0x1A,
            "i_blocks_lo": 0x1C,
            "i_flags": 0x20,
            "i_block": 0x28,
            "i_generation": 0x64,
            "i_file_acl_lo": 0x68,
            "i_size_high": 0x6C,
            "i_blocks_high": 0x74,
            "i_file_acl_high": 0x76,
            "i_uid_high": 0x78,
            "i_gid_high": 0x7A,
            "i_checksum_lo": 0x7C,
            "i_extra_isize": 0x80,
            "i_checksum_hi": 0x82,
            "i_ctime_extra": 0x84,
            "i_mtime_extra": 0x88,
            "i_atime_extra": 0x8C,
        },
    ),
    (Ext4ExtentHeader, {"eh_magic": 0, "eh_entries": 2, "eh_max": 4, "eh_depth": 6}),
    (Ext4ExtentIndex, {"ei_block": 0, "ei_leaf_lo": 4, "ei_leaf_hi": 8}),
    (Ext4Extent, {"ee_block": 0, "ee_len": 4, "ee_start_hi": 6, "ee_start_lo": 8}),
    (Ext4DirEntry, {"inode": 0, "rec_len": 4, "name_len": 6, "file_type": 7}),
    (
        Ext4DirEntryTail,
        {
            "det_reserved_zero1": 0,
            "det_rec_len": 4,
            "det_reserved_zero2": 6,
            "det_reserved_ft": 7,
            "det_checksum": 8,
        },
    ),
    (
        Ext4DxRootInfo,
        {
            "reserved_zero": 0,
            "hash_version": 4,
            "info_length": 5,
            "indirect_levels": 6,
            "unused_flags": 7,
        },
    ),
    (Ext4XattrHeader, {"h_magic": 0, "h_blocks": 8, "h_checksum": 0x10}),
    (
        Ext4XattrEntry,
        {
            "e_name_len": 0,
            "e_name_index": 1,
            "e_value_offs": 2,
            "e_value_inum": 4,
            "e_value_size": 8,
        },
    ),
]


@pytest.mark.parametrize(("schema", "offsets"), OFFSETS)
def test_every_field_is_where_the_kernel_has_it(schema: Construct, offsets: dict[str, int]) -> None:
    names = [field.name for field in schema.subcon.subcons if field.name]

    assert {name: field_of(schema, name)[0] for name in names} == offsets
