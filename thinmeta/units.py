"""Kinds of numbers, so that mypy keeps one kind of block out of the other's place."""

from typing import NewType

MetadataBlock = NewType("MetadataBlock", int)
"""A 4 KiB block of the metadata device (`blocknr` on disk)."""

DataBlock = NewType("DataBlock", int)
"""A block of the pool's data device; its size is the superblock's `data_block_size`."""

OriginBlock = NewType("OriginBlock", int)
"""A block of a thin device, as large as a data block."""

DeviceId = NewType("DeviceId", int)
"""The 24-bit number by which the pool knows a thin device (`dev_id`)."""

SECTOR_BYTES = 512
METADATA_BLOCK_BYTES = 4096

MAX_METADATA_BLOCKS = 255 * 16320
"""What one metadata index block can hold: 15.9 GiB. Source: dm-space-map-metadata.h."""

LAST_KEY = 2**64 - 1
"""The highest key a B-tree can hold."""
