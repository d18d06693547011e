"""Parsing of what is single; the only place that calls construct's `parse` and `build`."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from construct import Construct, ConstructError

from thinmeta.errors import InputError
from thinmeta.schemas.checksum import salts_of
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, THIN_SUPERBLOCK_MAGIC, Superblock

Row = npt.NDArray[np.uint8]


def parsed(schema: Construct, data: bytes) -> Any:
    """Return the fields of the structure at the beginning of `data`.

    Raises:
        InputError: `data` is too short.
    """
    try:
        return schema.parse(data)
    except ConstructError as error:
        raise InputError(f"ends within its {schema.name}, after {len(data)} bytes") from error


def built(schema: Construct, **fields: Any) -> bytes:
    """Return a structure with these fields, as it stands on disk."""
    return bytes(schema.build(fields))


def parse_superblock(row: Row) -> Any:
    """Return the fields of the superblock in `row`, a block of 4096 bytes."""
    return parsed(Superblock, row.tobytes())


class CheckedSuperblock(NamedTuple):
    """A superblock's fields, and what is wrong with it; None if nothing is."""

    fields: Any
    fault: str | None


def checked_superblock(row: Row, blocknr: int) -> CheckedSuperblock:
    """Parse the superblock copy that stands at `blocknr`, and hold it against its checksum.

    Source: `sb_check()`, drivers/md/dm-thin-metadata.c.
    """
    fields = parse_superblock(row)
    fault = None
    if salts_of(row[np.newaxis])[0] != SUPERBLOCK_CSUM_XOR:
        fault = "the superblock's checksum is wrong"
    elif fields.magic != THIN_SUPERBLOCK_MAGIC:
        fault = f"the superblock's magic is {fields.magic}, not {THIN_SUPERBLOCK_MAGIC}"
    elif fields.blocknr != blocknr:
        fault = f"the superblock was written for block {fields.blocknr}"
    return CheckedSuperblock(fields, fault)


def unpack_counts(counts: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the 2-bit counts of bitmap blocks, as `BitmapCounts` parses them one by one.

    Args:
        counts: the bytes after the header, shape `(n, 4080)`.

    Returns:
        Shape `(n, 16320)`, values 0..3.
    """
    bits = np.unpackbits(counts, axis=1, bitorder="little").reshape(-1, ENTRIES_PER_BLOCK, 2)
    high, low = bits[..., 0], bits[..., 1]
    counts_of: npt.NDArray[np.uint8] = (high << np.uint8(1)) | low
    return counts_of


def pack_counts(counts: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return counts as bitmap blocks store them: the inverse of `unpack_counts`.

    Args:
        counts: values 0..3, shape `(n, 16320)`, C-contiguous.

    Returns:
        Shape `(n, 4080)`.
    """
    four = counts.view("<u4")  # the counts of a byte, each in a byte of its own
    # The product has them side by side in its highest byte, and nothing that carries into it.
    packed = (four * np.uint32(1 << 24 | 1 << 18 | 1 << 12 | 1 << 6) >> np.uint32(24)).astype(
        np.uint8
    )
    high_bits = np.uint8(0b01010101)  # which stand below the low ones
    return (packed & high_bits) << np.uint8(1) | (packed >> np.uint8(1)) & high_bits
