"""Where on a whole disk metadata begins, at whatever sector: its blocks say which they are.

Every block of metadata has its own number in it, and a checksum. So each tells where the first
one is, and those of one pool agree on it. Nothing else of the disk is asked.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.sweep import sweep
from thinmeta.schemas.checksum import Rows, known_salts
from thinmeta.schemas.columns import NODE_HEADER
from thinmeta.schemas.decode import parse_superblock
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, THIN_SUPERBLOCK_MAGIC
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES, SECTOR_BYTES, OnProgress

_ENOUGH = 3
"""Blocks that must agree on where the metadata begins, where the first is no superblock."""

_MOST_PLACES = 1 << 16
"""Beginnings that are kept in mind; where there are more, those that one block alone tells go."""

_SECTORS = METADATA_BLOCK_BYTES // SECTOR_BYTES
_LAST_FLAGS = 2
"""After the checksum stand a node's flags, those of a superblock, or a word of zeros."""


class MetadataPlace(NamedTuple):
    """Metadata on a disk, or a part of it.

    Attributes:
        begin: where its first block is, or would be, in bytes; negative where that is before
            the disk begins.
        nr_blocks: how many sound blocks there are.
        lowest: the lowest of their numbers.
        highest: the highest.
        transaction_id: of its superblock; None if that is not sound.
        data_block_sectors: likewise.
    """

    begin: int
    nr_blocks: int
    lowest: int
    highest: int
    transaction_id: int | None = None
    data_block_sectors: int | None = None


class DiskSearch(NamedTuple):
    """What was found on a disk.

    Attributes:
        places: where metadata begins, by byte.
        nr_unreadable: blocks of 4 KiB that cannot be read.
    """

    places: list[MetadataPlace]
    nr_unreadable: int


def metadata_places(device: BlockDevice, on_progress: OnProgress) -> DiskSearch:
    """Return where metadata begins; all of the device is read, but for holes.

    Memory is that of a few MiB, and a few words for each of at most 65,536 beginnings.

    Args:
        device: a disk or an image of one.
        on_progress: told of blocks that are done with.

    Example:
        >>> import lzma, io
        >>> from thinmeta.device.file_blocks import open_file_blocks
        >>> image = lzma.open("fixtures/a09-discards-and-deletes/meta.bin.xz").read()
        >>> disk = io.BytesIO(bytes(1536) + image + bytes(4096))
        >>> with_any = open_file_blocks(disk, name="disk", inspect=lambda _: None)
        >>> [place.begin for place in metadata_places(with_any, lambda *_: None).places]
        [1536]
    """
    places: dict[int, MetadataPlace] = {}
    nr_unreadable = 0
    for start, content, nr_faults in _pieces(device, on_progress):
        nr_unreadable += nr_faults
        for begin, number, row in _sound(start, content):
            known = places.get(begin) or MetadataPlace(begin, 0, number, number)
            known = known._replace(
                nr_blocks=known.nr_blocks + 1,
                lowest=min(known.lowest, number),
                highest=max(known.highest, number),
            )
            if number == 0 and (fields := parse_superblock(row)).magic == THIN_SUPERBLOCK_MAGIC:
                known = known._replace(
                    transaction_id=fields.trans_id, data_block_sectors=fields.data_block_size
                )
            places[begin] = known
        if len(places) > _MOST_PLACES:
            places = {begin: each for begin, each in places.items() if each.nr_blocks > 1}
    found = [
        each
        for _, each in sorted(places.items())
        if each.nr_blocks >= _ENOUGH or each.transaction_id is not None
    ]
    return DiskSearch(found, nr_unreadable)


def _pieces(
    device: BlockDevice, on_progress: OnProgress
) -> Iterator[tuple[int, npt.NDArray[np.uint8], int]]:
    """Yield parts that overlap by a block but for one sector: where, what, how many faults."""
    before, end = np.zeros(0, dtype=np.uint8), -1
    for blocks, batch in sweep(device, device.nr_blocks, on_progress, ahead=True, only_stored=True):
        begin = int(blocks[0])
        if begin != end and len(before):  # a block may end in a hole
            yield end * METADATA_BLOCK_BYTES - len(before), np.pad(before, (0, len(before))), 0
        before = before if begin == end else before[:0]
        content = np.concatenate((before, batch.rows.reshape(-1)))
        faults = int(np.count_nonzero(batch.faults))
        yield begin * METADATA_BLOCK_BYTES - len(before), content, faults
        before, end = content[SECTOR_BYTES - METADATA_BLOCK_BYTES :], int(blocks[-1]) + 1


def _sound(
    start: int, content: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, int, npt.NDArray[np.uint8]]]:
    """Yield each block whose checksum is right: where its metadata begins, its number, itself."""
    sectors = content.reshape(-1, SECTOR_BYTES)
    headers = sectors[:, : NODE_HEADER.itemsize].copy().view(NODE_HEADER)[:, 0]
    may_be = headers["blocknr"] < MAX_METADATA_BLOCKS
    may_be &= (headers["flags"] <= _LAST_FLAGS) & (headers["csum"] != 0)
    may_be[len(sectors) - _SECTORS + 1 :] = False  # which the next piece has whole
    for part in _parts(np.flatnonzero(may_be)):
        rows: Rows = sectors[part[:, np.newaxis] + np.arange(_SECTORS)].reshape(len(part), -1)
        salts = known_salts(rows)
        for place in np.flatnonzero(salts).tolist():
            sector = int(part[place])
            number = int(headers["blocknr"][sector])
            if number == 0 and salts[place] != SUPERBLOCK_CSUM_XOR:
                continue
            begin = start + sector * SECTOR_BYTES - number * METADATA_BLOCK_BYTES
            yield begin, number, rows[place]


def _parts(sectors: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """Cut sectors so that the blocks that begin there take little memory."""
    for begin in range(0, len(sectors), 1024):
        yield sectors[begin : begin + 1024]
