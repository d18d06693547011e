"""Extended attributes of ext4: in the inode, in a block, or in inodes of their own."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.files.posix_acl import ACCESS, DEFAULT
from thinmeta.schemas.columns import dtype_of, field_of, fields_at
from thinmeta.schemas.ext4_attributes import (
    EXT4_XATTR_ENCRYPTION,
    EXT4_XATTR_MAGIC,
    EXT4_XATTR_SYSTEM_DATA,
    XATTR_POSIX_ACL_ACCESS,
    XATTR_POSIX_ACL_DEFAULT,
    XATTR_PREFIXES,
    Ext4BlockNumber,
    Ext4XattrBodyHeader,
    Ext4XattrEntry,
    Ext4XattrHeader,
)

_BODY_HEADER = dtype_of(Ext4XattrBodyHeader)
_HEADER = dtype_of(Ext4XattrHeader)
_ENTRY = dtype_of(Ext4XattrEntry)
_NUMBER = dtype_of(Ext4BlockNumber)
_CHECKSUM_AT, _CHECKSUM = field_of(Ext4XattrHeader, "h_checksum")
_CHECKSUM_END = _CHECKSUM_AT + _CHECKSUM.sizeof()

_PREFIXES = {**XATTR_PREFIXES, XATTR_POSIX_ACL_ACCESS: ACCESS, XATTR_POSIX_ACL_DEFAULT: DEFAULT}
_ALIGNED = 4
_END = bytes(4)

MAX_VALUE_BYTES = 65536
"""More nobody can set or get. Source: `XATTR_SIZE_MAX`, include/uapi/linux/limits.h."""


class ExtAttribute(NamedTuple):
    """An attribute as it stands on disk.

    Attributes:
        prefix: what its name begins with.
        name: the rest of it.
        value: its value, unless `value_inode` has it.
        value_inode: the inode that holds the value; 0 if none does.
        value_size: in bytes.
    """

    prefix: int
    name: bytes
    value: bytes
    value_inode: int
    value_size: int

    @property
    def is_internal(self) -> bool:
        """Whether it is the file system's own, so that nobody outside is shown it."""
        return (self.prefix, self.name) == EXT4_XATTR_SYSTEM_DATA or (
            self.prefix == EXT4_XATTR_ENCRYPTION
        )

    @property
    def full_name(self) -> bytes:
        """As the system call has it.

        Raises:
            FileError: nobody knows what it begins with.
        """
        if self.prefix not in _PREFIXES:
            raise FileError(f"an attribute has a name of the unknown kind {self.prefix}")
        return _PREFIXES[self.prefix] + self.name


def attributes_in_inode(record: InodeRecord) -> Iterator[ExtAttribute]:
    """Return the attributes that are in the inode itself.

    Raises:
        FileError: one of them cannot be believed.
    """
    region = record.attributes
    if len(region) < _BODY_HEADER.itemsize + len(_END):
        return
    if fields_at(_BODY_HEADER, region)["h_magic"] == EXT4_XATTR_MAGIC:
        yield from _entries(region[_BODY_HEADER.itemsize :], 0)


def attributes_in_block(block: int, blocks: BlockGroups) -> Iterator[ExtAttribute]:
    """Return the attributes that are in a block.

    Raises:
        FileError: the block, or an attribute, cannot be read or believed.

    Source: `ext4_xattr_block_csum()` and `check_xattrs()`, fs/ext4/xattr.c.
    """
    if not blocks.geometry.superblock.s_first_data_block < block < blocks.end:
        raise FileError(f"its attributes are in block {block}, where none can be")
    data = blocks.read(block)
    header = fields_at(_HEADER, data)
    if header["h_magic"] != EXT4_XATTR_MAGIC or header["h_blocks"] != 1:
        raise FileError(f"block {block} does not hold attributes")
    if blocks.geometry.has_checksums:
        number = np.array([block], dtype=_NUMBER).tobytes()
        zeros = bytes(_CHECKSUM_END - _CHECKSUM_AT)
        zeroed = data[:_CHECKSUM_AT] + zeros + data[_CHECKSUM_END:]
        if stored(going_on(number + zeroed, blocks.geometry.seed)) != header["h_checksum"]:
            raise FileError(f"the checksum of its attributes in block {block} is wrong")
    yield from _entries(data, _HEADER.itemsize)


def _entries(region: bytes, begin: int) -> Iterator[ExtAttribute]:
    """Return the attributes of a region, in which their places count from its beginning."""
    room = len(region)
    while region[begin : begin + len(_END)] != _END:
        name_at = begin + _ENTRY.itemsize
        if name_at > len(region):
            raise FileError("its attributes have no end")
        fields = fields_at(_ENTRY, region, begin)
        at, inode, size = fields["e_value_offs"], fields["e_value_inum"], fields["e_value_size"]
        name_end = name_at + fields["e_name_len"]
        if name_end > len(region) or (not inode and size and at + size > len(region)):
            raise FileError("one of its attributes is larger than the room for it")
        room -= 0 if inode else size
        if room < 0:
            raise FileError("its attributes have more bytes than the room for them")
        if size > MAX_VALUE_BYTES:
            raise FileError(f"one of its attributes has {size} bytes")
        value = b"" if inode else region[at : at + size]
        name = region[name_at:name_end]
        yield ExtAttribute(fields["e_name_index"], name, value, inode, size)
        begin = -(-name_end // _ALIGNED) * _ALIGNED
