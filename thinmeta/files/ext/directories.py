"""The names in a directory of ext4, whether in blocks or in its inode."""

from collections.abc import Iterator

import numpy as np

from thinmeta.files.ext.block_groups import BlockGroups
from thinmeta.files.ext.directory_blocks import read_entries, refuse_wrong_checksum
from thinmeta.files.ext.extent_nodes import Stretches
from thinmeta.files.ext.file_contents import content_stretches, inline_content
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.file_system import Entry, FileError

_PARENT_BYTES = 4
_BODY_BYTES = 60

_MOST_FAULTS = 10_000
"""Blocks that cannot be believed, before the rest is not read: a directory may claim a volume."""


def read_directory(record: InodeRecord, blocks: BlockGroups, found: list[Entry]) -> Iterator[str]:
    """Put what is in a directory into `found`, without `.` and `..`.

    Yields:
        What is wrong, while all else is read.
    """
    if not record.inode.is_directory:
        yield "it is no directory"
        return
    try:
        content = inline_content(record)
        stretches = content_stretches(record, blocks)
    except FileError as error:
        yield str(error)
        return
    if content is not None:
        yield from _inline_entries(content, blocks, found)
        return
    if _overlap(stretches):
        yield "two of its blocks are the same"
        return
    size, rest = divmod(record.inode.size, blocks.geometry.block_bytes)
    nr_missing = size - int(np.minimum(stretches.length, size - stretches.begin).sum())
    if rest:
        yield f"its size of {record.inode.size} bytes is not that of whole blocks"
    if nr_missing > 0:
        yield f"{nr_missing} of its {size} blocks are not there"
    yield from _entries_in_blocks(record, stretches, size, blocks, found)


def _entries_in_blocks(
    record: InodeRecord, stretches: Stretches, size: int, blocks: BlockGroups, found: list[Entry]
) -> Iterator[str]:
    nr_faults = 0
    for begin, length, place in zip(*(column.tolist() for column in stretches), strict=True):
        for number in range(begin, min(begin + length, size)):
            try:
                data = blocks.read(place + number - begin)
                if blocks.geometry.has_checksums:
                    refuse_wrong_checksum(data, number, record, blocks.geometry)
                read_entries(data, blocks.geometry, found)
            except FileError as error:
                yield f"its block {number}: {error}"
                nr_faults += 1
                if nr_faults == _MOST_FAULTS:
                    yield f"its blocks from {number + 1} on were not read"
                    return


def _inline_entries(content: bytes, blocks: BlockGroups, found: list[Entry]) -> Iterator[str]:
    """Read the two parts of a directory in an inode: no entry goes over from one to the other."""
    for part in (content[_PARENT_BYTES:_BODY_BYTES], content[_BODY_BYTES:]):
        try:
            read_entries(part, blocks.geometry, found)
        except FileError as error:
            yield f"the part in its inode: {error}"


def _overlap(stretches: Stretches) -> bool:
    order = np.argsort(stretches.place, kind="stable")
    places, lengths = stretches.place[order], stretches.length[order]
    return bool((places[:-1] + lengths[:-1] > places[1:]).any())
