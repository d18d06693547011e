"""An XFS, open for reading."""

import stat
from collections.abc import Hashable, Mapping, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from thinmeta.files import posix_acl
from thinmeta.files.file_parts import FileParts
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
from thinmeta.files.reading import Cache
from thinmeta.files.xfs import dir2
from thinmeta.files.xfs.attr_fork import Attribute, attributes
from thinmeta.files.xfs.dinodes import Dinodes, Fork
from thinmeta.files.xfs.forks import NO_EXTENTS, read_file_extents, read_metadata_extents
from thinmeta.files.xfs.free_extents import free_extents
from thinmeta.files.xfs.metadata_blocks import SYMLINK_TARGET, MetadataBlocks
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.files.xfs.xfs_parts import parts_of_file
from thinmeta.schemas import xfs, xfs_directory
from thinmeta.schemas.columns import dtype_of, fields_at
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges
from thinmeta.walk.ragged import Places

_ACL_HEADER, _ACL_ENTRY = dtype_of(xfs_directory.AclHdr), dtype_of(xfs_directory.AclEntry)
_ACLS = {b"SGI_ACL_FILE": posix_acl.ACCESS, b"SGI_ACL_DEFAULT": posix_acl.DEFAULT}


class Xfs(FileSystem):
    """An XFS of version 4 or 5.

    Attributes:
        geometry: how it is laid out.
        uuid: as blkid shows it.
        label: its bytes; empty if it has none.
    """

    kind = "xfs"

    def __init__(self, cache: Cache) -> None:
        """Open it.

        Raises:
            InputError: there is none, its superblock cannot be read or believed, or it has a
                feature that is not known here.
        """
        self.geometry = geometry = XfsGeometry.read(cache)
        self.root = geometry.root
        self.block_bytes = geometry.block_bytes
        self.uuid = UUID(bytes=geometry.uuid)
        self.label = geometry.label
        if geometry.needs_repair:
            self.remark = (
                "the XFS is marked as in need of xfs_repair; the kernel would not mount it"
            )
        self._cache = cache
        self._dinodes = Dinodes(cache, geometry)
        self._blocks = MetadataBlocks(cache, geometry)

    @property
    def log(self) -> tuple[int, int] | None:
        """First byte and length of the log; None if it is on another device.

        Raises:
            FileError: it is past the end.
        """
        geometry = self.geometry
        if not geometry.log_start:
            return None
        size = geometry.log_blocks * geometry.block_bytes
        return geometry.place(geometry.log_start), size

    def inodes(self, numbers: Sequence[int]) -> list[Inode | FileError]:
        """Return the inodes of these numbers; see `FileSystem.inodes()`."""
        found = zip(numbers, map(self._dinodes.inode, numbers), strict=True)
        return [
            FileError(f"inode {number}: {each}") if isinstance(each, str) else each
            for number, each in found
        ]

    def outlines(self, inodes: Sequence[Inode]) -> list[Outline]:
        """Return what is known of inodes already; see `FileSystem.outlines()`."""
        return [self._dinodes.outline(inode.number) for inode in inodes]

    def entries(self, directory: Inode) -> Sequence[Entry]:
        """Return what is in a directory; see `FileSystem.entries()`."""
        if not directory.is_directory:
            raise DirectoryError(f"inode {directory.number}: it is no directory", ())
        try:
            return dir2.entries(directory, self._dinodes.data_fork(directory.number), self._blocks)
        except FileError as error:
            found = error.found if isinstance(error, DirectoryError) else ()
            raise DirectoryError(f"inode {directory.number}: {error}", found) from error

    def link_target(self, link: Inode) -> bytes:
        """Return where a symbolic link leads; see `FileSystem.link_target()`."""
        with about_inode(link.number):
            if not stat.S_ISLNK(link.mode):
                raise FileError("it is no symbolic link")
            fork = self._dinodes.data_fork(link.number)
            if not 0 < link.size <= xfs.XFS_SYMLINK_MAXLEN:
                raise FileError(f"a target of {link.size} bytes cannot be")
            if fork.form == xfs.XFS_DINODE_FMT_LOCAL:
                target = fork.data[: link.size]
            else:
                target = self._remote_target(fork, link.size)
            if len(target) != link.size:
                raise FileError(f"its target is shorter than {link.size} bytes")
            return target

    def xattrs(self, inode: Inode) -> Mapping[bytes, bytes]:
        """Return the extended attributes; see `FileSystem.xattrs()`.

        The two attributes in which XFS keeps ACLs are not there by their own names.
        """
        with about_inode(inode.number):
            fork = self._dinodes.attribute_fork(inode.number)
            found: dict[bytes, bytes] = {}
            for each in attributes(fork, self._blocks) if fork else ():
                name, value = _shown(each)
                if name in found:
                    raise FileError("it has an attribute twice")
                found[name] = value
            return found

    def extents(self, inode: Inode) -> FileExtents:
        """Return where a file's bytes are, none if it is no file; see `FileSystem.extents()`."""
        if not stat.S_ISREG(inode.mode):
            return NO_EXTENTS
        with about_inode(inode.number):
            fork = self._dinodes.data_fork(inode.number)
            if fork.is_realtime:
                raise FileError("its content is on the realtime device, which is another one")
            return read_file_extents(fork, self._blocks)

    def inline(self, inode: Inode) -> bytes | None:
        """Return None: XFS keeps no file's bytes in its inode."""
        del inode
        return None

    @property
    def inode_bytes(self) -> int:
        """How many bytes an inode has."""
        return self.geometry.inode_bytes

    def inode_places(self, first: int, count: int) -> Places:
        """Return where inodes are; see `FileSystem.inode_places()`."""
        places = (self.geometry.inode_place(number) for number in range(first, first + count))
        return np.array([-1 if place is None else place for place in places], dtype=np.int64)

    def plain_inodes(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Tell of which nothing else has to be read; see `FileSystem.plain_inodes()`."""
        return self._dinodes.are_plain(first, count)

    def parts(self, inode: Inode) -> FileParts:
        """Return all that a file takes; see `FileSystem.parts()`."""
        return parts_of_file(inode, self._dinodes, self._blocks)

    def has_outer_attributes(self, inode: Inode) -> bool:
        """Tell whether attributes have blocks; see `FileSystem.has_outer_attributes()`."""
        return self._dinodes.has_outer_attributes(inode.number)

    @property
    def nr_bytes(self) -> int:
        """How many bytes it has."""
        return self.geometry.blocks * self.block_bytes

    def journal(self) -> ByteRanges:
        """Return where the log is; see `FileSystem.journal()`."""
        if self.log is None:
            return NO_RANGES
        begin, length = self.log
        return ByteRanges(*np.array([[begin], [begin + length]], dtype=np.uint64))

    def first_group(self) -> tuple[int, int]:
        """Return where allocation groups are; see `FileSystem.first_group()`."""
        return 0, self.geometry.ag_blocks * self.block_bytes

    def free_in_group(self, group: int) -> ByteRanges:
        """Return what is free in an allocation group; see `FileSystem.free_in_group()`."""
        return free_extents(self._cache, self._blocks, group)

    def layout(self) -> Hashable:
        """Return what else must be alike; see `FileSystem.layout()`."""
        return self.geometry

    def _remote_target(self, fork: Fork, size: int) -> bytes:
        """Return a target that has blocks of its own; with a header for each extent.

        Source: `xfs_symlink_remote_read()`, fs/xfs/libxfs/xfs_symlink_remote.c.
        """
        geometry = self.geometry
        header = SYMLINK_TARGET.header_bytes(geometry)
        extents = read_metadata_extents(fork, self._blocks)
        target = b""
        for place, length in zip(extents.place.tolist(), extents.length.tolist(), strict=True):
            if len(target) == size:
                break
            if length * geometry.block_bytes > _MOST_TARGET_BYTES:
                raise FileError("its target has more blocks than it needs")
            places = range(place, place + length * geometry.block_bytes, geometry.block_bytes)
            data, fields = self._blocks.read(places, SYMLINK_TARGET, fork.number)
            part = data[header : header + size - len(target)]
            if fields and (fields["sl_offset"], fields["sl_bytes"]) != (len(target), len(part)):
                raise FileError("a part of its target is of another place")
            target += part
        return target


_MOST_TARGET_BYTES = 1 << 17
"""Of one extent of a symbolic link's target: more than any block size takes."""


def _shown(attribute: Attribute) -> tuple[bytes, bytes]:
    """Return an attribute's full name, and its value in the form of the system call.

    Source: `xfs_xattr_put_listent()`, fs/xfs/xfs_xattr.c; `xfs_acl_from_disk()`, fs/xfs/xfs_acl.c.
    """
    flags, name, value = attribute
    if not flags & xfs_directory.XFS_ATTR_ROOT:
        prefix = b"security." if flags & xfs_directory.XFS_ATTR_SECURE else b"user."
        return prefix + name, value
    if name not in _ACLS:
        return b"trusted." + name, value
    if len(value) >= _ACL_HEADER.itemsize:
        count = fields_at(_ACL_HEADER, value)["acl_cnt"]
        rows = np.frombuffer(value, np.uint8)[_ACL_HEADER.itemsize :]
        if len(rows) == count * _ACL_ENTRY.itemsize:
            acl = rows.view(_ACL_ENTRY)
            columns = (acl["ae_tag"], acl["ae_perm"], acl["ae_id"])
            entries = zip(*(column.tolist() for column in columns), strict=True)
            return _ACLS[name], posix_acl.acl_xattr(entries)
    raise FileError("its ACL is out of shape")
