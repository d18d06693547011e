"""The superblock, and the space-map roots inside it.

On-disk truth: `struct thin_disk_superblock`, drivers/md/dm-thin-metadata.c, and
`struct disk_sm_root`, drivers/md/persistent-data/dm-space-map-common.h (Linux v6.6).
Field names are the kernel's, so they can be grepped on both sides.
"""

from construct import Bytes, Int32ul, Int64ul, Padding, Struct

SUPERBLOCK_LOCATION = 0
THIN_SUPERBLOCK_MAGIC = 27022010
SUPERBLOCK_CSUM_XOR = 160774

MIN_THIN_VERSION = 1
MAX_THIN_VERSION = 2

NEEDS_CHECK_FLAG = 1 << 0

SpaceMapRoot = "disk_sm_root" / Struct(
    "nr_blocks" / Int64ul * "blocks that the space map counts",
    "nr_allocated" / Int64ul * "blocks with a ref count above 0",
    "bitmap_root" / Int64ul * "data: B-tree of index entries; metadata: the index block",
    "ref_count_root" / Int64ul * "B-tree of the ref counts of 3 and more",
    Padding(96),
)

Superblock = "thin_disk_superblock" / Struct(
    "csum" / Int32ul * "CRC-32C of the rest of the block, xor 160774",
    "flags" / Int32ul * "bit 0: needs_check",
    "blocknr" / Int64ul * "where this copy stands: 0, or the held root's block",
    "uuid" / Bytes(16) * "unused, zeros",
    "magic" / Int64ul * "27022010",
    "version" / Int32ul * "1 or 2",
    "time" / Int32ul * "the pool's clock: goes up by one with each snapshot",
    "trans_id" / Int64ul * "transaction id, kept for the user of the pool",
    "held_root" / Int64ul * "superblock copy of the metadata snapshot; 0: none is held",
    "data_space_map_root" / SpaceMapRoot * "zeros in a held superblock",
    "metadata_space_map_root" / SpaceMapRoot * "zeros in a held superblock",
    "data_mapping_root" / Int64ul * "B-tree from device id to the device's mapping tree",
    "device_details_root" / Int64ul * "B-tree from device id to device details",
    "data_block_size" / Int32ul * "in sectors of 512 bytes",
    "metadata_block_size" / Int32ul * "in sectors of 512 bytes: 8",
    "metadata_nr_blocks" / Int64ul * "as formatted: not updated when the device grows",
    "compat_flags" / Int32ul * "features that any reader or writer can do without",
    "compat_ro_flags" / Int32ul * "features that a reader can do without",
    "incompat_flags" / Int32ul * "features that nobody can do without",
)
