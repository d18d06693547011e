"""Physical volumes on a disk, and the texts of their metadata areas, the older ones too.

Source: LVM2 v2.03, `lib/label/label.c`, `lib/format_text/text_label.c` and
`lib/format_text/format-text.c`.
"""

import re
import zlib
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from thinmeta.errors import InputError
from thinmeta.lvm.partitions import Partitioned, partitions
from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.lvm_label import (
    FMTT_MAGIC,
    FMTT_VERSION,
    INITIAL_CRC,
    LABEL_ID,
    LABEL_SCAN_SECTORS,
    LVM2_LABEL,
    MDA_HEADER_SIZE,
    SECTOR,
    DiskLocn,
    LabelHeader,
    MdaHeader,
    PvHeader,
)

_MOST_AREAS = 2
_MOST_RING_BYTES = 64 << 20
_MOST_TEXTS = 4096
"""More than fit into the usual metadata area of 1 MiB."""

_ALL_ONES = 2**32 - 1
_LABEL_SUMMED, _ = field_of(LabelHeader, "offset")
_MDA_SUMMED, _ = field_of(MdaHeader, "magic")
_UUID = re.compile(rb"[A-Za-z0-9]{32}")
_EXTENTS_BEGIN = re.compile(r"\bpe_start = (\d{1,15})\b")
_BEGINNING = re.compile(
    rb'[A-Za-z0-9+_.-]{1,128} \{\nid = "([A-Za-z0-9-]{38})"\nseqno = (\d{1,10})\n'
)


class Labelled(Partitioned, Protocol):
    """What may hold physical volumes: a `Disk`, or what reads like one."""

    @property
    def name(self) -> str:
        """As it was typed."""
        ...

    @property
    def path(self) -> Path:
        """Without the offset."""
        ...

    @property
    def offset(self) -> int | None:
        """Where a physical volume begins, in bytes, if that was given."""
        ...


AnyDisk = TypeVar("AnyDisk", bound=Labelled)


class Trust(IntEnum):
    """Why a text counts."""

    FOUND = 0
    """It was found in a metadata area; its end may be lost to a newer one."""

    SOUND = 1
    """Its metadata area says that it counts, and its checksum is right."""

    GIVEN = 2
    """It was given as a file."""


@dataclass(frozen=True, slots=True)
class FoundText:
    """A text that describes a volume group.

    Attributes:
        group_id: uuid of the group, without dashes.
        seqno: its version.
        text: all of it.
        trust: why it counts.
        source: where it was found, for messages.
    """

    group_id: str
    seqno: int
    text: str
    trust: Trust
    source: str


@dataclass(frozen=True, slots=True)
class FoundVolume(Generic[AnyDisk]):
    """A physical volume, or what was said to be one.

    Attributes:
        disk: where it is.
        offset: of its start, in bytes.
        id: its uuid, without dashes; empty if its label is lost.
        texts: what its metadata areas hold.
        notes: what is damaged, one line each.
    """

    disk: AnyDisk
    offset: int
    id: str
    texts: tuple[FoundText, ...] = ()
    notes: tuple[str, ...] = ()


def physical_volumes(disk: AnyDisk) -> list[FoundVolume[AnyDisk]]:
    """Return the physical volumes on `disk`: at its offset, else it is one, else in partitions.

    At an offset that was given there is one even if its label is lost; then the texts that are
    left before its extents count.

    Raises:
        InputError: there is none.
    """
    if disk.offset is not None:
        return [_volume_at(disk, disk.offset) or _without_label(disk, disk.offset)]
    whole = _volume_at(disk, 0)
    if whole is not None:
        return [whole]
    table = partitions(disk)
    found = [volume for each in table if (volume := _volume_at(disk, each.offset))]
    if not found:
        where = f"nor in its {len(table)} partitions" if table else "and it has no partitions"
        raise InputError(
            f"{disk.name}: there is no LVM label on it, {where}; if it is lost, say where the "
            f"physical volume begins, as in {disk.path}@0: texts that are left there count, else "
            "add a backup of the text metadata"
        )
    return found


def lvm_crc(data: bytes) -> int:
    """Return LVM's checksum: CRC-32 with a start of its own and no final inversion."""
    return zlib.crc32(data, INITIAL_CRC ^ _ALL_ONES) ^ _ALL_ONES


def _volume_at(disk: AnyDisk, start: int) -> FoundVolume[AnyDisk] | None:
    beginning = disk.read(start, LABEL_SCAN_SECTORS * SECTOR)
    for at in range(0, len(beginning) - SECTOR + 1, SECTOR):
        sector = beginning[at : at + SECTOR]
        if sector.startswith(LABEL_ID) and (found := _labelled(disk, start, sector)):
            return found
    return None


def _without_label(disk: AnyDisk, start: int) -> FoundVolume[AnyDisk]:
    """Return what was said to be a physical volume, with the texts before its extents.

    What is further on is data, such as a backup of a text, or the disk of a virtual machine.
    """
    beginning = disk.read(start, min(_MOST_RING_BYTES, disk.size - start))
    texts = []
    for text, at in _texts_in(beginning, disk.name):
        starts = [int(each) for each in _EXTENTS_BEGIN.findall(text.text)]
        if at + len(text.text) <= max(starts, default=0) * SECTOR:
            texts.append(text)
    where = f"{disk.path}: there is no LVM label at byte {start}"
    newest = max((text.seqno for text in texts), default=None)
    note = "no text is left there" if newest is None else f"the newest text left, {newest}, counts"
    return FoundVolume(disk, start, "", tuple(texts), (f"{where}; {note}",))


def _labelled(disk: AnyDisk, start: int, sector: bytes) -> FoundVolume[AnyDisk] | None:
    label = parsed(LabelHeader, sector)
    if label.type != LVM2_LABEL or label.offset > SECTOR - PvHeader.sizeof():
        return None
    header = parsed(PvHeader, sector[label.offset :])
    if not _UUID.fullmatch(header.pv_uuid):
        return None
    where = f"{disk.path}: physical volume at byte {start}"
    notes: list[str] = []
    if lvm_crc(sector[_LABEL_SUMMED:]) != label.crc:
        notes.append(f"{where}: the checksum of its label is wrong")
    if start + header.device_size > disk.size:
        notes.append(
            f"{where}: it has {header.device_size} bytes, and {disk.path} ends "
            f"{start + header.device_size - disk.size} bytes too early"
        )
    texts: list[FoundText] = []
    for area in _metadata_areas(sector[label.offset + PvHeader.sizeof() :]):
        size = min(area.size, disk.size - start - area.offset)
        if not MDA_HEADER_SIZE < size <= _MOST_RING_BYTES:
            notes.append(f"{where}: its metadata area at byte {area.offset} cannot be {size} long")
            continue
        held, wrong = _texts_of(disk.read(start + area.offset, size), disk.name)
        texts += held
        if wrong:
            notes.append(f"{where}: its metadata area at byte {area.offset}: {wrong}")
    # Of a group that the disk was in before, old texts may be left.
    groups = {text.group_id for text in texts if text.trust is Trust.SOUND}
    own = [text for text in texts if not groups or text.group_id in groups]
    return FoundVolume(disk, start, header.pv_uuid.decode(), tuple(own), tuple(notes))


def _metadata_areas(lists: bytes) -> list[Any]:
    """Return the second of two lists, each of which ends with zeros: the data areas' come first."""
    areas = list(parsed(DiskLocn[len(lists) // DiskLocn.sizeof()], lists))
    ends = [number for number, area in enumerate(areas) if not area.offset]
    return areas[ends[0] + 1 : ends[1]][:_MOST_AREAS] if len(ends) > 1 else []


def _texts_of(area: bytes, source: str) -> tuple[list[FoundText], str | None]:
    """Return the texts in a metadata area, and what is wrong with it."""
    ring = area[MDA_HEADER_SIZE:]
    header = parsed(MdaHeader, area[:MDA_HEADER_SIZE])
    if (
        header.magic != FMTT_MAGIC
        or header.version != FMTT_VERSION
        or lvm_crc(area[_MDA_SUMMED:MDA_HEADER_SIZE]) != header.checksum
    ):
        return _older_texts(ring, source), "its header is damaged; the newest text in it counts"
    begin, size = header.committed.offset - MDA_HEADER_SIZE, header.committed.size
    if not header.committed.offset:
        older = _older_texts(ring, source)
        return older, "it has no text any more; the newest old one counts" if older else None
    if not (0 <= begin < len(ring) and 0 < size <= len(ring)):
        return _older_texts(ring, source), "its text cannot be there; the newest one in it counts"
    ring = ring[begin:] + ring[:begin]  # it goes round
    text = ring[:size]
    if lvm_crc(text) != header.committed.checksum:
        older = _older_texts(ring, source)
        return older, "the checksum of its text is wrong; the newest one in it counts all the same"
    match = _BEGINNING.match(text)
    if match is None:
        return _older_texts(ring, source), "its text describes no group; the newest one counts"
    current = _found(match, text, Trust.SOUND, source)
    return [current, *_older_texts(ring[size:], source)], None


def _older_texts(ring: bytes, source: str) -> list[FoundText]:
    """Return what looks like the beginning of a text, up to a zero byte or the next one."""
    return [text for text, _ in _texts_in(ring, source)]


def _texts_in(ring: bytes, source: str) -> list[tuple[FoundText, int]]:
    """Return what looks like the beginning of a text, and where it is."""
    matches = [*_BEGINNING.finditer(ring)][-_MOST_TEXTS:]
    begins = [match.start() for match in matches]
    return [
        (_found(match, ring[begin:end], Trust.FOUND, source), begin)
        for match, (begin, end) in zip(matches, pairwise([*begins, len(ring)]), strict=True)
    ]


def _found(match: re.Match[bytes], text: bytes, trust: Trust, source: str) -> FoundText:
    return FoundText(
        match[1].decode().replace("-", ""),
        int(match[2]),
        text.partition(b"\0")[0].decode(errors="replace"),
        trust,
        source,
    )
