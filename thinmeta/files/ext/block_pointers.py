"""The blocks of a file of ext2 or ext3: a number for each of them, in blocks of numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.extent_nodes import Numbers, Stretches
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.file_system import FileError
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import (
    EXT4_NDIR_BLOCKS,
    Ext4BlockPointer,
)
from thinmeta.walk.ragged import distinct

_POINTER = dtype_of(Ext4BlockPointer)


class _Pointers:
    """Blocks of a file and where they are, as they are found."""

    def __init__(self, record: InodeRecord, blocks: BlockGroups) -> None:
        self._blocks = blocks
        self._end = -(-record.inode.size // blocks.geometry.block_bytes)
        self._found = 0

    def chosen(self, begins: Numbers, places: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
        """Return of some pointers those that are used, and check them."""
        is_used = (places != 0) & (begins < self._end)
        begins, used = begins[is_used], places[is_used].astype(np.int64)
        first = self._blocks.geometry.superblock.s_first_data_block
        if ((used <= first) | (used >= self._blocks.end)).any():
            raise FileError("its blocks lie where no block can be")
        self._found += len(used)
        if self._found > self._blocks.end:
            raise FileError("it has more blocks than the volume")
        return begins, used

    def below(
        self, begins: Numbers, tables: Numbers, span: int
    ) -> tuple[Numbers, npt.NDArray[Any]]:
        """Return what stands in blocks of pointers, each of which is for `span` blocks."""
        parts = [self._blocks.read(table) for table in tables.tolist()]
        rows = np.frombuffer(b"".join(parts), dtype=np.uint8).view(_POINTER)
        steps = np.arange(len(rows) // len(tables), dtype=np.int64) * span
        return (begins[:, np.newaxis] + steps).ravel(), rows


def pointed_blocks(record: InodeRecord, blocks: BlockGroups) -> Stretches:
    """Return the blocks of a file, one a row; see `read_pointers`."""
    return read_pointers(record, blocks)[0]


def read_pointers(record: InodeRecord, blocks: BlockGroups) -> tuple[Stretches, Numbers]:
    """Return the blocks of a file, one a row, and the blocks of pointers.

    Raises:
        FileError: a block of pointers cannot be read or believed.

    Source: `ext4_block_to_path()`, fs/ext4/indirect.c.
    """
    roots = np.frombuffer(record.body, dtype=np.uint8).view(_POINTER)
    pointers = _Pointers(record, blocks)
    per_block = blocks.geometry.block_bytes // _POINTER.itemsize
    found = [pointers.chosen(np.arange(EXT4_NDIR_BLOCKS), roots[:EXT4_NDIR_BLOCKS])]
    begin, tables_seen = EXT4_NDIR_BLOCKS, np.empty(0, dtype=np.int64)
    for level, root in enumerate(roots[EXT4_NDIR_BLOCKS:], start=1):
        begins, places = pointers.chosen(np.array([begin]), root.reshape(1))
        for depth in range(level, 0, -1):
            if not len(places):
                break
            tables_seen = np.concatenate([tables_seen, places])
            if len(distinct(tables_seen)) < len(tables_seen):
                raise FileError("two of its blocks of pointers are the same")
            begins, rows = pointers.below(begins, places, per_block ** (depth - 1))
            begins, places = pointers.chosen(begins, rows)
        found.append((begins, places))
        begin += per_block**level
    begins, places = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Stretches(begins, np.ones(len(begins), dtype=np.int64), places), tables_seen
