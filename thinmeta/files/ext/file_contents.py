"""Where the content of a file of ext4 is: in blocks, by one of two maps, or in its inode."""

import numpy as np

from thinmeta.files.ext.attribute_entries import attributes_in_inode
from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.block_pointers import pointed_blocks
from thinmeta.files.ext.extent_nodes import Stretches, extents_of
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.file_system import FileError
from thinmeta.schemas.ext4 import (
    EXT4_ENCRYPT_FL,
    EXT4_EXTENTS_FL,
    EXT4_INLINE_DATA_FL,
)
from thinmeta.schemas.ext4_attributes import (
    EXT4_XATTR_SYSTEM_DATA,
)


def content_stretches(record: InodeRecord, blocks: BlockGroups) -> Stretches:
    """Return where a file's blocks are, up to its size, in as few rows as can be.

    Raises:
        FileError: its map cannot be read or believed, or it is encrypted.
    """
    _refuse_encrypted(record)
    if record.flags & EXT4_INLINE_DATA_FL:
        return _merged(Stretches(*np.empty((3, 0), dtype=np.int64)))
    found = (extents_of if record.flags & EXT4_EXTENTS_FL else pointed_blocks)(record, blocks)
    end = -(-record.inode.size // blocks.geometry.block_bytes)
    if len(found.begin) and found.begin[-1] >= end:
        is_within = found.begin < end
        found = Stretches(*(column[is_within] for column in found))
    return _merged(found)


def _merged(found: Stretches) -> Stretches:
    begin, length, place = found
    if len(begin) < 2:
        return found
    breaks = (begin[1:] != begin[:-1] + length[:-1]) | (place[1:] != place[:-1] + length[:-1])
    firsts = np.flatnonzero(np.concatenate([[True], breaks]))
    return Stretches(begin[firsts], np.add.reduceat(length, firsts), place[firsts])


def inline_content(record: InodeRecord) -> bytes | None:
    """Return what is kept with the inode; None if the content is in blocks.

    Raises:
        FileError: it cannot be believed, or it is encrypted.

    Source: `ext4_read_inline_data()`, fs/ext4/inline.c.
    """
    _refuse_encrypted(record)
    if not record.flags & EXT4_INLINE_DATA_FL:
        return None
    content = record.body
    for attribute in attributes_in_inode(record):
        if (attribute.prefix, attribute.name) == EXT4_XATTR_SYSTEM_DATA:
            content += attribute.value
    size = record.inode.size
    if size > len(content):
        raise FileError(f"it has {size} bytes, of which its inode holds {len(content)}")
    return content[:size]


def small_content(record: InodeRecord, blocks: BlockGroups, most: int) -> bytes:
    """Return the content of a file that is known to be small.

    Raises:
        FileError: it has more than `most` bytes, or cannot be read or believed.
    """
    content = inline_content(record)
    if content is not None:
        return content
    size, block_bytes = record.inode.size, blocks.geometry.block_bytes
    if size > most:
        raise FileError(f"it has {size} bytes, more than {most}")
    buffer = bytearray(size)
    stretches = content_stretches(record, blocks)
    for begin, length, place in zip(*(column.tolist() for column in stretches), strict=True):
        at = begin * block_bytes
        wanted = min(length * block_bytes, size - at)
        buffer[at : at + wanted] = blocks.cache.read(place * block_bytes, wanted)
    return bytes(buffer)


def _refuse_encrypted(record: InodeRecord) -> None:
    if record.flags & EXT4_ENCRYPT_FL:
        raise FileError("it is encrypted")
