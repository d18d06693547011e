"""Which files are where: results about files and data blocks, and how they are found."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import numpy as np

from thinmeta.analyse.file_places import FilePlace
from thinmeta.analyse.region_files import OnDeviceError, RegionRun, files_in_region
from thinmeta.errors import InputError
from thinmeta.files.file_tree import shown
from thinmeta.files.opened_files import OpenedFiles, open_files
from thinmeta.files.reading import VolumeSource
from thinmeta.library.result_list import ResultList
from thinmeta.model.pool import Pool
from thinmeta.units import DeviceId
from thinmeta.volume.byte_ranges import ByteRanges
from thinmeta.volume.contents import Volume
from thinmeta.walk.columnar import Columns, flags, numbers, texts


def raise_device_error(device_id: DeviceId, path: bytes | None, error: InputError) -> NoReturn:
    """Raise: what is done where files of a device cannot be read, unless it is asked otherwise.

    Raises:
        InputError: always, of the class of `error`.
    """
    of_what = f"device {device_id}" + ("" if path is None else f", {shown(path)}")
    raise type(error)(f"{of_what}: {error}") from error


def files_at(  # noqa: PLR0913  # each is a choice of its own
    pool: Pool,
    volume_of: Callable[[DeviceId], Volume],
    region: tuple[int, int],
    on_error: OnDeviceError,
    *,
    partition: int | None,
    inside: str | None,
    replay: bool,
) -> ResultList[RegionRun]:
    """Return which files are in a part of the data device; see `OpenPool.files_at`."""

    @contextmanager
    def opened(device_id: DeviceId) -> Iterator[OpenedFiles]:
        with volume_of(device_id) as volume:
            source = VolumeSource(volume)
            yield open_files(source, partition=partition, inside=inside, replay=replay)

    begin, end = (np.array([each], dtype=np.uint64) for each in region)
    runs = files_in_region(pool, ByteRanges.of(begin, end), opened, on_error)
    return ResultList(tuple(runs), _columns_of_runs)


def list_of_places(places: Sequence[FilePlace]) -> ResultList[FilePlace]:
    """Return where a file is, which can be columns of its parts."""
    return ResultList(tuple(places), _columns_of_places)


def _columns_of_places(rows: Sequence[FilePlace]) -> Columns:
    sources = [each.source for each in rows]
    return {
        "part": texts(each.part.name.lower() for each in rows),
        "begin": numbers(each.begin for each in rows),
        "length": numbers(each.length for each in rows),
        "device_byte": numbers(each.device_byte for each in rows),
        "source": texts(each.name.lower() if each is not None else "" for each in sources),
        "place": numbers(each.place for each in rows),
        "is_replayed": flags(each.is_replayed for each in rows),
    }


def _columns_of_runs(runs: Sequence[RegionRun]) -> Columns:
    """Return a row a part; one of a run of which nobody knows what is in it."""
    rows = [(run, part) for run in runs for part in run.parts or (None,)]
    held = [part.held if part else None for _, part in rows]
    inodes = [each.inode if each else None for each in held]
    paths = [each.paths if each else () for each in held]
    return {
        "data_begin": numbers(run.data_begin for run, _ in rows),
        "run_length": numbers(run.length for run, _ in rows),
        "device_id": numbers(run.device_id for run, _ in rows),
        "origin_begin": numbers(run.origin_begin for run, _ in rows),
        "data_byte": numbers(part.data_byte if part else None for _, part in rows),
        "device_byte": numbers(part.device_byte if part else None for _, part in rows),
        "length": numbers(each.length if each else None for each in held),
        "holds": texts(each.holding.value if each else "" for each in held),
        "file_begin": numbers(each.begin if each else None for each in held),
        "inode": numbers(each.number if each else None for each in inodes),
        "path": texts(os.fsdecode(each[0]) if each else "" for each in paths),
        "nr_paths": numbers(map(len, paths)),
        "why": texts(run.why for run, _ in rows),
    }
