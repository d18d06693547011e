"""Blocks by their numbers, and where each group of them has its inodes."""

from functools import lru_cache

from thinmeta.files.ext.geometry import Geometry, read_geometry
from thinmeta.files.ext.group_descriptors import GroupDescriptors
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache


class BlockGroups:
    """The blocks of a file system.

    Attributes:
        cache: what reads them.
        geometry: how many there are, and how large.
        end: how many of them are on the volume.
        descriptors: of the groups.
    """

    def __init__(self, cache: Cache) -> None:
        """Read the superblock; see `read_geometry()` for what it raises."""
        self.cache = cache
        self.geometry: Geometry = read_geometry(cache)
        self.end = min(self.geometry.nr_blocks, cache.size // self.geometry.block_bytes)
        # Of another object: a cache of a method of this one would keep it, and all that was read,
        # until garbage is collected.
        self.descriptors = GroupDescriptors(cache, self.geometry)
        self._tables = lru_cache(maxsize=4096)(self.descriptors.read)

    def read(self, block: int) -> bytes:
        """Return a block.

        Raises:
            FileError: it cannot be had.
        """
        size = self.geometry.block_bytes
        return self.cache.read(block * size, size)

    def inode_table(self, group: int) -> int:
        """Return at which block the inodes of a group begin.

        Raises:
            FileError: the group's descriptor cannot be read or believed.
        """
        geometry = self.geometry
        part, place = divmod(group, geometry.block_bytes // geometry.descriptor_bytes)
        table, is_right = self._tables(part)[place]
        if not is_right:
            raise FileError(f"the checksum of the descriptor of block group {group} is wrong")
        inodes = geometry.superblock.s_inodes_per_group
        length = -(-inodes * geometry.inode_bytes // geometry.block_bytes)
        if not geometry.superblock.s_first_data_block < table <= geometry.nr_blocks - length:
            raise FileError(
                f"block group {group} has its inodes at block {table}, where none can be"
            )
        return int(table)
