"""What logged inodes change: the inode itself, and what it keeps of its data and attributes.

Source: `xlog_recover_inode_commit_pass2()`, fs/xfs/xfs_inode_item_recover.c (Linux v6.6).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.xfs.log_items import (
    Changes,
    Items,
    Places,
    RegionPieces,
    buffer_key,
    heads_as,
)
from thinmeta.files.xfs.log_transactions import LogError, Regions
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.xfs import (
    BmbtBlock,
    BmbtBlock3,
    BmbtPtr,
    BmdrBlock,
    DeviceNumber,
    Dinode,
    Dinode3,
)
from thinmeta.schemas.xfs_log import (
    XFS_ILOG_ABROOT,
    XFS_ILOG_AFORK,
    XFS_ILOG_DBROOT,
    XFS_ILOG_DEV,
    XFS_ILOG_DFORK,
    XFS_LI_INODE,
    XFS_LOG_DINODES,
    XLOG_BASIC_BLOCK_BYTES,
    XfsInodeLogFormat,
    XfsInodeLogFormat32,
)
from thinmeta.walk.columnar import Columnar

_FORMAT, _FORMAT_32 = dtype_of(XfsInodeLogFormat), dtype_of(XfsInodeLogFormat32)
_CORE = dtype_of(XFS_LOG_DINODES[False, False])
_NUMBERS_END = field_of(XFS_LOG_DINODES[False, False], "di_next_unlinked")[0]
"""Version 4 has no more of an inode in the log."""

_FORK_AT = field_of(Dinode, "di_forkoff")[0]
_FORK_UNIT = 8
_POINTER_BYTES = BmbtPtr.sizeof()
_ROOT, _ROOT_HEADER = dtype_of(BmbtBlock), dtype_of(BmdrBlock)
_ROOT_HEADER_AT = field_of(BmbtBlock, "bb_level")[0]
_DEVICE = dtype_of(DeviceNumber)


def core_bytes(geometry: XfsGeometry) -> int:
    """Return how much the log has of an inode itself."""
    return _CORE.itemsize if geometry.is_v5 else _NUMBERS_END


class InodeChanges:
    """Finds what logged inodes change.

    Attributes:
        converted: bytes that the log has in another order: the device numbers of devices.
    """

    def __init__(self, geometry: XfsGeometry, log_bytes: int) -> None:
        """Take how the file system is laid out.

        Args:
            geometry: of the file system.
            log_bytes: of the log; what is converted has places after it.
        """
        self.converted = bytearray()
        self._log_bytes = log_bytes
        self._inode_bytes = geometry.inode_bytes
        self._fork_begin = dtype_of(Dinode3 if geometry.is_v5 else Dinode).itemsize
        header = BmbtBlock3 if geometry.is_v5 else BmbtBlock
        self._root_bytes = dtype_of(header).itemsize
        self._core_bytes = core_bytes(geometry)

    def of(self, items: Items, pieces: RegionPieces) -> Changes:
        """Return what the inodes of a batch change.

        Raises:
            LogError: an item cannot be believed.
        """
        first, count = items.of(XFS_LI_INODE)
        is_short = items.regions.length[first] < _FORMAT.itemsize
        found = [
            self._some(items, pieces, first[chosen], count[chosen], layout)
            for chosen, layout in ((~is_short, _FORMAT), (is_short, _FORMAT_32))
            if chosen.any()
        ]
        return Changes.joined([Changes(*(np.zeros(0, dtype=np.int64) for _ in range(6))), *found])

    def _some(
        self,
        items: Items,
        pieces: RegionPieces,
        first: Places,
        count: Places,
        layout: np.dtype[Any],
    ) -> Changes:
        regions = items.regions
        if (count < 2).any() or (regions.length[first + 1] < self._core_bytes).any():
            raise LogError("an inode of the log is not whole")
        formats = heads_as(regions, first, layout)
        fields = formats["ilf_fields"]
        block, within = formats["ilf_blkno"], formats["ilf_boffset"].astype(np.int64)
        home = block * XLOG_BASIC_BLOCK_BYTES + within
        if (within < 0).any() or (home % self._inode_bytes).any():
            raise LogError("an inode of the log is where none can be")
        buffer = buffer_key(block, formats["ilf_len"].astype(np.int64))
        whole = _Whole(first, count, fields, home, items.transaction[first], buffer)
        data_bytes = regions.head[first + 1, _FORK_AT].astype(np.int64) * _FORK_UNIT
        room = self._inode_bytes - self._fork_begin
        if (data_bytes >= room).any():
            raise LogError("an inode of the log has attributes past its end")
        has_data = (fields & (XFS_ILOG_DFORK | XFS_ILOG_DBROOT)) != 0
        has_attributes = (fields & (XFS_ILOG_AFORK | XFS_ILOG_ABROOT)) != 0
        if (count < 2 + has_data + has_attributes).any():
            raise LogError("an inode of the log lacks a region")
        begin = np.full(len(first), self._fork_begin, dtype=np.int64)
        data_room = np.where(data_bytes > 0, data_bytes, room)
        data = _Forks(first + 2, begin, data_room)
        attributes = _Forks(first + 2 + has_data, begin + data_bytes, room - data_bytes)
        parts = [
            self._cores(whole, pieces),
            self._fork(whole, data, XFS_ILOG_DFORK, regions, pieces),
            *self._roots(whole, data, XFS_ILOG_DBROOT, regions, pieces),
            self._devices(whole, formats),
            self._fork(whole, attributes, XFS_ILOG_AFORK, regions, pieces),
            *self._roots(whole, attributes, XFS_ILOG_ABROOT, regions, pieces),
        ]
        return Changes.joined(parts)

    def _cores(self, whole: "_Whole", pieces: RegionPieces) -> Changes:
        """Return the inodes themselves."""
        skip = np.zeros(len(whole), dtype=np.int64)
        change = whole.change(skip, np.full(len(whole), self._core_bytes, dtype=np.int64))
        return pieces.changes(whole.first + 1, skip, change)

    def _fork(
        self, whole: "_Whole", forks: "_Forks", flag: int, regions: Regions, pieces: RegionPieces
    ) -> Changes:
        """Return the data, attributes or extents that stand in inodes."""
        chosen = (whole.fields & flag) != 0
        own, some = forks[chosen], whole[chosen]
        lengths = np.minimum(regions.length[own.region], own.room)
        change = some.change(own.begin, lengths)
        return pieces.changes(own.region, np.zeros(len(lengths), dtype=np.int64), change)

    def _roots(
        self, whole: "_Whole", forks: "_Forks", flag: int, regions: Regions, pieces: RegionPieces
    ) -> Iterator[Changes]:
        """Return the roots of extent trees, which inodes have without most of their header.

        Source: `xfs_bmbt_to_bmdr()`, fs/xfs/libxfs/xfs_bmap_btree.c.
        """
        chosen = (whole.fields & flag) != 0
        own, some = forks[chosen], whole[chosen]
        if not len(own):
            return
        heads = heads_as(regions, own.region, _ROOT)
        count = heads["bb_numrecs"].astype(np.int64)
        most = (regions.length[own.region] - self._root_bytes) // (2 * _POINTER_BYTES)
        most_here = (own.room - _ROOT_HEADER.itemsize) // (2 * _POINTER_BYTES)
        if (count > most).any() or (count > most_here).any():
            raise LogError("the root of an extent tree in the log has no room for its children")
        header = np.full(len(own), _ROOT_HEADER.itemsize, dtype=np.int64)
        keys = np.full(len(own), self._root_bytes, dtype=np.int64)
        for skip, at, length in (
            (np.full(len(own), _ROOT_HEADER_AT, dtype=np.int64), 0 * header, header),
            (keys, header, count * _POINTER_BYTES),
            (
                keys + most * _POINTER_BYTES,
                header + most_here * _POINTER_BYTES,
                count * _POINTER_BYTES,
            ),
        ):
            yield pieces.changes(own.region, skip, some.change(own.begin + at, length))

    def _devices(self, whole: "_Whole", formats: npt.NDArray[Any]) -> Changes:
        """Return the numbers of devices."""
        chosen = (whole.fields & XFS_ILOG_DEV) != 0
        numbers = formats["ilf_rdev"][chosen].astype(_DEVICE)
        begin = self._log_bytes + len(self.converted)
        self.converted += numbers.tobytes()
        some = whole[chosen]
        width = np.full(len(numbers), _DEVICE.itemsize, dtype=np.int64)
        change = some.change(np.full(len(numbers), self._fork_begin, dtype=np.int64), width)
        places = begin + np.arange(len(numbers)) * _DEVICE.itemsize
        return replace(change, place=places)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole(Columnar):
    """Logged inodes, as columns of shape `(n,)`."""

    first: Places
    count: Places
    fields: npt.NDArray[np.uint32]
    home: Places
    transaction: Places
    buffer: Places

    def change(self, at: Places, length: Places) -> Changes:
        """Return a change of each, so many bytes after its beginning; without its place."""
        return Changes(
            self.home + at, length, np.zeros_like(at), self.transaction, self.buffer, self.home
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Forks(Columnar):
    """What inodes keep in themselves, as columns of shape `(n,)`: region, begin in it, room."""

    region: Places
    begin: Places
    room: Places
