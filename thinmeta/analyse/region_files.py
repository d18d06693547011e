"""Whose files are in which data blocks: what a bad sector takes with it, device by device."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.rmap import Region, ReverseRuns, rmap
from thinmeta.errors import InputError, NotThereError
from thinmeta.files.container_root import container_root
from thinmeta.files.file_system import FileError, FileSystem
from thinmeta.files.opened_files import NoFileSystemError, OpenedFiles
from thinmeta.files.region_contents import HeldPart, Holding, region_contents
from thinmeta.model.pool import Pool
from thinmeta.units import DeviceId, OnProgress
from thinmeta.volume.byte_ranges import ByteRanges, overlaps
from thinmeta.volume.layout import Bytes
from thinmeta.walk.ragged import Places, is_new

_RUNS_AT_ONCE = 1 << 16
"""Runs of which what is in them is in memory together."""


class DataPart(NamedTuple):
    """A part of the data device, and what it holds for one device.

    Attributes:
        data_byte: where it begins on the data device.
        device_byte: where it begins in the device.
        held: what is there; its `place` is in the file system.
    """

    data_byte: int
    device_byte: int
    held: HeldPart


@dataclass(frozen=True, slots=True)
class RegionRun:
    """A run of data blocks that a device maps, and what is in it.

    Attributes:
        data_begin: first block on the data device.
        length: in blocks.
        device_id: the device that maps them.
        origin_begin: first block in that device.
        parts: what is in it, in the order of the data device.
        is_docker: whether the device is one of Docker's, whose files are below `rootfs`.
        why: there are no parts; None if there are.
    """

    data_begin: int
    length: int
    device_id: DeviceId
    origin_begin: int
    parts: tuple[DataPart, ...]
    is_docker: bool = False
    why: str | None = None


class _InDevice(NamedTuple):
    parts: dict[int, list[DataPart]]
    is_docker: bool
    why: str | None


OpenDevice = Callable[[DeviceId], AbstractContextManager[OpenedFiles]]
"""Opens the file system of a device."""

OnDeviceError = Callable[[DeviceId, bytes | None, InputError], None]
"""Is told of what cannot be read of a device: of a file, by its path, or of all of it (None)."""


def files_in_region(
    pool: Pool,
    region: ByteRanges,
    open_device: OpenDevice,
    on_error: OnDeviceError,
    *,
    on_progress: OnProgress | None = None,
) -> Iterator[RegionRun]:
    """Yield who maps the data blocks of a region, and which files have what there.

    In the order of `rmap`. The file system of each device that maps any of it is read once; where
    there are very many runs, once for each part of them. What was found for a part is in memory.

    Args:
        pool: in the state to look at.
        region: of the data device, in bytes; blocks that it touches are among those that are shown,
            what is in them is not shown beyond it.
        open_device: opens a file system; what it raises as `InputError` is told to `on_error`, but
            for what says that a device has none that is read here, or not this partition.
        on_error: told of what cannot be read.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises.
    """
    unit = pool.data_block_bytes()
    blocks = [
        Region(begin // unit, -(-end // unit))
        for begin, end in zip(region.begin.tolist(), region.end.tolist(), strict=True)
    ]
    reader = _RegionReader(unit, region, open_device, on_error)
    for runs in _together(rmap(pool, blocks, on_progress=on_progress)):
        yield from reader.read(runs)


def _together(pieces: Iterator[ReverseRuns]) -> Iterator[ReverseRuns]:
    """Join pieces into fewer: for each of them file systems are read."""
    some: list[ReverseRuns] = []
    for piece in pieces:
        some.append(piece)
        if sum(map(len, some)) >= _RUNS_AT_ONCE:
            yield ReverseRuns.joined(some)
            some = []
    if some:
        yield ReverseRuns.joined(some)


class _RegionReader:
    """Reads what is in runs; says once of each device, and of each file, what is wrong with it."""

    def __init__(
        self, unit: int, region: ByteRanges, open_device: OpenDevice, on_error: OnDeviceError
    ) -> None:
        self._unit, self._region = unit, region
        self._open_device, self._on_error = open_device, on_error
        self._without: dict[int, _InDevice] = {}
        self._told: set[tuple[int, bytes]] = set()

    def read(self, runs: ReverseRuns) -> Iterator[RegionRun]:
        """Yield what is in some runs."""
        found: dict[int, _InDevice] = {}
        order = np.argsort(runs.device_id, kind="stable")
        ids = runs.device_id[order]
        starts = [*np.flatnonzero(is_new(ids)).tolist(), len(ids)]
        for begin, end in pairwise(starts):
            device_id, rows = DeviceId(int(ids[begin])), order[begin:end]
            known = self._without.get(device_id)
            if known is None:
                known = self._read(device_id, runs[rows], rows)
                if known.why is not None:
                    self._without[device_id] = known
            found[device_id] = known
        columns = (runs.data_begin, runs.length, runs.device_id, runs.origin_begin)
        for row, run in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            data_begin, length, device_id, origin_begin = run
            parts, is_docker, why = found[device_id]
            own = sorted(parts.get(row, ()), key=lambda part: (part.data_byte, part.held.place))
            about = DeviceId(device_id), origin_begin, tuple(own), is_docker, why
            yield RegionRun(data_begin, length, *about)

    def _read(self, device_id: DeviceId, runs: ReverseRuns, rows: Places) -> _InDevice:
        """Return what a device has in its runs, by the rows of these."""
        asked = _asked(runs, self._unit, self._region)
        parts: dict[int, list[DataPart]] = {}

        def tell(path: bytes, error: FileError) -> None:
            if (device_id, path) not in self._told:
                self._told.add((device_id, path))
                self._on_error(device_id, path, error)

        try:
            with self._open_device(device_id) as opened:
                held = [*_held(opened, asked, tell)]
                is_docker = _is_docker(opened.file_system)
        except (NoFileSystemError, NotThereError) as error:
            return _InDevice({}, is_docker=False, why=str(error))
        except InputError as error:
            self._on_error(device_id, None, error)
            return _InDevice({}, is_docker=False, why=str(error))
        for place, part in held:
            row = int(np.searchsorted(asked.begin, np.uint64(place), side="right")) - 1
            data_byte = int(asked.data[row]) + place - int(asked.begin[row])
            parts.setdefault(int(rows[asked.row[row]]), []).append(DataPart(data_byte, place, part))
        return _InDevice(parts, is_docker, None)


class _Asked(NamedTuple):
    """Parts of a device, ascending: first byte and end, place on the data device, row of a run."""

    begin: Bytes
    end: Bytes
    data: Bytes
    row: Places


def _asked(runs: ReverseRuns, unit: int, region: ByteRanges) -> _Asked:
    width = np.uint64(unit)
    data = runs.data_begin * width
    found = overlaps(data, data + runs.length * width, region.begin, region.end)
    begin = runs.origin_begin[found.row] * width + found.begin - data[found.row]
    order = np.argsort(begin, kind="stable")
    length = found.end - found.begin
    return _Asked(begin[order], (begin + length)[order], found.begin[order], found.row[order])


def _held(
    opened: OpenedFiles, asked: _Asked, on_error: Callable[[bytes, FileError], None]
) -> Iterator[tuple[int, HeldPart]]:
    """Return what is in parts of a device, each with its place in the device."""
    within = opened.within
    ends = within.place + within.length
    order = np.argsort(within.place, kind="stable")
    found = overlaps(asked.begin, asked.end, within.place[order], ends[order])
    inside = ByteRanges.of(found.begin, found.end)
    outside = inside.outside(asked.begin, asked.end)
    for low, high in zip(outside.begin.tolist(), outside.end.tolist(), strict=True):
        yield low, HeldPart(Holding.OUTSIDE, low, high - low)
    piece = order[found.other]
    begin = found.begin - within.place[piece] + within.begin[piece]
    by_place = np.argsort(begin, kind="stable")
    begin, volume = begin[by_place], found.begin[by_place]
    length = (found.end - found.begin)[by_place]
    for part in region_contents(opened.file_system, begin, begin + length, on_error):
        row = int(np.searchsorted(begin, np.uint64(part.place), side="right")) - 1
        yield int(volume[row]) + part.place - int(begin[row]), part


def _is_docker(file_system: FileSystem) -> bool:
    try:
        return container_root(file_system, file_system.inode(file_system.root)) is not None
    except FileError:
        return False
