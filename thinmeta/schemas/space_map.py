"""Space maps: which blocks are in use, and how often.

On-disk truth: `struct disk_metadata_index`, `struct disk_index_entry` and
`struct disk_bitmap_header`, drivers/md/persistent-data/dm-space-map-common.h
(Linux v6.6). The data space map keeps its index entries in a B-tree, the metadata
space map in one index block.
"""

from construct import (
    Array,
    BitsInteger,
    BitsSwapped,
    Bitwise,
    Int32ul,
    Int64ul,
    Padding,
    Struct,
)

BITMAP_CSUM_XOR = 240779
INDEX_CSUM_XOR = 160478
MAX_METADATA_BITMAPS = 255
ENTRIES_PER_BLOCK = 4 * (4096 - 16)
"""Counts of 2 bits that one bitmap block holds: 16320."""

OVERFLOW_COUNT = 3
"""A 2-bit count of 3 means 3 or more: the ref count tree has it."""

IndexEntry = "disk_index_entry" / Struct(
    "blocknr" / Int64ul * "metadata block of the bitmap",
    "nr_free" / Int32ul * "free blocks that the bitmap counts, past the device's end too",
    "none_free_before" / Int32ul * "entries of the bitmap below this one are in use",
)

MetadataIndex = "disk_metadata_index" / Struct(
    "csum" / Int32ul * "CRC-32C of the rest of the block, xor 160478",
    Padding(4),
    "blocknr" / Int64ul * "metadata block that this index was written to",
    "index" / Array(MAX_METADATA_BITMAPS, IndexEntry) * "one entry a bitmap; unused ones are zeros",
)

BitmapHeader = "disk_bitmap_header" / Struct(
    "csum" / Int32ul * "CRC-32C of the rest of the block, xor 240779",
    "not_used" / Int32ul * "zeros",
    "blocknr" / Int64ul * "metadata block that this bitmap was written to",
)

BitmapCounts = "counts" / BitsSwapped(Bitwise(Array(ENTRIES_PER_BLOCK, BitsInteger(2))))
"""The 4080 bytes after a bitmap's header; of a count's two bits the high one comes first."""

RefCount = "ref_count" / Int32ul * "value of the ref count tree"
