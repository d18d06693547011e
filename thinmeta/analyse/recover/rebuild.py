"""What is left of a pool, as the stream that new metadata is built from."""

from collections.abc import Iterator

from thinmeta.builder import parts
from thinmeta.model import listing
from thinmeta.model.pool import Pool
from thinmeta.units import SECTOR_BYTES


def header_of(pool: Pool) -> parts.Header:
    """Return what the new superblock says.

    Raises:
        InputError: the data block size is not known.
    """
    superblock = pool.superblock
    return parts.Header(
        superblock.time,
        superblock.transaction_id,
        pool.data_block_bytes() // SECTOR_BYTES,
        superblock.data_space_map.nr_blocks or None,
    )


def parts_of(listed: listing.Listing) -> Iterator[parts.Part]:
    """Return devices, and what they share, in the order of a dump."""
    for rows in listed.rows():
        yield parts.Part(rows.runs, [_mark(mark) for mark in rows.marks], rows.before)


def _mark(mark: listing.Mark) -> parts.Mark:
    match mark:
        case listing.DeviceBegin(device):
            return parts.DeviceBegin(
                device.device_id,
                device.mapped_blocks,
                device.transaction_id,
                device.creation_time,
                device.snap_time,
            )
        case listing.DeviceEnd():
            return parts.DeviceEnd()
        case listing.SharedBegin(name):
            return parts.SharedBegin(name)
        case listing.SharedEnd():
            return parts.SharedEnd()
        case listing.SharedRef(name):
            return parts.SharedRef(name)
