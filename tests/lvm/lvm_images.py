"""Physical volumes and partition tables made by hand, byte by byte, without the schemas."""

import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

SECTOR = 512
MIB = 1 << 20
LVM_CRC = 0xF597A6CF
AREA_OFFSET = 4096
AREA_SIZE = MIB - AREA_OFFSET
EXTENT_SECTORS = 8
"""4 KiB, so that volumes stay small."""

PE_START = 2048


def lvm_crc(data: bytes | bytearray) -> int:
    return zlib.crc32(data, LVM_CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def uuid_of(letter: str) -> str:
    return letter * 32


def dashed(text: str) -> str:
    parts = []
    for length in (6, 4, 4, 4, 4, 4, 6):
        parts.append(text[:length])
        text = text[length:]
    return "-".join(parts)


def label(pv: str, size: int, areas: Sequence[tuple[int, int]], number: int = 1) -> bytes:
    """Return the sector with the label."""
    lists = struct.pack("<4Q", PE_START * SECTOR, 0, 0, 0)
    lists += b"".join(struct.pack("<2Q", *area) for area in areas) + bytes(16)
    body = struct.pack("<I8s", 32, b"LVM2 001") + pv.encode() + struct.pack("<Q", size) + lists
    body = body.ljust(SECTOR - 20, b"\0")
    return b"LABELONE" + struct.pack("<QI", number, lvm_crc(body)) + body


def area_header(start: int, size: int, offset: int, text: bytes) -> bytes:
    """Return the 512 bytes that begin a metadata area whose text stands at `offset`."""
    locn = struct.pack("<QQII", offset, len(text), lvm_crc(text), 0) if text else b""
    body = b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, start, size) + locn
    body = body.ljust(SECTOR - 4, b"\0")
    return struct.pack("<I", lvm_crc(body)) + body


def area(texts: Sequence[bytes], begin: int = SECTOR, *, start: int, size: int) -> bytes:
    """Return a metadata area into which `texts` were written in turn, the last one counts.

    Args:
        texts: oldest first, each on the next sector.
        begin: where the first was written.
        start: of the area.
        size: of the area; what does not fit goes on after the header.
    """
    held = bytearray(size)
    at, last = begin, begin
    for text in texts:
        ring = size - SECTOR
        for number, byte in enumerate(text):
            held[SECTOR + (at - SECTOR + number) % ring] = byte
        last = at
        at += -(-len(text) // SECTOR) * SECTOR
        at = SECTOR + (at - SECTOR) % ring
    held[:SECTOR] = area_header(start, size, last, texts[-1] if texts else b"")
    return bytes(held)


def physical_volume(
    texts: Sequence[bytes], data: bytes, pv: str = uuid_of("p"), *, second_area: bool = False
) -> bytearray:
    """Return a physical volume with one metadata area, or another one after its data."""
    size = PE_START * SECTOR + len(data)
    areas = [(AREA_OFFSET, AREA_SIZE)]
    small = 32 * 1024
    if second_area:
        areas.append((size, small))
        size += small
    image = bytearray(size)
    image[SECTOR : 2 * SECTOR] = label(pv, size, areas)
    image[AREA_OFFSET:MIB] = area(texts, start=AREA_OFFSET, size=AREA_SIZE)
    image[MIB : MIB + len(data)] = data
    if second_area:
        start = areas[1][0]
        image[start:] = area(texts, start=start, size=small)
    return image


def striped(
    start: int, count: int, *areas: tuple[str, int], stripe_sectors: int = 8, kind: str = "striped"
) -> str:
    """Return a segment's fields."""
    stripes = ", ".join(f'"{pv}", {first}' for pv, first in areas)
    size = f"stripe_size = {stripe_sectors}\n" if len(areas) > 1 else ""
    return (
        f'start_extent = {start}\nextent_count = {count}\ntype = "{kind}"\n'
        f"stripe_count = {len(areas)}\n{size}stripes = [\n{stripes}\n]\n"
    )


def thin(count: int, device_id: int, transaction: int, origin: str = "", pool: str = "pool") -> str:
    snapshot = f'origin = "{origin}"\n' if origin else ""
    return (
        f'start_extent = 0\nextent_count = {count}\ntype = "thin"\nthin_pool = "{pool}"\n'
        f"transaction_id = {transaction}\ndevice_id = {device_id}\n{snapshot}"
    )


def thin_pool(count: int, transaction: int = 1, extra: str = "", kind: str = "thin-pool") -> str:
    return (
        f'start_extent = 0\nextent_count = {count}\ntype = "{kind}"\n'
        f'metadata = "pool_tmeta"\npool = "pool_tdata"\ntransaction_id = {transaction}\n'
        f"chunk_size = 128\n{extra}"
    )


def volume(name: str, *segments: str, letter: str) -> str:
    """Return a logical volume whose uuid is all `letter`."""
    parts = "".join(f"segment{n} {{\n{each}}}\n" for n, each in enumerate(segments, 1))
    return (
        f'{name} {{\nid = "{dashed(uuid_of(letter))}"\nstatus = ["READ", "VISIBLE"]\nflags = []\n'
        f"segment_count = {len(segments)}\n\n{parts}}}\n"
    )


def group(
    *volumes: str,
    seqno: int = 1,
    disks: Sequence[str] = ("p",),
    extents: int = 64,
    letter: str = "g",
) -> bytes:
    """Return the text of the group `vg`, as LVM writes it on a disk."""
    physical = "".join(
        f'pv{number} {{\nid = "{dashed(uuid_of(disk))}"\ndevice = "/dev/sd{disk}"\n\n'
        f"status = []\nflags = []\ndev_size = 4096\npe_start = {PE_START}\n"
        f"pe_count = {extents}\n}}\n"
        for number, disk in enumerate(disks)
    )
    return (
        f'vg {{\nid = "{dashed(uuid_of(letter))}"\nseqno = {seqno}\nformat = "lvm2"\nflags = []\n'
        f"extent_size = {EXTENT_SECTORS}\nmax_lv = 0\n\n"
        f"physical_volumes {{\n\n{physical}}}\n\nlogical_volumes {{\n\n{''.join(volumes)}}}\n\n}}\n"
        '# Generated by LVM2\n\ncontents = "Text Format Volume Group"\nversion = 1\n\n\0'
    ).encode()


def with_mbr(
    pv: bytes, at: int, *, logical: bool = False, kind: int = 0x8E, size: int | None = None
) -> bytes:
    """Return a disk with a MBR and `pv` in a partition from sector `at` on."""

    def record(kind: int, start: int, sectors: int) -> bytes:
        return struct.pack("<BxxxBxxxII", 0, kind, start, sectors)

    sectors = len(pv) // SECTOR
    disk = bytearray(at * SECTOR) + pv
    disk[510:512] = b"\x55\xaa"
    disk[446:462] = record(0x83, 1, 4)
    if not logical:
        disk[462:478] = record(kind, at, sectors)
        return bytes(disk)
    # Extended from sector 16 on: there a logical partition of 8 sectors at 20, the next at 64.
    disk[462:478] = record(0x0F, 16, at + sectors - 16)
    first, second = 16 * SECTOR, 64 * SECTOR
    disk[first + 446 : first + 478] = record(0x83, 4, 8) + record(0x05, 64 - 16, 1000)
    disk[first + 510 : first + 512] = b"\x55\xaa"
    disk[second + 446 : second + 462] = record(kind, at - 64, sectors)
    disk[second + 510 : second + 512] = b"\x55\xaa"
    return bytes(disk)


def with_gpt(pv: bytes, at: int, block: int = 512) -> bytes:
    """Return a disk with a GPT and `pv` in its third entry, from logical block `at` on."""
    table_blocks = 16384 // block
    disk = bytearray(at * block) + pv
    disk += bytes(-len(disk) % block + (table_blocks + 1) * block)
    last = len(disk) // block - 1
    lvm = uuid.UUID("e6d6d379-f507-44c2-a23c-238f2a3df928").bytes_le
    entry = lvm + bytes(15) + b"\x01" + struct.pack("<3Q", at, at + len(pv) // block - 1, 0)
    table = bytearray(128 * 128)
    table[2 * 128 : 2 * 128 + len(entry)] = entry
    for here, other, entries in ((1, last, 2), (last, 1, last - table_blocks)):
        header = bytearray(
            b"EFI PART"
            + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, here, other, 34, last - 33)
            + bytes(16)
            + struct.pack("<QIII", entries, 128, 128, zlib.crc32(table))
        )
        header[16:20] = struct.pack("<I", zlib.crc32(header))
        disk[here * block : here * block + 92] = header
        disk[entries * block : entries * block + len(table)] = table
    disk[510:512] = b"\x55\xaa"
    disk[446:462] = struct.pack("<BxxxBxxxII", 0, 0xEE, 1, last)
    return bytes(disk)


def written(path: Path, contents: bytes | bytearray) -> str:
    path.write_bytes(contents)
    return str(path)
