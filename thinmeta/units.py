"""Kinds of numbers, so that mypy keeps one kind of block out of the other's place."""

import re
from collections.abc import Callable
from typing import NamedTuple, NewType, Self

MetadataBlock = NewType("MetadataBlock", int)
"""A 4 KiB block of the metadata device (`blocknr` on disk)."""

DataBlock = NewType("DataBlock", int)
"""A block of the pool's data device; its size is the superblock's `data_block_size`."""

OriginBlock = NewType("OriginBlock", int)
"""A block of a thin device, as large as a data block."""

DeviceId = NewType("DeviceId", int)
"""The 24-bit number by which the pool knows a thin device (`dev_id`)."""

MAX_DEVICE_ID = 2**24 - 1
"""The highest that the kernel makes or activates a device of. Source: `MAX_DEV_ID`, dm-thin.c."""

OnProgress = Callable[[int, int], None]
"""Told how much more is done since it was told last, and how much there is in all."""

SECTOR_BYTES = 512
METADATA_BLOCK_BYTES = 4096

MAX_METADATA_BLOCKS = 255 * 16320
"""What one metadata index block can hold: 15.9 GiB. Source: dm-space-map-metadata.h."""

LARGEST_DEVICE_BLOCKS = 1 << 22
"""The largest metadata device that the kernel takes without a word, 16 GiB: it does not use all.
Source: `THIN_METADATA_MAX_SECTORS_WARNING`, dm-thin-metadata.h."""

DATA_BLOCK_SECTORS = range(128, 2097152 + 1, 128)
"""The sizes that a pool's data blocks can have. Source: `pool_ctr()`, drivers/md/dm-thin.c."""

LAST_KEY = 2**64 - 1
"""The highest key a B-tree can hold."""


def impossible_block_size(sectors: int) -> str:
    """Say why no pool has data blocks of this size, which is not in `DATA_BLOCK_SECTORS`."""
    return f"a data block of {sectors} sectors cannot be: it is a multiple of 128 up to 2097152"


_UNITS = {"b": 1, "s": SECTOR_BYTES, **{p: 1024**n for n, p in enumerate("kmgtpe", 1)}}
_QUANTITY = r"(?ai)(\d+)(?:([sb])|([kmgtpe])(?:i?b)?)?"  # compiled when one is typed


class Quantity(NamedTuple):
    """A number that somebody typed: of blocks, or of bytes where it had a unit."""

    number: int
    is_bytes: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a number with or without a unit; all prefixes are powers of 1024.

        >>> Quantity.parse("12"), Quantity.parse("8s"), Quantity.parse("3KiB")
        (Quantity(number=12, is_bytes=False), Quantity(number=4096, is_bytes=True), \
Quantity(number=3072, is_bytes=True))

        Raises:
            ValueError: it is no such number.
        """
        match = re.fullmatch(_QUANTITY, text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not a number of blocks, nor one with a unit: s (sectors of 512 "
                "bytes), b (bytes), K, M, G, T, P, E (each 1024 times the one before)"
            )
        unit = match[2] or match[3]
        return cls(int(match[1]) * (_UNITS[unit.lower()] if unit else 1), is_bytes=unit is not None)

    def in_bytes(self, block_bytes: int) -> int:
        """Return it in bytes, where a block has `block_bytes`."""
        return self.number if self.is_bytes else self.number * block_bytes
