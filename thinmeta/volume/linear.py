"""A volume as a table of linear and zero targets, which needs no thin-pool to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.errors import InputError
from thinmeta.units import SECTOR_BYTES
from thinmeta.volume.layout import Bytes, Layout, Pieces, Source
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.ragged import ragged


class DeviceSegment(NamedTuple):
    """A piece of the data device, or all of it.

    Attributes:
        device: what it lies on, as a table names it.
        offset: where it begins there, in bytes.
        length: in bytes.
    """

    device: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class LinearTargets(Columnar):
    """Targets as columns, each of shape `(n,)`; together they cover the volume, in order.

    Attributes:
        begin: in the volume, in sectors, dtype uint64.
        length: in sectors, dtype uint64.
        offset: on the device, in sectors, dtype uint64; 0 for a zero or error target.
        device: the place of the device in a list, dtype uint8; `ZERO` or `ERROR`
            for a target of that kind.
    """

    begin: Bytes
    length: Bytes
    offset: Bytes
    device: npt.NDArray[np.uint8]


ZERO = 255
ERROR = 254


def linear_targets(
    layout: Layout, data: Sequence[DeviceSegment], origin: Sequence[DeviceSegment]
) -> tuple[LinearTargets, list[str]]:
    """Return the targets that map a volume straight onto what it lies on.

    Args:
        layout: where the volume's bytes are; its size is one of whole sectors. What is
            lost becomes targets that fail, so that nobody takes it for zeros.
        data: the segments of the data device, in its order.
        origin: the segments of the external origin, in its order; none if there is none.

    Returns:
        The targets, and the devices that they name.

    Raises:
        InputError: a mapped block is past the end of the data device, a segment does not
            begin and end at a sector, or the segments are on too many devices.
    """
    names = list(dict.fromkeys(segment.device for segment in (*data, *origin)))
    if len(names) >= ERROR:
        raise InputError(f"the data is on {len(names)} devices; a table can name {ERROR - 1}")
    if any(each.offset % SECTOR_BYTES or each.length % SECTOR_BYTES for each in (*data, *origin)):
        raise InputError("a segment of a device does not begin and end at a sector")
    pieces = layout.pieces
    parts = [_on_segments(pieces[pieces.source == Source.DATA], data, names, layout.block_bytes)]
    past = pieces[pieces.source == Source.PAST_END]
    if len(past):
        raise _past_end(int(past.place[0]), int(past.begin[0]), layout.block_bytes)
    there = pieces[pieces.source == Source.ORIGIN]
    parts.append(_on_segments(there, origin, names, layout.block_bytes))
    lost = pieces[pieces.source == Source.LOST]
    parts.append(_targets(lost.begin, lost.end, np.zeros_like(lost.begin), ERROR))
    begin, end = layout.holes()
    parts.append(_targets(begin, end, np.zeros(len(begin), dtype=np.uint64), ZERO))
    targets = LinearTargets.joined(parts)
    return targets[np.argsort(targets.begin, kind="stable")], names


def _on_segments(
    pieces: Pieces, data: Sequence[DeviceSegment], names: list[str], block_bytes: int
) -> LinearTargets:
    """Return targets for pieces of the data device, cut where a segment ends."""
    lengths = np.array([segment.length for segment in data], dtype=np.uint64)
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first = np.searchsorted(ends, pieces.place, side="right")
    last = np.searchsorted(ends, pieces.place + pieces.length - np.uint64(1), side="right")
    past = np.flatnonzero(last >= len(data))
    if len(past):
        place, begin = (int(column[past[0]]) for column in (pieces.place, pieces.begin))
        raise _past_end(place, begin, block_bytes)
    counts = last - first + 1
    rows, segment = np.repeat(np.arange(len(pieces)), counts), ragged(first, counts)
    low = np.maximum(pieces.place[rows], begins[segment])
    high = np.minimum((pieces.place + pieces.length)[rows], ends[segment])
    begin = pieces.begin[rows] + low - pieces.place[rows]
    offsets = np.array([each.offset for each in data], dtype=np.uint64)
    devices = np.array([names.index(each.device) for each in data], dtype=np.uint8)
    offset = low - begins[segment] + offsets[segment]
    return _targets(begin, begin + high - low, offset, devices[segment])


def _targets(
    begin: Bytes, end: Bytes, offset: Bytes, device: int | npt.NDArray[np.uint8]
) -> LinearTargets:
    unit = np.uint64(SECTOR_BYTES)
    devices = np.broadcast_to(np.asarray(device, dtype=np.uint8), begin.shape)
    return LinearTargets(begin // unit, (end - begin) // unit, offset // unit, devices)


def _past_end(place: int, begin: int, block_bytes: int) -> InputError:
    return InputError(
        f"block {begin // block_bytes} of the volume is in data block {place // block_bytes}, "
        "which is past the end of the data device"
    )
