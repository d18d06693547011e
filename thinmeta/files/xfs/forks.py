"""Which blocks hold a file's data, or its attributes: a list of extents, or a tree of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError, FileExtents
from thinmeta.files.xfs.dinodes import Fork
from thinmeta.files.xfs.extent_records import RECORD, taken_apart
from thinmeta.files.xfs.metadata_blocks import EXTENT_BLOCK, MetadataBlocks
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of, fields_at
from thinmeta.walk.columnar import Columnar

Blocks = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_POINTER = dtype_of(xfs.BmbtPtr)
_ROOT = dtype_of(xfs.BmdrBlock)
_ENTRY_BYTES = 2 * _POINTER.itemsize
_MOST_LEVELS = 16
_OUTSIDE = "one of its extents is past the end of the file system, or of what a file may be"

NO_EXTENTS = FileExtents(*(np.zeros(0, dtype=np.uint64) for _ in range(3)))


@dataclass(frozen=True, slots=True, eq=False)
class ForkExtents(Columnar):
    """Runs of blocks, in order, as columns of shape `(n,)`.

    Attributes:
        begin: in the file, in blocks.
        length: in blocks.
        place: in the volume, in bytes.
        is_unwritten: whether it was set aside and never written.
    """

    begin: Blocks
    length: Blocks
    place: Blocks
    is_unwritten: Flags

    def each_block(self, block_bytes: int) -> Iterator[tuple[int, int]]:
        """Return each block: which of the file, and at which byte of the volume."""
        columns = (self.begin, self.length, self.place)
        for begin, length, place in zip(*(each.tolist() for each in columns), strict=True):
            for index in range(length):
                yield begin + index, place + index * block_bytes

    def find(self, block: int, block_bytes: int) -> int | None:
        """Return at which byte of the volume a block of the file is; None: it is a hole."""
        row = int(np.searchsorted(self.begin, np.uint64(block), side="right")) - 1
        if row < 0 or block >= int(self.begin[row]) + int(self.length[row]):
            return None
        return int(self.place[row]) + (block - int(self.begin[row])) * block_bytes


def read_extents(fork: Fork, blocks: MetadataBlocks, nodes: list[int] | None = None) -> ForkExtents:
    """Return where a fork's blocks are.

    Args:
        fork: which.
        blocks: of the file system.
        nodes: is given the numbers of the blocks of its tree.

    Raises:
        FileError: that cannot be read or believed.
    """
    match fork.form:
        case xfs.XFS_DINODE_FMT_EXTENTS:
            records = _listed(fork)
        case xfs.XFS_DINODE_FMT_BTREE:
            records = _tree(fork, blocks, [] if nodes is None else nodes)
        case _:
            raise FileError(f"its format {fork.form} is wrong for its type")
    columns = (records["l0"].astype(np.uint64), records["l1"].astype(np.uint64))
    begin, length, place, is_unwritten, is_sound = taken_apart(*columns, blocks.geometry)
    if not is_sound.all():
        raise FileError(_OUTSIDE)
    if (begin[1:] < (begin + length)[:-1]).any():
        raise FileError("its extents are not in order")
    return ForkExtents(begin, length, place, is_unwritten != 0)


def read_file_extents(fork: Fork, blocks: MetadataBlocks) -> FileExtents:
    """Return where the bytes of a file are: neighbours joined, without what was never written.

    Raises:
        FileError: that cannot be read or believed.
    """
    return _joined(read_extents(fork, blocks), np.uint64(blocks.geometry.block_bytes))


def _joined(extents: ForkExtents, unit: np.uint64) -> FileExtents:
    written = extents[~extents.is_unwritten]
    if not len(written):
        return NO_EXTENTS
    begin, length, place = written.begin * unit, written.length * unit, written.place
    end = begin + length
    is_first = np.ones(len(begin), dtype=np.bool_)
    is_first[1:] = (begin[1:] != end[:-1]) | (place[1:] - place[:-1] != length[:-1])
    first = np.flatnonzero(is_first)
    return FileExtents(begin[first], np.add.reduceat(length, first), place[first])


def read_metadata_extents(fork: Fork, blocks: MetadataBlocks) -> ForkExtents:
    """Return where a fork's blocks are, each of which is there once; a file may share its own.

    Raises:
        FileError: that cannot be read or believed.
    """
    extents = read_extents(fork, blocks)
    order = np.argsort(extents.place)
    begin = extents.place[order]
    end = begin + extents.length[order] * np.uint64(blocks.geometry.block_bytes)
    if (begin[1:] < end[:-1]).any():
        raise FileError("one of its blocks is there twice")
    return extents


def _listed(fork: Fork) -> npt.NDArray[np.void]:
    """Return the records that are in the inode."""
    size = fork.nr_extents * RECORD.itemsize
    if size > len(fork.data):
        raise FileError("it has more extents than room for them")
    return _records(fork.data[:size])


def _records(data: bytes) -> npt.NDArray[np.void]:
    return np.frombuffer(data, np.uint8).view(RECORD)


def _tree(fork: Fork, blocks: MetadataBlocks, nodes: list[int]) -> npt.NDArray[np.void]:
    """Return the records of a tree, level by level, each block once; put these into `nodes`.

    Source: `xfs_iread_extents()`, fs/xfs/libxfs/xfs_bmap.c (Linux v6.6).
    """

    def fault(what: str) -> FileError:
        return FileError(f"its tree of extents {what}")

    geometry = blocks.geometry
    if len(fork.data) < _ROOT.itemsize:
        raise fault("has no root")
    root = fields_at(_ROOT, fork.data)
    if not 1 <= root["bb_level"] <= _MOST_LEVELS:
        raise fault("has a height that is out of range")
    pointers = _pointers(fork.data, _ROOT.itemsize, root["bb_numrecs"])
    seen: set[int] = set()
    header = EXTENT_BLOCK.header_bytes(geometry)
    leaves = []
    for level in range(root["bb_level"] - 1, -1, -1):
        below: list[int] = []
        for pointer in pointers or ():
            if pointer in seen:
                raise fault(f"has block {pointer} twice")
            seen.add(pointer)
            nodes.append(pointer)
            data, fields = blocks.read([geometry.place(pointer)], EXTENT_BLOCK, fork.number)
            count = fields["bb_numrecs"]
            children = _pointers(data, header, count)
            if fields["bb_level"] != level or children is None:
                raise fault(f"has a block {pointer} of another height, or size")
            if level:
                below += children
            else:
                leaves.append(data[header : header + count * RECORD.itemsize])
        if not pointers:
            raise fault("has a block with none or too many below")
        pointers = below
    records = _records(b"".join(leaves))
    if len(records) != fork.nr_extents:
        raise fault(f"has {len(records)} extents, not {fork.nr_extents}")
    return records


def _pointers(data: bytes, header: int, count: int) -> list[int] | None:
    """Return the pointers of a node; None if it has not room for so many, or has none."""
    most = (len(data) - header) // _ENTRY_BYTES
    if not 0 < count <= most:
        return None
    begin = header + most * _POINTER.itemsize
    pointers: list[int] = (
        np.frombuffer(data[begin : begin + count * _POINTER.itemsize], np.uint8)
        .view(_POINTER)
        .tolist()
    )
    return pointers
