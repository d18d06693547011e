"""Disks with thin pools for whole commands: a real one, changed as LVM would, and made ones."""

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

from tests.cases import FIXTURES, unpacked
from tests.lvm.lvm_images import (
    AREA_OFFSET,
    EXTENT_SECTORS,
    MIB,
    SECTOR,
    area_header,
    group,
    physical_volume,
    striped,
    thin,
    thin_pool,
    volume,
)

REAL = FIXTURES / "c01-lvm-thin-one-pv"
EXTERNAL = "a10-external-origin"
_EXTENT = EXTENT_SECTORS * SECTOR
_ORIGIN_EXTENTS, _META_EXTENTS, _DATA_EXTENTS = (size * MIB // _EXTENT for size in (24, 8, 256))
FIRST_META = _ORIGIN_EXTENTS
FIRST_DATA = FIRST_META + _META_EXTENTS
END = FIRST_DATA + _DATA_EXTENTS


def real_disk() -> Path:
    """Return the disk of `c01-lvm-thin-one-pv`, a sparse file, which nobody may change."""
    return unpacked(REAL.name, "pv")


def texts_on(disk: Path) -> dict[int, str]:
    """Return the texts in the metadata area of `real_disk`, by their numbers."""
    with disk.open("rb") as file:
        area = file.read(MIB)
    found = re.finditer(rb"vgthin \{\nid = [^\n]+\nseqno = (\d+)\n[^\0]+", area)
    return {int(match[1]): match[0].decode() for match in found}


def changed_disk(path: Path, text: str) -> Path:
    """Return a copy of `real_disk` in which `text` is the one that counts, after all others."""
    with real_disk().open("rb") as old, path.open("wb") as new:
        _copy_stored(old, new, 0)
        new.truncate(old.seek(0, os.SEEK_END))
    body = text.encode().rstrip(b"\0") + b"\0"
    with path.open("r+b") as file:
        file.seek(AREA_OFFSET)
        start, size, offset, length = struct.unpack("<4Q", file.read(SECTOR)[24:56])
        begin = -(-(offset + length) // SECTOR) * SECTOR
        file.seek(start + begin)
        file.write(body)
        file.seek(AREA_OFFSET)
        file.write(area_header(start, size, begin, body))
    return path


def without_volume(text: str, name: str) -> str:
    """Return `text` with the next number and without a logical volume."""
    changed, count = re.subn(rf"\n{name} \{{\n.*?\n\}}\n\}}\n", "\n", text, flags=re.DOTALL)
    assert count == 1
    return re.sub(r"seqno = (\d+)", lambda match: f"seqno = {int(match[1]) + 1}", changed, count=1)


def external_group(
    *others: str, plain: str | None = None, origin: str = "plain", disks: str = "p"
) -> bytes:
    """Return the text of a group with the pool, and the external origin, of `EXTERNAL`.

    Args:
        others: further volumes.
        plain: the segment of the volume `plain`; by default it is linear, from extent 0 on.
        origin: whose name the two thin volumes have for their external origin.
        disks: the physical volumes.
    """

    def of_origin(size: int, device_id: int) -> str:
        segment = thin(size * MIB // _EXTENT, device_id, 0)
        return f'{segment}external_origin = "{origin}"\n'

    linear = striped(0, _ORIGIN_EXTENTS, ("pv0", 0))
    return group(
        volume("plain", plain or linear, letter="a"),
        volume("pool", thin_pool(_DATA_EXTENTS, 3), letter="b"),
        volume("pool_tmeta", striped(0, _META_EXTENTS, ("pv0", FIRST_META)), letter="e"),
        volume("pool_tdata", striped(0, _DATA_EXTENTS, ("pv0", FIRST_DATA)), letter="f"),
        volume("t1", of_origin(32, 1), letter="c"),
        volume("t2", of_origin(24, 2), letter="d"),
        *others,
        disks=disks,
        extents=2 * END,
    )


def external_disk(path: Path, text: bytes, more: bytes = b"") -> Path:
    """Return a disk with the external origin, metadata and data of `EXTERNAL`, and then `more`."""
    with path.open("wb") as file:
        file.write(physical_volume([text], b""))
        for extent, name in ((0, "origin"), (FIRST_META, "meta"), (FIRST_DATA, "data")):
            with unpacked(EXTERNAL, name).open("rb") as image:
                _copy_stored(image, file, MIB + extent * _EXTENT)
        file.seek(MIB + END * _EXTENT)
        file.write(more)
        file.truncate(MIB + (END + 2 * _META_EXTENTS) * _EXTENT)
    return path


def _copy_stored(old: BinaryIO, new: BinaryIO, begin: int) -> None:
    """Copy a sparse file to where it begins in another one; what are holes stay holes."""
    size, at = old.seek(0, os.SEEK_END), 0
    while True:
        try:
            at = os.lseek(old.fileno(), at, os.SEEK_DATA)
        except OSError:  # there is nothing more
            return
        end = min(os.lseek(old.fileno(), at, os.SEEK_HOLE), size)
        old.seek(at)
        new.seek(begin + at)
        while at < end:
            at += new.write(old.read(min(MIB, end - at)))
