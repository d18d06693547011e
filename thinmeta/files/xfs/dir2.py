"""Directories: in the inode, in one block, or in many.

Of a directory with many blocks those are read that hold names. Its index, from 32 GiB on, is not.
"""

from itertools import groupby

import numpy as np

from thinmeta.files.file_system import DirectoryError, Entry, FileError, Inode
from thinmeta.files.xfs.dinodes import Fork
from thinmeta.files.xfs.forks import ForkExtents, read_metadata_extents
from thinmeta.files.xfs.metadata_blocks import DIRECTORY_BLOCK, MetadataBlocks
from thinmeta.schemas import xfs, xfs_directory
from thinmeta.schemas.columns import dtype_of, fields_at, numbers_at

_SHORT = dtype_of(xfs_directory.Dir2SfHdr)
_TAIL = dtype_of(xfs_directory.Dir2BlockTail)
_WORD = dtype_of(xfs_directory.Dir2Word)
_NUMBERS = {False: dtype_of(xfs_directory.Dir2SfNumber4), True: dtype_of(xfs_directory.Dir2Word)}
_ONE_BLOCK = {xfs_directory.XFS_DIR2_BLOCK_MAGIC, xfs_directory.XFS_DIR3_BLOCK_MAGIC}
_HASH_BYTES = 8
_MOST_FAULTS = 1000
"""After so many blocks that cannot be read a directory is given up."""


def entries(directory: Inode, fork: Fork, blocks: MetadataBlocks) -> list[Entry]:
    """Return what is in a directory, in the order on disk, without `.` and `..`.

    Raises:
        DirectoryError: a part of the directory cannot be read or believed; it has the rest.
    """
    found: list[Entry] = []
    faults: list[str] = []
    try:
        if fork.form == xfs.XFS_DINODE_FMT_LOCAL:
            _read_short(directory, fork.data, found, has_type=blocks.geometry.has_ftype)
        else:
            _read_blocks(directory, read_metadata_extents(fork, blocks), blocks, found, faults)
    except FileError as error:
        faults.append(str(error))
    if faults:
        more = f"; and {len(faults) - 1} more of its blocks" if len(faults) > 1 else ""
        raise DirectoryError(f"{faults[0]}{more}", found)
    return found


def _read_short(directory: Inode, data: bytes, found: list[Entry], *, has_type: bool) -> None:
    """Add what is in a directory that is in its inode."""
    size = directory.size
    names, places = [], []
    at = 0
    if _SHORT.itemsize <= size <= len(data):
        header = fields_at(_SHORT, data)
        layout = _NUMBERS[header["i8count"] > 0]
        at = _SHORT.itemsize + layout.itemsize  # after the parent's number
        for _ in range(header["count"]):
            if at >= size:
                break
            begin = at + 3
            place = begin + data[at] + has_type
            at = place + layout.itemsize
            if at > size or not data[begin - 3]:
                break
            names.append(data[begin : place - has_type])
            places.append(place)
        found += map(Entry, names, numbers_at(layout, data, places))
    if not at or at != size or len(names) != header["count"]:
        raise FileError("its list of names in the inode is out of shape")


def _read_blocks(
    directory: Inode,
    extents: ForkExtents,
    blocks: MetadataBlocks,
    found: list[Entry],
    faults: list[str],
) -> None:
    """Add what is in a directory that has blocks, and what is wrong with them."""
    block_bytes = blocks.geometry.block_bytes
    unit = blocks.geometry.directory_block_blocks
    index = xfs_directory.XFS_DIR2_LEAF_OFFSET // block_bytes
    with_names = extents[extents.begin < index]
    end = int(with_names.begin[-1] + with_names.length[-1]) if len(with_names) else 0
    if not end or end * block_bytes != directory.size:
        faults.append(f"its size is {directory.size} bytes, and that of its blocks another")
    reader = _BlockReader(directory.number, blocks, found)
    for _, group in groupby(with_names.each_block(block_bytes), lambda each: each[0] // unit):
        try:
            reader.read([place for _, place in group])
        except FileError as error:
            faults.append(str(error))
            if len(faults) >= _MOST_FAULTS:
                break


class _BlockReader:
    """Reads the blocks of one directory."""

    def __init__(self, number: int, blocks: MetadataBlocks, found: list[Entry]) -> None:
        """Add what is in them to `found`."""
        self._number = number
        self._blocks = blocks
        self._found = found

    def read(self, places: list[int]) -> None:
        """Add what is in one directory block."""
        geometry = self._blocks.geometry
        if len(places) != geometry.directory_block_blocks:
            raise FileError(f"a part of the directory block at byte {places[0]} is not there")
        data, fields = self._blocks.read(places, DIRECTORY_BLOCK, self._number)
        end = len(data)
        if fields["magic"] in _ONE_BLOCK:
            end -= _TAIL.itemsize
            end -= fields_at(_TAIL, data, end)["count"] * _HASH_BYTES
        begin = DIRECTORY_BLOCK.header_bytes(geometry)
        if end < begin or not self._add_entries(data, begin, end):
            raise FileError(f"the directory block at byte {places[0]} is out of shape")

    def _add_entries(self, data: bytes, at: int, end: int) -> bool:
        """Add the entries of a block up to where it is out of shape; return whether it is not."""
        words = np.frombuffer(data, np.uint8).view(_WORD).tolist()
        beside = 8 + 1 + self._blocks.geometry.has_ftype + 2 + 7
        while at < end:
            word = words[at >> 3]
            is_free = word >> 48 == xfs_directory.XFS_DIR2_DATA_FREE_TAG
            name_bytes = data[at + 8] if not is_free and at + 8 < end else 0
            size = (word >> 32 & 0xFFFF) if is_free else (name_bytes + beside) & ~7
            stop = at + size
            if not size or stop & 7 or stop > end or words[(stop >> 3) - 1] & 0xFFFF != at:
                return False
            if not is_free:
                name = data[at + 9 : at + 9 + name_bytes]
                if name == b".":
                    if word != self._number:
                        return False
                elif name != b"..":
                    if not name:
                        return False
                    self._found.append(Entry(name, word))
            at = stop
        return True
