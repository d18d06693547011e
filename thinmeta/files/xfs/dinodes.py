"""Inodes, decoded 64 at a time, as they stand side by side on disk."""

import stat
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError, Inode
from thinmeta.files.outline import Outline
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.crc import crcs_with_zeros
from thinmeta.files.xfs.dinode_fields import Rows, devices_of, have_blocks_of_attributes
from thinmeta.files.xfs.dinode_outlines import outlines_of
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of, field_of, fields_at

Signed = npt.NDArray[np.int64]

_WINDOW_BITS = 6
_WINDOW = 1 << _WINDOW_BITS
"""As many inodes are made at once, mostly."""

_MOST_DECODED, _MOST_RAW = 1024, 128

_OLD, _NEW = dtype_of(xfs.Dinode), dtype_of(xfs.Dinode3)
_CRC_PLACE = field_of(xfs.Dinode3, "di_crc")[0]
_NS = 10**9
_MAX_SIZE = 2**63 - 1

_FAULTS = (
    "is none",
    "is of another version than the file system",
    "has a wrong checksum",
    "is of another file system",
    "was written for another number",
    "is free",
    "is of no known type",
    "has a size that is out of range",
    "has a time that is out of range",
)
_NO_SUCH = "there is none of this number"
_TYPES = np.zeros(16, dtype=np.bool_)
_TYPES[
    [
        kind >> 12
        for kind in (
            stat.S_IFREG,
            stat.S_IFDIR,
            stat.S_IFLNK,
            stat.S_IFCHR,
            stat.S_IFBLK,
            stat.S_IFIFO,
            stat.S_IFSOCK,
        )
    ]
] = True


class Fork(NamedTuple):
    """What an inode keeps in itself of its data, or of its attributes.

    Attributes:
        number: the inode's.
        form: `XFS_DINODE_FMT_...`.
        data: the bytes.
        nr_extents: how many extents there are, if they are what it keeps.
        is_realtime: whether they are on the realtime device.
    """

    number: int
    form: int
    data: bytes
    nr_extents: int
    is_realtime: bool


class Decoded(NamedTuple):
    """Some inodes, in order.

    Attributes:
        inodes: each, or why it is none.
        outlines: what is known of each without reading more.
    """

    inodes: list[Inode | str]
    outlines: list[Outline]


class _Window(NamedTuple):
    data: bytes
    decoded: Decoded
    has_outer: list[bool]
    is_plain: npt.NDArray[np.bool_]


class Dinodes:
    """The inodes of a file system, read through its cache."""

    def __init__(self, cache: Cache, geometry: XfsGeometry) -> None:
        """Read from `cache`."""
        self._geometry = geometry
        self._layout = _NEW if geometry.is_v5 else _OLD
        # Neither leads back to this object: what is read is given back with it, and at once.
        window = lru_cache(_MOST_RAW)(_WindowReader(cache, geometry).read)
        self._window = window
        self._decoded = lru_cache(_MOST_DECODED)(lambda number: window(number).decoded)

    def inode(self, number: int) -> Inode | str:
        """Return the inode of this number, or why there is none that can be believed."""
        return self._decoded(number >> _WINDOW_BITS).inodes[number & (_WINDOW - 1)]

    def outline(self, number: int) -> Outline:
        """Return what is known of the inode of this number, which is one."""
        return self._decoded(number >> _WINDOW_BITS).outlines[number & (_WINDOW - 1)]

    def has_outer_attributes(self, number: int) -> bool:
        """Tell whether an inode that is sound has blocks of attributes."""
        return self._window(number >> _WINDOW_BITS).has_outer[number & (_WINDOW - 1)]

    def are_plain(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Tell which inodes are sound, of no directory, and without blocks of attributes."""
        begin, end = first >> _WINDOW_BITS, (first + count - 1 >> _WINDOW_BITS) + 1
        found = np.concatenate([self._window(number).is_plain for number in range(begin, end)])
        at = first & (_WINDOW - 1)
        return found[at : at + count]

    def data_fork(self, number: int) -> Fork:
        """Return what the inode keeps of its data.

        Raises:
            FileError: there is none, or it cannot be read or believed.
        """
        raw, fields = self._fields(number)
        begin, end = self._layout.itemsize, self._fork_begin(fields)
        flags2 = fields.get("di_flags2", 0)
        is_big = flags2 & xfs.XFS_DIFLAG2_NREXT64
        return Fork(
            number,
            fields["di_format"],
            raw[begin:end],
            fields["di_big_nextents" if is_big else "di_nextents"],
            bool(fields["di_flags"] & xfs.XFS_DIFLAG_REALTIME),
        )

    def attribute_fork(self, number: int) -> Fork | None:
        """Return what the inode keeps of its attributes; None if it has none.

        Raises:
            FileError: there is none, or it cannot be read or believed.
        """
        raw, fields = self._fields(number)
        if not fields["di_forkoff"]:
            return None
        is_big = fields.get("di_flags2", 0) & xfs.XFS_DIFLAG2_NREXT64
        return Fork(
            number,
            fields["di_aformat"],
            raw[self._fork_begin(fields) :],
            fields["di_nextents" if is_big else "di_anextents"],
            is_realtime=False,
        )

    def _fork_begin(self, fields: dict[str, Any]) -> int:
        """Return where the attributes begin, which is where the data ends."""
        size = self._geometry.inode_bytes
        if not fields["di_forkoff"]:
            return size
        begin = self._layout.itemsize + 8 * int(fields["di_forkoff"])
        if begin >= size:
            raise FileError("its attributes begin past its end")
        return begin

    def _fields(self, number: int) -> tuple[bytes, dict[str, Any]]:
        found = self.inode(number)
        if isinstance(found, str):
            raise FileError(found)
        size = self._geometry.inode_bytes
        begin = (number & (_WINDOW - 1)) * size
        raw = self._window(number >> _WINDOW_BITS).data[begin : begin + size]
        return raw, fields_at(self._layout, raw)


class _WindowReader:
    """Reads inodes, and decodes them."""

    def __init__(self, cache: Cache, geometry: XfsGeometry) -> None:
        self._cache = cache
        self._geometry = geometry
        self._layout = _NEW if geometry.is_v5 else _OLD

    def read(self, window: int) -> _Window:
        """Return the inodes of a window, by its number."""
        first = window << _WINDOW_BITS
        place, size = self._geometry.inode_place(first), self._geometry.inode_bytes
        if place is None:  # nor is there any other of the window, which is of one group
            none = Decoded([_NO_SUCH] * _WINDOW, [Outline(None, has_xattrs=False)] * _WINDOW)
            nothing = np.zeros(_WINDOW, dtype=np.bool_)
            return _Window(b"", none, nothing.tolist(), nothing)
        lost: dict[int, str] = {}
        if self._geometry.inode_place(first + _WINDOW - 1) is None:
            data = self._read_singly(first, lost)
        else:
            try:
                data = self._cache.read(place, _WINDOW * size)
            except FileError:
                data = self._read_singly(first, lost)
        found = self._decode(data, first)
        for index, why in lost.items():
            found.decoded.inodes[index] = why
            found.is_plain[index] = False
        return found

    def _read_singly(self, first: int, lost: dict[int, str]) -> bytes:
        """Return a window of which a part cannot be had, with zeros for that."""
        size = self._geometry.inode_bytes
        parts = []
        for index in range(_WINDOW):
            part = bytes(size)
            place = self._geometry.inode_place(first + index)
            if place is None:
                lost[index] = _NO_SUCH
            else:
                try:
                    part = self._cache.read(place, size)
                except FileError as error:
                    lost[index] = f"cannot be read: {error}"
            parts.append(part)
        return b"".join(parts)

    def _decode(self, data: bytes, first: int) -> _Window:
        rows = np.frombuffer(data, np.uint8).reshape(-1, self._geometry.inode_bytes)
        numbers = np.arange(first, first + len(rows), dtype=np.uint64)
        fields = rows[:, : self._layout.itemsize].copy().view(self._layout)[:, 0]
        mode = fields["di_mode"]
        is_old = fields["di_version"] == 1
        links = np.where(is_old, fields["di_onlink"], fields["di_nlink"])
        seconds, ns = self._times(fields)
        columns = [
            numbers.tolist(),
            *(column.tolist() for column in (mode, fields["di_uid"], fields["di_gid"], links)),
            fields["di_size"].tolist(),
            *(
                [second * _NS + rest for second, rest in zip(*pair, strict=True)]
                for pair in zip(seconds.tolist(), ns.tolist(), strict=True)
            ),
            devices_of(rows, mode, self._layout.itemsize),
        ]
        inodes: list[Inode | str] = list(map(Inode._make, zip(*columns, strict=True)))
        faults = self._faults(rows, fields, numbers)
        faults.append(np.logical_or.reduce(ns >= _NS))
        is_bad = np.logical_or.reduce(faults)
        for index in np.flatnonzero(is_bad).tolist():
            inodes[index] = next(
                what for what, bad in zip(_FAULTS, faults, strict=True) if bad[index]
            )
        decoded = Decoded(inodes, outlines_of(rows, fields, self._geometry))
        has_outer = have_blocks_of_attributes(fields)
        is_directory = mode >> 12 == stat.S_IFDIR >> 12
        return _Window(data, decoded, has_outer.tolist(), ~(is_bad | has_outer | is_directory))

    def _times(self, fields: npt.NDArray[Any]) -> tuple[Signed, Signed]:
        """Return the seconds since 1970 and ns of three times, each of shape `(3, n)`."""
        raw = np.stack([fields["di_atime"], fields["di_mtime"], fields["di_ctime"]])
        raw = raw.astype(np.uint64)
        seconds = (raw >> np.uint64(32)).astype(np.uint32).view(np.int32).astype(np.int64)
        ns = (raw & np.uint64(0xFFFFFFFF)).astype(np.int64)
        if not self._geometry.is_v5:
            return seconds, ns
        is_big = (fields["di_flags2"] & np.uint64(xfs.XFS_DIFLAG2_BIGTIME)) != 0
        whole, rest = np.divmod(raw, np.uint64(_NS))
        since_1970 = whole.astype(np.int64) - xfs.XFS_BIGTIME_EPOCH_SECONDS
        return np.where(is_big, since_1970, seconds), np.where(is_big, rest.astype(np.int64), ns)

    def _faults(
        self, rows: Rows, fields: npt.NDArray[Any], numbers: npt.NDArray[np.uint64]
    ) -> list[npt.NDArray[np.bool_]]:
        """Return which inodes each of `_FAULTS` but the last is true of."""
        none = np.zeros(len(rows), dtype=np.bool_)
        is_inode = fields["di_magic"] == xfs.XFS_DINODE_MAGIC
        mode, version = fields["di_mode"], fields["di_version"]
        faults = [~is_inode]
        if self._geometry.is_v5:
            bad_crc = none.copy()
            bad_crc[is_inode] = (
                crcs_with_zeros(rows[is_inode], _CRC_PLACE) != fields["di_crc"][is_inode]
            )
            uuid = np.frombuffer(self._geometry.block_uuid, np.uint8).view(fields["di_uuid"].dtype)
            faults += [
                version != 3,
                bad_crc,
                fields["di_uuid"] != uuid,
                fields["di_ino"] != numbers,
            ]
        else:
            faults += [(version != 1) & (version != 2), none, none, none]
        faults += [mode == 0, ~_TYPES[mode >> 12], fields["di_size"] > _MAX_SIZE]
        return faults
