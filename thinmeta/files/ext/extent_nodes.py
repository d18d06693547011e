"""The extents of a file of ext4: a tree whose root is in the inode."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.schemas.columns import dtype_of, fields_at
from thinmeta.schemas.ext4 import (
    EXT4_EXT_MAGIC,
    EXT4_MAX_EXTENT_DEPTH,
    EXT_INIT_MAX_LEN,
    Ext4Extent,
    Ext4ExtentHeader,
    Ext4ExtentIndex,
    Ext4ExtentTail,
)

_HEADER = dtype_of(Ext4ExtentHeader)
_INDEX = dtype_of(Ext4ExtentIndex)
_EXTENT = dtype_of(Ext4Extent)
_TAIL = dtype_of(Ext4ExtentTail)
_FILE_END = 1 << 32

Numbers = npt.NDArray[np.int64]


class Stretches(NamedTuple):
    """Where the blocks of a file are, in order: shape `(n,)`, in blocks."""

    begin: Numbers
    length: Numbers
    place: Numbers


class _Node(NamedTuple):
    """A node to read, and which blocks of the file it may have."""

    block: int
    depth: int
    begin: int
    end: int


class _LeafExtents(NamedTuple):
    """The extents of a leaf, and which of them were written."""

    found: Stretches
    is_written: npt.NDArray[np.bool_]


def extents_of(record: InodeRecord, blocks: BlockGroups) -> Stretches:
    """Return the written extents of a file.

    Raises:
        FileError: a node cannot be read or believed.

    Source: `__ext4_ext_check()` and `ext4_valid_extent_entries()`, fs/ext4/extents.c.
    """
    found = few_rows(record, blocks)
    if found is None:
        return extents_of_tree(record, blocks)
    return Stretches(*np.array(found, dtype=np.int64).reshape(-1, 3).T)


def few_rows(record: InodeRecord, blocks: BlockGroups) -> list[tuple[int, int, int]] | None:
    """Return the rows of the same if all are in the inode and sound, as of most files; else None.

    numpy would take ten times as long for what is at most four rows.
    """
    magic, entries, room, depth = record.root_header
    rows = record.root_extents
    if magic != EXT4_EXT_MAGIC or depth or not entries <= room <= len(rows):
        return None
    first, last = blocks.geometry.superblock.s_first_data_block, blocks.end
    found, next_begin = [], 0
    for begin, length, high, low in rows[:entries]:
        is_written = length <= EXT_INIT_MAX_LEN
        size = length if is_written else length - EXT_INIT_MAX_LEN
        place = high << 32 | low
        if begin < next_begin or not size or not first < place <= last - size:
            return None
        next_begin = begin + size
        if is_written:
            found.append((begin, size, place))
    return None if next_begin > _FILE_END else found


def extents_of_tree(record: InodeRecord, blocks: BlockGroups) -> Stretches:
    """Return the same of any file; see `extents_of()`."""
    return read_extent_tree(record, blocks).written


class ExtentTree(NamedTuple):
    """What is in the tree of a file's extents.

    Attributes:
        written: the extents that were written.
        unwritten: those that were set aside, and never written.
        nodes: the blocks of the tree, whose root is in the inode.
    """

    written: Stretches
    unwritten: Stretches
    nodes: list[int]


def read_extent_tree(record: InodeRecord, blocks: BlockGroups) -> ExtentTree:
    """Read the tree of a file's extents; see `extents_of()`."""
    depth = _header(record.body)[1]
    if depth > EXT4_MAX_EXTENT_DEPTH:
        raise FileError(f"its extents are {depth} levels deep")
    leaves: list[_LeafExtents] = []
    to_read = [*_below(record.body, _Node(0, depth, 0, _FILE_END), leaves, blocks)]
    seen = set()
    while to_read:
        node = to_read.pop()
        if node.block in seen:
            raise FileError(f"two extent nodes are the same block {node.block}")
        seen.add(node.block)
        to_read += _below(_checked(record, node.block, blocks), node, leaves, blocks)
    if not leaves:
        leaves = [_LeafExtents(_stretches(np.empty(0, dtype=_EXTENT)), np.empty(0, dtype=np.bool_))]
    every = Stretches(
        *(np.concatenate(columns) for columns in zip(*(leaf.found for leaf in leaves), strict=True))
    )
    is_written = np.concatenate([leaf.is_written for leaf in leaves])
    written, unwritten = (
        Stretches(*(column[some] for column in every)) for some in (is_written, ~is_written)
    )
    return ExtentTree(written, unwritten, sorted(seen))


def _header(data: bytes) -> tuple[int, int]:
    """Return how many entries a node has, and its depth."""
    magic, entries, room, depth = fields_at(_HEADER, data).values()
    if magic != EXT4_EXT_MAGIC:
        raise FileError(f"an extent node has the magic 0x{magic:04x}, not 0x{EXT4_EXT_MAGIC:04x}")
    if not entries <= room <= (len(data) - _HEADER.itemsize) // _EXTENT.itemsize:
        raise FileError(f"an extent node has {entries} entries in the room of {room}")
    if depth and not entries:
        raise FileError("an extent node has nothing below it")
    return entries, depth


def _below(
    data: bytes, node: _Node, leaves: list[_LeafExtents], blocks: BlockGroups
) -> Iterator[_Node]:
    """Return the children of a node, the last one first; a leaf's extents go into `leaves`."""
    entries, depth = _header(data)
    if depth != node.depth:
        raise FileError(f"an extent node has the depth {depth}, not {node.depth}")
    layout = _INDEX if depth else _EXTENT
    end = _HEADER.itemsize + entries * layout.itemsize
    rows = np.frombuffer(data[_HEADER.itemsize : end], dtype=np.uint8).view(layout)
    found = _children(rows) if depth else _stretches(rows)
    ends = found.begin + found.length
    places_end = found.place + found.length
    if len(rows) and (
        found.begin[0] < node.begin or ends[-1] > node.end or (ends[:-1] > found.begin[1:]).any()
    ):
        raise FileError("its extents are not in order")
    first = blocks.geometry.superblock.s_first_data_block
    if (found.length <= 0).any() or (found.place <= first).any() or (places_end > blocks.end).any():
        raise FileError("its extents lie where no block can be")
    if not depth:
        leaves.append(_LeafExtents(found, rows["ee_len"] <= EXT_INIT_MAX_LEN))
        return
    limits = [*found.begin[1:].tolist(), node.end]
    children = zip(found.place.tolist(), found.begin.tolist(), limits, strict=True)
    for place, begin, limit in reversed([*children]):
        yield _Node(place, depth - 1, begin, limit)


def _children(rows: npt.NDArray[Any]) -> Stretches:
    places = rows["ei_leaf_lo"].astype(np.int64) | rows["ei_leaf_hi"].astype(np.int64) << 32
    return Stretches(rows["ei_block"].astype(np.int64), np.ones(len(rows), dtype=np.int64), places)


def _stretches(rows: npt.NDArray[Any]) -> Stretches:
    length = rows["ee_len"].astype(np.int64)
    length[length > EXT_INIT_MAX_LEN] -= EXT_INIT_MAX_LEN
    places = rows["ee_start_lo"].astype(np.int64) | rows["ee_start_hi"].astype(np.int64) << 32
    return Stretches(rows["ee_block"].astype(np.int64), length, places)


def _checked(record: InodeRecord, block: int, blocks: BlockGroups) -> bytes:
    """Return a node's block, held against its checksum.

    Source: `ext4_extent_block_csum()`, fs/ext4/extents.c.
    """
    data = blocks.read(block)
    if not blocks.geometry.has_checksums:
        return data
    at = _HEADER.itemsize + fields_at(_HEADER, data)["eh_max"] * _EXTENT.itemsize
    if at + _TAIL.itemsize > len(data):
        raise FileError(f"the extent node in block {block} has no room for its checksum")
    if stored(going_on(data[:at], record.seed)) != fields_at(_TAIL, data, at)["et_checksum"]:
        raise FileError(f"the checksum of the extent node in block {block} is wrong")
    return data
