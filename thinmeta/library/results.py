"""What a pool answers, as tables of int64."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thinmeta.library.result_table import Flags, Numbers, Table
from thinmeta.walk.runs import Run


@dataclass(frozen=True, slots=True, eq=False)
class BlockTable(Table):
    """Single blocks of a device, by origin block; columns of shape `(n,)`, dtype int64.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     blocks = pool.device(1).runs().read().blocks()
    >>> blocks.data_block[:3].tolist()
    [1936, 1937, 64]

    Attributes:
        origin_block: in the device.
        data_block: on the data device.
        time: the pool's clock when it was mapped.
    """

    origin_block: Numbers
    data_block: Numbers
    time: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class RunTable(Table):
    """Runs of a device, by origin block; columns of shape `(n,)`, dtype int64, in blocks.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     runs = pool.device(1).runs().read()
    >>> len(runs), int(runs.length.max()), runs[runs.length > 100].origin_begin.tolist()
    (3, 479, [161])

    Attributes:
        origin_begin: first block in the device.
        data_begin: first block on the data device.
        length: how many.
        time: the pool's clock when they were mapped.
    """

    origin_begin: Numbers
    data_begin: Numbers
    length: Numbers
    time: Numbers

    def __iter__(self) -> Iterator[Run]:
        """Return each run as a tuple of ints."""
        columns = (self.origin_begin, self.data_begin, self.length, self.time)
        return map(Run, *(column.tolist() for column in columns))

    def blocks(self) -> BlockTable:
        """Return each block of each run: 24 bytes a block.

        >>> runs = RunTable(*(np.array(each) for each in ([5, 9], [70, 3], [2, 1], [0, 4])))
        >>> blocks = runs.blocks()
        >>> blocks.origin_block.tolist(), blocks.data_block.tolist(), blocks.time.tolist()
        ([5, 6, 9], [70, 71, 3], [0, 0, 4])
        """
        total = int(self.length.sum())
        inside = np.arange(total) - np.repeat(np.cumsum(self.length) - self.length, self.length)
        return BlockTable(
            np.repeat(self.origin_begin, self.length) + inside,
            np.repeat(self.data_begin, self.length) + inside,
            np.repeat(self.time, self.length),
        )


@dataclass(frozen=True, slots=True, eq=False)
class UsageTable(Table):
    """What each device maps, by device id; columns of shape `(n,)`, in blocks.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     usage = pool.usage()
    >>> usage.device_id.tolist(), usage.exclusive.tolist()
    ([1, 3, 5, 7, 8], [0, 0, 640, 0, 192])

    Attributes:
        device_id: dtype int64, as all but the last two.
        mapped: blocks that it maps, counted.
        exclusive: those whose data block is mapped nowhere else: what deleting it frees.
        shared: those whose data block is mapped elsewhere, too.
        highest: the last block that it maps; -1 if it maps nothing.
        new: those mapped since it was last snapshotted.
        inherited: those older than the device itself.
        runs: neighbours of one time joined.
        is_complete: whether nothing of the device is lost, dtype bool.
        is_exact: whether nothing of the pool is lost, dtype bool; else `exclusive` may
            count what a lost mapping shares.
    """

    device_id: Numbers
    mapped: Numbers
    exclusive: Numbers
    shared: Numbers
    highest: Numbers
    new: Numbers
    inherited: Numbers
    runs: Numbers
    is_complete: Flags
    is_exact: Flags


@dataclass(frozen=True, slots=True, eq=False)
class DiffTable(Table):
    """Ranges of one kind of change, in order; columns of shape `(n,)`, dtype int64, in blocks.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     table = pool.diff(5, 8).read()
    >>> int(table.length[table.change == thinmeta.Change.REMOVED].sum())
    448

    Attributes:
        change: values of `Change`.
        origin_begin: first block in both devices.
        length: how many.
        left_data_begin: first data block in LEFT; -1 where it maps none, or that is unknown.
        right_data_begin: likewise in RIGHT.
    """

    change: Numbers
    origin_begin: Numbers
    length: Numbers
    left_data_begin: Numbers
    right_data_begin: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class SharerTable(Table):
    """Who maps which data blocks; columns of shape `(n,)`, dtype int64, in blocks.

    In the order of first data block, length, device id and first block of the device.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     table = pool.rmap(64, 66).read()
    >>> table.device_id.tolist(), table.length.tolist()
    ([1, 7], [2, 2])

    Attributes:
        data_begin: first block on the data device.
        length: how many.
        device_id: the device that maps them.
        origin_begin: first block in that device.
    """

    data_begin: Numbers
    length: Numbers
    device_id: Numbers
    origin_begin: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class FreeTable(Table):
    """Data blocks that nothing uses, ascending; columns of shape `(n,)`, dtype int64.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     free = pool.free_ranges().read()
    >>> free.data_begin[:2].tolist(), free.length[:2].tolist()
    ([0, 160], [64, 1])

    Attributes:
        data_begin: first block on the data device.
        length: how many blocks.
    """

    data_begin: Numbers
    length: Numbers
