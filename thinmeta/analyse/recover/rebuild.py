"""What is left of a pool, as the stream that new metadata is built from."""

from collections.abc import Iterator

from thinmeta.builder import parts
from thinmeta.errors import InputError
from thinmeta.model import listing
from thinmeta.model.pool import Pool
from thinmeta.units import DATA_BLOCK_SECTORS, SECTOR_BYTES, impossible_block_size


def refuse_impossible_block_size(pool: Pool) -> None:
    """Refuse a data block size that no pool can have; where none is known, too.

    Raises:
        InputError: it is not known, or such a one.
    """
    sectors = pool.data_block_bytes() // SECTOR_BYTES
    if sectors not in DATA_BLOCK_SECTORS:
        raise InputError(
            f"{pool.source.device.name}: {impossible_block_size(sectors)}; "
            "--data-block-size gives another"
        )


def header_of(pool: Pool) -> parts.Header:
    """Return what the new superblock says.

    Raises:
        InputError: the data block size is not known, or none that a pool can have.
    """
    superblock = pool.superblock
    refuse_impossible_block_size(pool)
    return parts.Header(
        superblock.time,
        superblock.transaction_id,
        superblock.data_block_sectors,
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
