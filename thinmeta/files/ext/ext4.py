"""A file system of the kind ext2, ext3 or ext4, open for reading."""

import stat
from collections.abc import Hashable, Iterator, Mapping, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.acl_entries import as_xattr
from thinmeta.files.ext.attribute_entries import (
    MAX_VALUE_BYTES,
    ExtAttribute,
    attributes_in_block,
    attributes_in_inode,
)
from thinmeta.files.ext.block_bitmaps import free_blocks
from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.directories import read_directory
from thinmeta.files.ext.ext_parts import ExtParts
from thinmeta.files.ext.file_contents import content_stretches, inline_content, small_content
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.ext.inode_tables import InodeTables
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_parts import FilePart, FileParts
from thinmeta.files.file_system import (
    DirectoryError,
    Entry,
    FileError,
    FileExtents,
    FileSystem,
    Inode,
    about_inode,
)
from thinmeta.files.outline import Outline
from thinmeta.files.posix_acl import ACCESS, DEFAULT
from thinmeta.files.reading import Cache
from thinmeta.schemas.ext4 import (
    EXT4_EA_INODE_FL,
    EXT4_EXTENTS_FL,
    EXT4_FEATURE_INCOMPAT_EA_INODE,
    EXT4_FEATURE_INCOMPAT_RECOVER,
    EXT4_INLINE_DATA_FL,
    EXT4_ROOT_INO,
)
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges
from thinmeta.walk.ragged import Places

_SECTOR = 512
_NS = 10**9
_ACLS = (ACCESS, DEFAULT)
_WITH_BLOCKS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class Ext4(FileSystem):
    """ext2, ext3 or ext4.

    Attributes:
        superblock: its fields, by the kernel's names.
        journal_inode: the number of the inode that is the journal; 0 if there is none.
        needs_recovery: whether the journal must be replayed.
        uuid: of the file system.
        label: of the file system, as its bytes are.
    """

    root = EXT4_ROOT_INO

    def __init__(self, cache: Cache) -> None:
        """Read the superblock.

        Raises:
            InputError: there is none, or it cannot be read or believed.
            UnsupportedFormatError: it has a feature that is not read here.
        """
        self._blocks = BlockGroups(cache)
        self._inodes = InodeTables(self._blocks)
        self._parts = ExtParts(self._blocks, self._inodes)
        geometry = self._blocks.geometry
        self._has_values_elsewhere = bool(geometry.incompat & EXT4_FEATURE_INCOMPAT_EA_INODE)
        self.kind = geometry.kind
        self.block_bytes = geometry.block_bytes
        self.superblock = geometry.superblock
        self.journal_inode: int = geometry.superblock.s_journal_inum
        self.needs_recovery = bool(geometry.incompat & EXT4_FEATURE_INCOMPAT_RECOVER)
        self.uuid = UUID(bytes=geometry.superblock.s_uuid)
        self.label: bytes = geometry.superblock.s_volume_name.partition(b"\0")[0]

    def inodes(self, numbers: Sequence[int]) -> list[Inode | FileError]:
        """Return the inodes of these numbers; see `FileSystem.inodes()`."""
        return self._inodes.inodes(numbers)

    def outlines(self, inodes: Sequence[Inode]) -> list[Outline]:
        """Return what is known of inodes already; see `FileSystem.outlines()`."""
        blocks, have_xattrs = self._inodes.outlines([inode.number for inode in inodes])
        unit, last = self.block_bytes, self._blocks.cache.size
        outlines = []
        for inode, block, has_xattrs in zip(inodes, blocks, have_xattrs, strict=True):
            place = block * unit
            is_plain = block and inode.type == stat.S_IFREG and place + inode.size <= last
            outlines.append(Outline(place if is_plain else None, has_xattrs))
        return outlines

    def entries(self, directory: Inode) -> Sequence[Entry]:
        """Return what is in a directory; see `FileSystem.entries()`."""
        found: list[Entry] = []
        try:
            record = self._inodes.record(directory.number)
        except FileError as error:
            raise DirectoryError(str(error), found) from error
        faults = list(read_directory(record, self._blocks, found))
        if faults:
            others = f" (and {len(faults) - 1} more, the last: {faults[-1]})" if faults[1:] else ""
            raise DirectoryError(f"inode {directory.number}: {faults[0]}{others}", found)
        return found

    def link_target(self, link: Inode) -> bytes:
        """Return where a symbolic link leads; see `FileSystem.link_target()`."""
        record = self._inodes.record(link.number)
        with about_inode(link.number):
            if record.inode.type != stat.S_IFLNK:
                raise FileError("it is no symbolic link")
            target = self._fast_target(record)
            if target is None:
                target = small_content(record, self._blocks, self.block_bytes)
            if not target or b"\0" in target:
                raise FileError("it is a symbolic link that leads nowhere")
            return target

    def _fast_target(self, record: InodeRecord) -> bytes | None:
        """Return a link's target if it is where other files have their map; else None."""
        if record.inode.type != stat.S_IFLNK or inline_content(record) is not None:
            return None
        return record.body[: record.inode.size] if self._is_fast(record) else None

    def _is_fast(self, record: InodeRecord) -> bool:
        """Tell whether a link's target is where other files have their map.

        Source: `ext4_inode_is_fast_symlink()`, fs/ext4/inode.c.
        """
        if record.flags & (EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL):
            return False
        if record.inode.type != stat.S_IFLNK or record.inode.size >= len(record.body):
            return False
        geometry = self._blocks.geometry
        cluster = 1024 << geometry.superblock.s_log_cluster_size
        of_attributes = cluster // _SECTOR if record.attribute_block else 0
        has_values = geometry.incompat & EXT4_FEATURE_INCOMPAT_EA_INODE
        return bool(record.sectors == of_attributes or has_values)

    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        """Return the extended attributes; see `FileSystem.xattrs()`."""
        record = self._inodes.record(inode.number)
        found: dict[bytes, bytes] = {}
        values: dict[int, bytes] = {}
        with about_inode(inode.number):
            for attribute in self._attributes(record):
                name = attribute.full_name
                if name in found:
                    continue  # as the kernel does, which looks into the inode first
                value = attribute.value
                if number := attribute.value_inode:
                    if number not in values:
                        values[number] = self._value(attribute, record)
                    value = values[number]
                found[name] = as_xattr(value) if name in _ACLS else value
        return found

    def _attributes(self, record: InodeRecord) -> Iterator[ExtAttribute]:
        for attribute in attributes_in_inode(record):
            if not attribute.is_internal:
                yield attribute
        if record.attribute_block:
            for attribute in attributes_in_block(record.attribute_block, self._blocks):
                if not attribute.is_internal:
                    yield attribute

    def _value(self, attribute: ExtAttribute, owner: InodeRecord) -> bytes:
        """Return a value that has an inode of its own.

        Source: `ext4_xattr_inode_get()`, fs/ext4/xattr.c. Lustre has written such inodes
        without a checksum, with their owner instead.
        """
        number = attribute.value_inode
        record = self._inodes.record(number)
        if not record.flags & EXT4_EA_INODE_FL or record.inode.size != attribute.value_size:
            raise FileError(f"inode {number} does not hold the value of an attribute of it")
        value = small_content(record, self._blocks, MAX_VALUE_BYTES)
        checksum = stored(going_on(value, self._blocks.geometry.seed))
        is_owned = (
            record.inode.mtime // _NS == owner.inode.number
            and record.generation == owner.generation
        )
        if record.inode.atime // _NS & 0xFFFFFFFF != checksum and not is_owned:
            raise FileError(f"inode {number}: the checksum of the value in it is wrong")
        return value

    def extents(self, inode: Inode) -> FileExtents:
        """Return where a file's bytes are; see `FileSystem.extents()`."""
        record = self._inodes.record(inode.number)
        with about_inode(inode.number):
            if record.inode.type not in _WITH_BLOCKS or self._fast_target(record) is not None:
                return FileExtents(*np.empty((3, 0), dtype=np.uint64))
            columns = content_stretches(record, self._blocks)
            return FileExtents(*((column * self.block_bytes).view(np.uint64) for column in columns))

    def inline(self, inode: Inode) -> bytes | None:
        """Return a file's bytes if its inode has them; see `FileSystem.inline()`."""
        record = self._inodes.record(inode.number)
        with about_inode(inode.number):
            if record.inode.type not in _WITH_BLOCKS:
                return None
            target = self._fast_target(record)
            return inline_content(record) if target is None else target

    @property
    def inode_bytes(self) -> int:
        """How many bytes an inode has."""
        return self._blocks.geometry.inode_bytes

    def inode_places(self, first: int, count: int) -> Places:
        """Return where inodes are; see `FileSystem.inode_places()`."""
        return self._inodes.places(first, count)

    def plain_inodes(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Tell of which nothing else has to be read; see `FileSystem.plain_inodes()`."""
        if self._has_values_elsewhere:
            return np.zeros(count, dtype=np.bool_)
        return self._inodes.are_plain(first, count)

    def parts(self, inode: Inode) -> FileParts:
        """Return all that a file takes; see `FileSystem.parts()`."""
        record = self._inodes.record(inode.number)
        has_blocks = record.inode.type in _WITH_BLOCKS and not self._is_fast(record)
        return self._parts.of_file(record, has_blocks=has_blocks)

    def has_outer_attributes(self, inode: Inode) -> bool:
        """Tell whether it has attributes outside of its inode; see `FileSystem`."""
        return self._has_values_elsewhere or self._inodes.has_attribute_block(inode.number)

    @property
    def nr_bytes(self) -> int:
        """How many bytes it has."""
        return self._blocks.geometry.nr_blocks * self.block_bytes

    def journal(self) -> ByteRanges:
        """Return where the journal is; see `FileSystem.journal()`."""
        if not self.journal_inode:
            return NO_RANGES
        parts = self.parts(self.inode(self.journal_inode))
        parts = parts[parts.part != FilePart.INODE]
        return ByteRanges.of(parts.place, parts.end)

    def first_group(self) -> tuple[int, int]:
        """Return where block groups are; see `FileSystem.first_group()`."""
        fields = self._blocks.geometry.superblock
        blocks = (fields.s_first_data_block, fields.s_blocks_per_group)
        return blocks[0] * self.block_bytes, blocks[1] * self.block_bytes

    def free_in_group(self, group: int) -> ByteRanges:
        """Return what is free in a block group; see `FileSystem.free_in_group()`."""
        begin = free_blocks(self._blocks, group).astype(np.uint64) * np.uint64(self.block_bytes)
        return ByteRanges.of(begin, begin + np.uint64(self.block_bytes))

    def layout(self) -> Hashable:
        """Return what else must be alike; see `FileSystem.layout()`."""
        return self._blocks.geometry.layout()
