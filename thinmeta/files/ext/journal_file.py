"""The blocks of an ext3 or ext4 journal: what its superblock says, checked, and where they are."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.file_system import FileError, FileExtents
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.jbd2 import (
    JBD2_CRC32C_CHKSUM,
    JBD2_DEFAULT_FAST_COMMIT_BLOCKS,
    JBD2_FEATURE_COMPAT_CHECKSUM,
    JBD2_FEATURE_INCOMPAT_64BIT,
    JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT,
    JBD2_FEATURE_INCOMPAT_CSUM_V2,
    JBD2_FEATURE_INCOMPAT_CSUM_V3,
    JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
    JBD2_KNOWN_INCOMPAT,
    JBD2_MAGIC_NUMBER,
    JBD2_MIN_JOURNAL_BLOCKS,
    JBD2_SUPERBLOCK_BYTES,
    JBD2_SUPERBLOCK_V1,
    JBD2_SUPERBLOCK_V2,
    Jbd2Superblock,
)

_INVERTED = 0xFFFFFFFF

crc32c: Any = fastcrc.crc32.iscsi
"""Returns the running sum after `data`, from that before it; see `crc_stored`."""


def crc_stored(running: int) -> int:
    """Return what stands on disk for a running sum, which is its inverse."""
    return running ^ _INVERTED


class JournalError(FileError):
    """What of a journal cannot be read or believed, and ends its replay."""


@dataclass(frozen=True, slots=True)
class JournalForm:
    """What the journal's superblock says.

    Attributes:
        start: block at which the first transaction begins; 0 if there is none.
        sequence: its number.
        first: first block of the ring.
        end: the block after the last one of the ring.
        fast_commits: blocks for fast commits, after the ring; empty if it has none.
        has_wide_blocks: whether block numbers have 64 bits.
        has_commit_sums: whether a commit has a CRC-32 of all its transaction (version 1).
        checksums: version of the CRC-32C that all blocks have: 2 or 3; 0 if none has any.
        seed: running sum with which these begin.
        is_async: whether a commit may be on disk before what it commits.
    """

    start: int
    sequence: int
    first: int
    end: int
    fast_commits: range
    has_wide_blocks: bool
    has_commit_sums: bool
    checksums: int
    seed: int
    is_async: bool

    def after(self, block: int, count: int = 1) -> int:
        """Return the block so many after `block`, round the ring."""
        return self.first + (block - self.first + count) % (self.end - self.first)


class JournalFile:
    """A journal's blocks, by their numbers in it.

    Attributes:
        block_bytes: of a block.
        form: what its superblock says.
    """

    def __init__(self, cache: Cache, extents: FileExtents, block_bytes: int) -> None:
        """Read the journal's superblock.

        Args:
            cache: of the volume that it is on.
            extents: where it is.
            block_bytes: of the file system.

        Raises:
            JournalError: the superblock cannot be read or believed.
            UnsupportedFormatError: it has a feature that is not known here.
        """
        self.block_bytes = block_bytes
        self._cache = cache
        self._begins, self._lengths, self._places = (
            column.tolist() for column in (extents.begin, extents.length, extents.place)
        )
        self._columns = extents
        nr_blocks = (self._begins[-1] + self._lengths[-1]) // block_bytes if self._begins else 0
        self.form = _form_of(self.read(0), block_bytes, nr_blocks, cache.source.name)

    def read(self, block: int) -> bytes:
        """Return a block.

        Raises:
            JournalError: it cannot be had.
        """
        at = block * self.block_bytes
        part = bisect_right(self._begins, at) - 1
        within = at - self._begins[part] if part >= 0 else 0
        if part < 0 or within + self.block_bytes > self._lengths[part]:
            raise JournalError(f"block {block} of the journal is nowhere on the volume")
        try:
            return self._cache.read(self._places[part] + within, self.block_bytes)
        except FileError as error:
            raise JournalError(f"block {block} of the journal: {error}") from error

    def has(self, blocks: npt.NDArray[np.uint64]) -> bool:
        """Tell whether blocks are all somewhere on the volume."""
        at = blocks * np.uint64(self.block_bytes)
        part = np.searchsorted(self._columns.begin, at, "right") - 1
        within = at - self._columns.begin[part]
        room = self._columns.length[part]
        return bool(((part >= 0) & (within + np.uint64(self.block_bytes) <= room)).all())

    def places(self, blocks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Return where in the volume blocks are, all of which it has."""
        at = blocks * np.uint64(self.block_bytes)
        part = np.searchsorted(self._columns.begin, at, "right") - 1
        places: npt.NDArray[np.uint64] = self._columns.place[part] + at - self._columns.begin[part]
        return places


def _form_of(data: bytes, block_bytes: int, nr_blocks: int, name: str) -> JournalForm:
    """Check a journal's superblock.

    Source: `journal_get_superblock()` and `journal_check_used_features()`,
    fs/jbd2/journal.c.
    """
    fields = parsed(Jbd2Superblock, data)
    if fields.h_magic != JBD2_MAGIC_NUMBER:
        raise JournalError("the journal's superblock has no magic")
    if fields.h_blocktype not in (JBD2_SUPERBLOCK_V1, JBD2_SUPERBLOCK_V2):
        raise JournalError(f"the journal's superblock is of the unknown kind {fields.h_blocktype}")
    is_old = fields.h_blocktype == JBD2_SUPERBLOCK_V1
    compat = 0 if is_old else int(fields.s_feature_compat)
    incompat = 0 if is_old else int(fields.s_feature_incompat)
    if incompat & ~JBD2_KNOWN_INCOMPAT:
        raise UnsupportedFormatError(
            f"{name}: its journal has features that are not known here "
            f"(0x{incompat & ~JBD2_KNOWN_INCOMPAT:x}): --no-replay reads it as it is on disk"
        )
    checksums = _checksum_version(fields, data, incompat)
    reserved = 0
    if incompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT:
        reserved = int(fields.s_num_fc_blks) or JBD2_DEFAULT_FAST_COMMIT_BLOCKS
        if fields.s_maxlen - reserved < JBD2_MIN_JOURNAL_BLOCKS:
            reserved = 0
    first, length = int(fields.s_first), int(fields.s_maxlen)
    end = length - reserved
    wrong = [
        (f"blocks of {fields.s_blocksize} bytes", fields.s_blocksize != block_bytes),
        (f"{length} blocks, where its file has {nr_blocks}", length > nr_blocks),
        (f"a ring of blocks {first} to {end}", not 0 < first < end),
        (
            f"a beginning at block {fields.s_start}",
            fields.s_start and not first <= fields.s_start < end,
        ),
    ]
    for what, is_wrong in wrong:
        if is_wrong:
            raise JournalError(f"the journal's superblock cannot be believed: {what}")
    return JournalForm(
        start=int(fields.s_start),
        sequence=int(fields.s_sequence),
        first=first,
        end=end,
        fast_commits=range(end + 1, length) if reserved else range(0),
        has_wide_blocks=bool(incompat & JBD2_FEATURE_INCOMPAT_64BIT),
        has_commit_sums=bool(compat & JBD2_FEATURE_COMPAT_CHECKSUM),
        checksums=checksums,
        seed=crc32c(fields.s_uuid),
        is_async=bool(incompat & JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT),
    )


def _checksum_version(fields: Any, data: bytes, incompat: int) -> int:
    if incompat & JBD2_FEATURE_INCOMPAT_CSUM_V3:
        version = 3
    elif incompat & JBD2_FEATURE_INCOMPAT_CSUM_V2:
        version = 2
    else:
        return 0
    if fields.s_checksum_type != JBD2_CRC32C_CHKSUM:
        raise JournalError(
            f"the journal's checksums are of the unknown type {fields.s_checksum_type}"
        )
    at, field = field_of(Jbd2Superblock, "s_checksum")
    width = field.sizeof()
    blank = data[:at] + bytes(width) + data[at + width : JBD2_SUPERBLOCK_BYTES]
    if crc_stored(crc32c(blank)) != fields.s_checksum:
        raise JournalError("the checksum of the journal's superblock is wrong")
    return version
