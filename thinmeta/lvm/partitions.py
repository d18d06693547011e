"""Where the partitions of a disk begin: MBR, its logical partitions, and GPT."""

import zlib
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.partition_table import (
    EFI_PMBR_OSTYPE,
    EXTENDED_TYPES,
    GPT_HEADER_SIGNATURE,
    LOGICAL_BLOCKS,
    MSDOS_LABEL_MAGIC,
    BootRecord,
    GptEntry,
    GptHeader,
)
from thinmeta.units import SECTOR_BYTES

_MOST_PARTITIONS = 1024
_MOST_TABLE_BYTES = 1 << 20


class Partition(NamedTuple):
    """A partition.

    Attributes:
        number: as the kernel counts: logical ones of a MBR from 5 on.
        offset: where it begins, in bytes.
        length: in bytes.
        type: what it is for: a byte in hexadecimal of a MBR, else a UUID.
    """

    number: int
    offset: int
    length: int
    type: str


class Partitioned(Protocol):
    """What may have a partition table: a disk, an image of one, a volume."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, fewer only at the end; zeros for what cannot be read."""
        ...


def partitions(disk: Partitioned) -> list[Partition]:
    """Return the partitions of `disk` that begin on it, in the order of its table.

    Of a GPT the second copy is taken where the first is damaged. A disk without a
    partition table has none.
    """
    gpt = _gpt(disk)
    found = gpt if gpt is not None else _mbr(disk)
    return [partition for partition in found if 0 < partition.offset < disk.size]


def _mbr(disk: Partitioned) -> list[Partition]:
    records = _records(disk, 0)
    if any(record.sys_ind == EFI_PMBR_OSTYPE for record in records):
        return []
    found = []
    for number, record in enumerate(records, 1):
        if record.sys_ind in EXTENDED_TYPES:
            found += _logical(disk, record.start_sect)
        elif record.sys_ind:
            found.append(_of_record(number, record, record.start_sect))
    return found


def _logical(disk: Partitioned, extended: int) -> list[Partition]:
    """Follow the chain of boot records in the extended partition at sector `extended`."""
    found: list[Partition] = []
    seen: set[int] = set()
    here: int | None = extended
    while here is not None and here not in seen and len(seen) < _MOST_PARTITIONS:
        seen.add(here)
        following = None
        for record in _records(disk, here):
            if record.sys_ind in EXTENDED_TYPES:
                following = extended + record.start_sect
            elif record.sys_ind:
                found.append(_of_record(5 + len(found), record, here + record.start_sect))
        here = following
    return found


def _of_record(number: int, record: Any, sector: int) -> Partition:
    length = record.nr_sects * SECTOR_BYTES
    return Partition(number, sector * SECTOR_BYTES, length, f"{record.sys_ind:02x}")


def _records(disk: Partitioned, sector: int) -> list[Any]:
    block = disk.read(sector * SECTOR_BYTES, SECTOR_BYTES)
    if len(block) < SECTOR_BYTES:
        return []
    table = parsed(BootRecord, block)
    return list(table.partition_record) if table.signature == MSDOS_LABEL_MAGIC else []


def _gpt(disk: Partitioned) -> list[Partition] | None:
    """Return the partitions of the first sound table; None if there is none."""
    for block in LOGICAL_BLOCKS:
        for at in (block, disk.size // block * block - block):
            if (found := _gpt_at(disk, at, block)) is not None:
                return found
    return None


def _gpt_at(disk: Partitioned, at: int, block: int) -> list[Partition] | None:
    beginning = disk.read(at, SECTOR_BYTES) if at > 0 else b""
    if len(beginning) < SECTOR_BYTES or not beginning.startswith(GPT_HEADER_SIGNATURE):
        return None
    header = parsed(GptHeader, beginning)
    size, entry_size = header.header_size, header.sizeof_partition_entry
    table_bytes = header.num_partition_entries * entry_size
    if not GptHeader.sizeof() <= size <= SECTOR_BYTES or table_bytes > _MOST_TABLE_BYTES:
        return None
    crc_at, crc = field_of(GptHeader, "header_crc32")
    crc_end = crc_at + crc.sizeof()
    without_crc = beginning[:crc_at] + bytes(crc.sizeof()) + beginning[crc_end:size]
    table = disk.read(header.partition_entry_lba * block, table_bytes)
    if (
        entry_size < GptEntry.sizeof()
        or zlib.crc32(without_crc) != header.header_crc32
        or zlib.crc32(table) != header.partition_entry_array_crc32
        or len(table) < table_bytes
    ):
        return None
    entries = (
        parsed(GptEntry, table[begin : begin + entry_size])
        for begin in range(0, table_bytes, entry_size)
    )
    return [
        Partition(
            number,
            entry.starting_lba * block,
            max(0, entry.ending_lba + 1 - entry.starting_lba) * block,
            str(UUID(bytes_le=entry.partition_type_guid)),
        )
        for number, entry in enumerate(entries, 1)
        if any(entry.partition_type_guid)
    ]
