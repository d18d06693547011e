"""Where a file of a device is on the data device."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import Inode, PartsError
from thinmeta.files.opened_files import OpenedFiles
from thinmeta.volume.byte_ranges import overlaps
from thinmeta.volume.layout import Layout, Source
from thinmeta.walk.ragged import piece_begins

Flags = npt.NDArray[np.bool_]


class FilePlace(NamedTuple):
    """A part of a file, and where it is.

    Attributes:
        part: what of the file it is.
        begin: of content, in the file, in bytes; else 0.
        length: in bytes.
        device_byte: where it begins in the device.
        source: where that is; None if the device does not map it: it is zeros.
        place: of `source`, in bytes; 0 if it is none.
        is_replayed: whether the journal has at least a part of it as it is read.
    """

    part: FilePart
    begin: int
    length: int
    device_byte: int
    source: Source | None
    place: int
    is_replayed: bool


class FoundPlaces(NamedTuple):
    """Where a file is, as far as that can be read.

    Attributes:
        places: of content first, in order.
        fault: why there may be more; None if there are not.
    """

    places: list[FilePlace]
    fault: PartsError | None


def places_of(opened: OpenedFiles, layout: Layout, inode: Inode) -> FoundPlaces:
    """Return where a file is: in as few parts as can be, of content no more than it has.

    Holes of a file are in none.

    Args:
        opened: its file system.
        layout: of the device that this is on.
        inode: of the file.

    Raises:
        FileError: the inode cannot be read or believed.
    """
    fault = None
    try:
        parts = opened.file_system.parts(inode)
    except PartsError as error:
        parts, fault = error.found, error
    parts = _cut_off(_joined(parts), inode.size)
    within = opened.within
    in_device = overlaps(parts.place, parts.end, within.begin, within.begin + within.length)
    shift = in_device.begin - parts.place[in_device.row]
    begin = parts.begin[in_device.row] + np.where(_has_content(parts)[in_device.row], shift, 0)
    moved = in_device.begin - within.begin[in_device.other] + within.place[in_device.other]
    device = FileParts(parts.part[in_device.row], begin, in_device.end - in_device.begin, moved)
    is_replayed = np.zeros(len(parts), dtype=np.bool_)
    replayed = opened.replayed
    is_replayed[overlaps(parts.place, parts.end, replayed.begin, replayed.end).row] = True
    places = _on_data(device, layout, is_replayed[in_device.row])
    return FoundPlaces(sorted(places, key=lambda each: each[:3]), fault)


def _on_data(parts: FileParts, layout: Layout, is_replayed: Flags) -> list[FilePlace]:
    """Return where parts of a device are, those that it does not map, too."""
    pieces = layout.pieces
    found = overlaps(parts.place, parts.end, pieces.begin, pieces.end)
    is_content = _has_content(parts)
    rows: list[FilePlace] = []

    def add(row: int, low: int, high: int, source: Source | None, place: int) -> None:
        begin = int(parts.begin[row]) + (low - int(parts.place[row]) if is_content[row] else 0)
        kind = FilePart(int(parts.part[row]))
        rows.append(FilePlace(kind, begin, high - low, low, source, place, bool(is_replayed[row])))

    done = parts.place.tolist()
    columns = (found.row, found.other, found.begin, found.end)
    for row, piece, low, high in zip(*(column.tolist() for column in columns), strict=True):
        if done[row] < low:
            add(row, done[row], low, None, 0)
        place = int(pieces.place[piece]) + low - int(pieces.begin[piece])
        add(row, low, high, Source(int(pieces.source[piece])), place)
        done[row] = high
    for row, (reached, end) in enumerate(zip(done, parts.end.tolist(), strict=True)):
        if reached < end:
            add(row, reached, end, None, 0)
    return rows


def _has_content(parts: FileParts) -> Flags:
    is_content: Flags = (parts.part == FilePart.CONTENT) | (parts.part == FilePart.UNWRITTEN)
    return is_content


def _joined(parts: FileParts) -> FileParts:
    """Return neighbours as one part."""
    breaks = (parts.part[1:] != parts.part[:-1]) | (parts.place[1:] != parts.end[:-1])
    goes_on = parts.begin[1:] == parts.begin[:-1] + parts.length[:-1]
    breaks |= _has_content(parts)[1:] & ~goes_on
    first = np.flatnonzero(piece_begins(len(parts), breaks))
    length = np.add.reduceat(parts.length, first) if len(first) else parts.length
    return FileParts(parts.part[first], parts.begin[first], length, parts.place[first])


def _cut_off(parts: FileParts, size: int) -> FileParts:
    """Return parts without content that is past the end of the file."""
    left = np.uint64(size) - np.minimum(parts.begin, np.uint64(size))
    length = np.where(_has_content(parts), np.minimum(parts.length, left), parts.length)
    return FileParts(parts.part, parts.begin, length, parts.place)[length > 0]
