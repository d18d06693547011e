"""The names in a block of a directory of ext4, and the block's checksum.

An index of hashes looks like blocks without entries, so that all blocks are read alike.
"""

import numpy as np

from thinmeta.files.ext.geometry import Geometry
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import Entry, FileError
from thinmeta.schemas.columns import dtype_of, field_of, fields_at
from thinmeta.schemas.ext4 import (
    EXT4_FEATURE_INCOMPAT_FILETYPE,
    EXT4_INDEX_FL,
)
from thinmeta.schemas.ext4_directory import (
    DX_INFO_LENGTH,
    EXT4_FT_DIR_CSUM,
    EXT4_MAX_REC_LEN,
    Ext4DirEntry,
    Ext4DirEntryTail,
    Ext4DxCountLimit,
    Ext4DxRootInfo,
    Ext4DxTail,
)

_ENTRY = dtype_of(Ext4DirEntry)
_TAIL = dtype_of(Ext4DirEntryTail)
_ROOT_INFO = dtype_of(Ext4DxRootInfo)
_COUNT_LIMIT = dtype_of(Ext4DxCountLimit)
_DX_TAIL = dtype_of(Ext4DxTail)
_DX_CHECKSUM_AT, _ = field_of(Ext4DxTail, "dt_checksum")

_ALIGNED = 4
_LEAST = 12
"""Bytes of an entry whose name has one to four of them."""

_MAX_NAME = 255
_DOTS = (b".", b"..")


def read_entries(data: bytes, geometry: Geometry, found: list[Entry]) -> None:
    """Put the names of a block, or of a part of an inode, into `found`, without `.` and `..`.

    Raises:
        FileError: an entry cannot be believed, nor what is behind it; all before it is found.

    Source: `__ext4_check_dir_entry()`, fs/ext4/dir.c.
    """
    numbers, lengths, name_lengths = _columns(data, geometry)
    end, last = len(data), geometry.superblock.s_inodes_count
    begin = 0
    while begin < end:
        place = begin // _ALIGNED
        if end - begin < _LEAST:
            raise FileError(f"the entry at byte {begin} does not fit")
        length = lengths[place]
        number, name_length = numbers[place], name_lengths[place]
        after = begin + length
        if length < _LEAST or length % _ALIGNED or after > end:
            raise FileError(f"the entry at byte {begin} has the length {length}")
        if number:
            name_at = begin + _ENTRY.itemsize
            if not 0 < name_length <= _MAX_NAME or name_at + name_length > after:
                raise FileError(f"the entry at byte {begin} has a name of {name_length} bytes")
            if number > last:
                raise FileError(f"the entry at byte {begin} is of inode {number}, of {last}")
            name = data[name_at : name_at + name_length]
            if name not in _DOTS:
                found.append(Entry(name, number))
        begin = after


def _columns(data: bytes, geometry: Geometry) -> tuple[list[int], list[int], list[int]]:
    """Return inode, length and length of the name of what would begin at each place."""
    count = max(0, (len(data) - _ENTRY.itemsize) // _ALIGNED + 1)
    heads = np.ndarray((count,), dtype=_ENTRY, buffer=data, strides=(_ALIGNED,))
    name_lengths = heads["name_len"]
    if not geometry.incompat & EXT4_FEATURE_INCOMPAT_FILETYPE:
        name_lengths = name_lengths | heads["file_type"].astype(np.uint16) << np.uint16(8)
    lengths = heads["rec_len"]
    if len(data) > EXT4_MAX_REC_LEN:
        lengths = lengths.astype(np.int64)
        lengths[(lengths == EXT4_MAX_REC_LEN) | (lengths == 0)] = EXT4_MAX_REC_LEN + 1
    return heads["inode"].tolist(), lengths.tolist(), name_lengths.tolist()


def refuse_wrong_checksum(data: bytes, place: int, record: InodeRecord, geometry: Geometry) -> None:
    """Hold a block of a directory against its checksum.

    Args:
        data: the block.
        place: which block of the directory it is.
        record: the directory.
        geometry: of the file system.

    Raises:
        FileError: it is wrong, or it is missing.

    Source: `__ext4_read_dirblock()` and `ext4_dirblock_csum_verify()`, fs/ext4/namei.c.
    """
    if record.flags & EXT4_INDEX_FL:
        begin = _index_begin(data, place, geometry)
        if begin is not None and _index_is_right(data, begin, record):
            return
    at = len(data) - _TAIL.itemsize
    tail = fields_at(_TAIL, data, at)
    wanted = tail.pop("det_checksum")
    if tuple(tail.values()) != (0, _TAIL.itemsize, 0, EXT4_FT_DIR_CSUM):
        raise FileError("it has no checksum")
    if stored(going_on(data[:at], record.seed)) != wanted:
        raise FileError("its checksum is wrong")


def _index_begin(data: bytes, place: int, geometry: Geometry) -> int | None:
    """Return where in a block an index of hashes begins; None if there is none.

    Source: `get_dx_countlimit()`, fs/ext4/namei.c.
    """
    _, lengths, _ = _columns(data, geometry)
    first, second = lengths[0], lengths[_LEAST // _ALIGNED]
    size = len(data)
    if place:
        return _ENTRY.itemsize if first == size else None
    at = 2 * _LEAST
    info_length = fields_at(_ROOT_INFO, data, at)["info_length"]
    if first == _LEAST and second == size - _LEAST and info_length == DX_INFO_LENGTH:
        return at + _ROOT_INFO.itemsize
    return None


def _index_is_right(data: bytes, begin: int, record: InodeRecord) -> bool:
    """Tell whether the checksum of an index of hashes is right.

    Source: `ext4_dx_csum()`, fs/ext4/namei.c.
    """
    limit, count = fields_at(_COUNT_LIMIT, data, begin).values()
    end = begin + count * _COUNT_LIMIT.itemsize
    tail_at = begin + limit * _COUNT_LIMIT.itemsize
    tail = data[tail_at : tail_at + _DX_TAIL.itemsize]
    if count > limit or len(tail) < _DX_TAIL.itemsize:
        return False
    zeros = bytes(_DX_TAIL.itemsize - _DX_CHECKSUM_AT)
    running = going_on(data[:end], record.seed)
    running = going_on(tail[:_DX_CHECKSUM_AT] + zeros, running)
    return bool(stored(running) == fields_at(_DX_TAIL, tail)["dt_checksum"])
