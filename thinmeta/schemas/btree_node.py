"""B-tree nodes, and the values that the thin target keeps in them.

On-disk truth: `struct node_header`, drivers/md/persistent-data/dm-btree-internal.h,
`struct disk_device_details` and `pack_block_time()`, drivers/md/dm-thin-metadata.c
(Linux v6.6). After the header stand `max_entries` keys of 8 bytes, then
`max_entries` values of `value_size` bytes, of each the first `nr_entries` in use.
"""

from construct import (
    BitsInteger,
    BitStruct,
    ByteSwapped,
    Int32ul,
    Int64ul,
    Padding,
    Struct,
)

BTREE_CSUM_XOR = 121107
INTERNAL_NODE = 1
LEAF_NODE = 2
MAX_SPINE_DEPTH = 64
"""More levels than any tree has. Source: drivers/md/persistent-data/dm-btree.c."""

NodeHeader = "node_header" / Struct(
    "csum" / Int32ul * "CRC-32C of the rest of the block, xor 121107",
    "flags" / Int32ul * "1: internal node, 2: leaf",
    "blocknr" / Int64ul * "metadata block that this node was written to",
    "nr_entries" / Int32ul * "keys in use",
    "max_entries" / Int32ul * "keys that the node has room for; a multiple of 3",
    "value_size" / Int32ul * "bytes of a value",
    Padding(4) * "keeps the 64-bit keys that follow aligned",
)

Key = "key" / Int64ul * "ascending; in an internal node the lowest key of the child"

Child = "child" / Int64ul * "metadata block of a child node, or of a device's mapping tree"

DeviceDetails = "disk_device_details" / Struct(
    "mapped_blocks" / Int64ul * "mappings that the device has",
    "transaction_id" / Int64ul * "the pool's transaction id when the device was created",
    "creation_time" / Int32ul * "the pool's clock when the device was created",
    "snapshotted_time" / Int32ul * "the pool's clock when it was last snapshotted, or created so",
)

BlockTime = "block_time" / ByteSwapped(
    BitStruct(
        "data_block" / BitsInteger(40) * "block of the data device",
        "time" / BitsInteger(24) * "the pool's clock when the block was mapped",
    )
)
