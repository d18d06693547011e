"""What a file of ext2, ext3 or ext4 takes of its volume."""

from collections.abc import Iterable, Iterator

import numpy as np

from thinmeta.files.ext.attribute_entries import attributes_in_block, attributes_in_inode
from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.block_pointers import read_pointers
from thinmeta.files.ext.extent_nodes import Stretches, few_rows, read_extent_tree
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.ext.inode_tables import InodeTables
from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import gathered
from thinmeta.schemas.ext4 import (
    EXT4_EXTENTS_FL,
    EXT4_FEATURE_INCOMPAT_EA_INODE,
    EXT4_INLINE_DATA_FL,
)


class ExtParts:
    """Finds the parts of files."""

    def __init__(self, blocks: BlockGroups, inodes: InodeTables) -> None:
        """Look into `blocks`, for what `inodes` say."""
        self._blocks = blocks
        self._inodes = inodes

    def of_file(self, record: InodeRecord, *, has_blocks: bool) -> FileParts:
        """Return all parts of a file.

        Args:
            record: its inode.
            has_blocks: its inode says which, and does not have its content in their place.

        Raises:
            PartsError: where some are cannot be read or believed.
        """
        width = self._blocks.geometry.inode_bytes
        place = self._inodes.place(record.inode.number)
        return gathered(
            record.inode.number,
            [FileParts.of([(FilePart.INODE, 0, width, place)])],
            self._content(record) if has_blocks else (),
            self._attributes(record),
        )

    def _content(self, record: InodeRecord) -> Iterator[FileParts]:
        if record.flags & EXT4_INLINE_DATA_FL:
            return
        if not record.flags & EXT4_EXTENTS_FL:
            pointed, tables = read_pointers(record, self._blocks)
            yield self._stretches(FilePart.CONTENT, pointed)
            yield self._single(FilePart.MAP, tables.tolist())
            return
        rows = few_rows(record, self._blocks)
        if rows is not None and len(rows) == record.root_header[1]:
            columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
            yield self._stretches(FilePart.CONTENT, Stretches(*columns))
            return
        tree = read_extent_tree(record, self._blocks)
        yield self._stretches(FilePart.CONTENT, tree.written)
        yield self._stretches(FilePart.UNWRITTEN, tree.unwritten)
        yield self._single(FilePart.MAP, tree.nodes)

    def _attributes(self, record: InodeRecord) -> Iterator[FileParts]:
        if record.attribute_block:
            yield self._single(FilePart.ATTRIBUTES, [record.attribute_block])
        if not self._blocks.geometry.incompat & EXT4_FEATURE_INCOMPAT_EA_INODE:
            return
        attributes = [*attributes_in_inode(record)]
        if record.attribute_block:
            attributes += attributes_in_block(record.attribute_block, self._blocks)
        for number in sorted({each.value_inode for each in attributes if each.value_inode}):
            width = self._blocks.geometry.inode_bytes
            yield FileParts.of([(FilePart.ATTRIBUTES, 0, width, self._inodes.place(number))])
            for each in self._content(self._inodes.record(number)):
                yield each.for_attributes()

    def _single(self, part: FilePart, blocks: Iterable[int]) -> FileParts:
        width = self._blocks.geometry.block_bytes
        return FileParts.of((part, 0, width, block * width) for block in blocks)

    def _stretches(self, part: FilePart, found: Stretches) -> FileParts:
        width = self._blocks.geometry.block_bytes
        return FileParts.alike(part, *((column * width).view(np.uint64) for column in found))
