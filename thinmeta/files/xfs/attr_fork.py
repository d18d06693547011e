"""Extended attributes: in the inode, in a leaf, or in a tree, with long values beside it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError
from thinmeta.files.xfs.dinodes import Fork
from thinmeta.files.xfs.forks import read_metadata_extents
from thinmeta.files.xfs.metadata_blocks import (
    ATTRIBUTE_BLOCK,
    ATTRIBUTE_VALUE,
    MetadataBlocks,
)
from thinmeta.schemas import xfs, xfs_directory
from thinmeta.schemas.columns import dtype_of, fields_at

_SHORT = dtype_of(xfs_directory.AttrSfHdr)
_SHORT_ENTRY = dtype_of(xfs_directory.AttrSfEntry)
_CHILD = dtype_of(xfs_directory.DaNodeEntry)
_LEAF_ENTRY = dtype_of(xfs_directory.AttrLeafEntry)
_LOCAL = dtype_of(xfs_directory.AttrLeafNameLocal)
_REMOTE = dtype_of(xfs_directory.AttrLeafNameRemote)
_LEAF_HEADER = {
    False: xfs_directory.AttrLeafHdr.sizeof(),
    True: xfs_directory.Attr3LeafHdr.sizeof(),
}
_LEAVES = {xfs_directory.XFS_ATTR_LEAF_MAGIC, xfs_directory.XFS_ATTR3_LEAF_MAGIC}
_MOST_BYTES = 64 << 20
"""Of the values of one file: what is more is refused, before it takes the memory."""

_NOT_SHOWN = xfs_directory.XFS_ATTR_PARENT | xfs_directory.XFS_ATTR_INCOMPLETE


class Attribute(NamedTuple):
    """An attribute: its name without name space, and which that is.

    Attributes:
        flags: `XFS_ATTR_...`.
        name: its bytes.
        value: its bytes.
    """

    flags: int
    name: bytes
    value: bytes


def attributes(fork: Fork, blocks: MetadataBlocks) -> Iterator[Attribute]:
    """Return the attributes of a file that are shown, in the order on disk.

    Raises:
        FileError: they cannot be read or believed.
    """
    if fork.form == xfs.XFS_DINODE_FMT_LOCAL:
        found = _short(fork)
    elif fork.form == xfs.XFS_DINODE_FMT_EXTENTS and not fork.nr_extents:
        return  # as newer kernels make it with the inode
    else:
        found = _AttributeTree(fork, blocks).attributes()
    size = 0
    for each in found:
        size += len(each.value)
        if size > _MOST_BYTES:
            raise FileError("its attributes have more than 64 MiB")
        yield each


def _short(fork: Fork) -> Iterator[Attribute]:
    fault = FileError("its attributes in the inode are out of shape")
    data = fork.data
    if len(data) < _SHORT.itemsize:
        raise fault
    header = fields_at(_SHORT, data)
    end, at = header["totsize"], _SHORT.itemsize
    if end > len(data):
        raise fault
    for _ in range(header["count"]):
        name_at = at + _SHORT_ENTRY.itemsize
        if name_at > end:
            raise fault
        name_bytes, value_bytes, flags = fields_at(_SHORT_ENTRY, data, at).values()
        value_at = name_at + name_bytes
        at = value_at + value_bytes
        if at > end or not name_bytes:
            raise fault
        if not flags & _NOT_SHOWN:
            yield Attribute(flags, data[name_at:value_at], data[value_at:at])
    if at != end:
        raise fault


class _AttributeTree:
    """The blocks of a file's attributes."""

    def __init__(self, fork: Fork, blocks: MetadataBlocks) -> None:
        self._number = fork.number
        self._blocks = blocks
        self._extents = read_metadata_extents(fork, blocks)
        self._used: set[int] = set()

    def attributes(self) -> Iterator[Attribute]:
        for leaf in self._leaves():
            yield from self._in_leaf(*leaf)

    def _fault(self, what: str) -> FileError:
        return FileError(f"its attributes {what}")

    def _place(self, block: int) -> int:
        """Return where a block is, which nothing else refers to."""
        place = self._extents.find(block, self._blocks.geometry.block_bytes)
        if place is None:
            raise self._fault(f"have no block {block}")
        if block in self._used:
            raise self._fault(f"have block {block} twice")
        self._used.add(block)
        return place

    def _leaves(self) -> Iterator[tuple[bytes, int]]:
        """Return the leaves below block 0, or that itself, each with its number of entries."""
        height: int | None = None
        pending = [0]
        header = ATTRIBUTE_BLOCK.header_bytes(self._blocks.geometry)
        while pending:
            below: list[int] = []
            for block in pending:
                place = self._place(block)
                data, fields = self._blocks.read([place], ATTRIBUTE_BLOCK, self._number)
                is_leaf = fields["magic"] in _LEAVES
                level = 0 if is_leaf else fields["level"]
                height = level if height is None else height
                if level != height or level > xfs_directory.XFS_DA_NODE_MAXDEPTH:
                    raise self._fault(f"have a block {block} of another height")
                if is_leaf:
                    yield data, fields["count"]
                elif not level:
                    raise self._fault(f"have a node {block} without height")
                else:
                    children = self._array(_CHILD, data, header, fields["count"])
                    below += children["before"].tolist()
            height = (height or 0) - 1
            pending = below

    def _in_leaf(self, data: bytes, count: int) -> Iterator[Attribute]:
        header = _LEAF_HEADER[self._blocks.geometry.is_v5]
        entries = self._array(_LEAF_ENTRY, data, header, count)
        columns = (entries["nameidx"].tolist(), entries["flags"].tolist())
        for at, flags in zip(*columns, strict=True):
            if flags & _NOT_SHOWN:
                continue
            layout = _LOCAL if flags & xfs_directory.XFS_ATTR_LOCAL else _REMOTE
            name_at = at + layout.itemsize
            if at < header or name_at > len(data):
                raise self._fault("have a name past the end of its block")
            fields = fields_at(layout, data, at)
            value_at = name_at + fields["namelen"]
            size = fields["valuelen"]
            is_local = layout is _LOCAL
            end = value_at + (size if is_local else 0)
            if end > len(data) or not fields["namelen"]:
                raise self._fault("have a name or value past the end of its block")
            value = data[value_at:end] if is_local else self._remote(fields["valueblk"], size)
            yield Attribute(flags, data[name_at:value_at], value)

    def _array(
        self, layout: np.dtype[Any], data: bytes, begin: int, count: int
    ) -> npt.NDArray[Any]:
        """Return the structures that stand side by side in a block."""
        end = begin + count * layout.itemsize
        if end > len(data):
            raise self._fault("have a block with more entries than room for them")
        return np.frombuffer(data, np.uint8)[begin:end].view(layout)

    def _remote(self, block: int, size: int) -> bytes:
        """Return a value that has blocks of its own.

        Source: `xfs_attr_rmtval_copyout()`, fs/xfs/libxfs/xfs_attr_remote.c (Linux v6.6).
        """
        if size > xfs_directory.XFS_XATTR_SIZE_MAX:
            raise self._fault(f"have a value of {size} bytes, and 65536 are the most")
        header = ATTRIBUTE_VALUE.header_bytes(self._blocks.geometry)
        value = bytearray()
        while len(value) < size:
            place = self._place(block)
            data, fields = self._blocks.read([place], ATTRIBUTE_VALUE, self._number)
            part = data[header : header + size - len(value)]
            if fields and (fields["rm_offset"], fields["rm_bytes"]) != (len(value), len(part)):
                raise self._fault(f"have in block {block} another part of a value")
            value += part
            block += 1
        return bytes(value)
