"""What the blocks of a journal say: tags of a descriptor, revocations, and their checksums."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.journal_file import JournalError, JournalForm, crc32c, crc_stored
from thinmeta.schemas.columns import dtype_of, field_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.jbd2 import (
    JBD2_FLAG_ESCAPE,
    JBD2_FLAG_LAST_TAG,
    JBD2_FLAG_SAME_UUID,
    JBD2_UUID_BYTES,
    Jbd2Commit,
    Jbd2Header,
    Jbd2Revoked,
    Jbd2Revoked64,
    Jbd2RevokeHeader,
    Jbd2Sequence,
    Jbd2Tag,
    Jbd2Tag3,
    Jbd2Tag64,
    Jbd2Tag64V2,
    Jbd2TagV2,
    Jbd2Tail,
)

_TAGS = {
    (version, is_wide): dtype_of(schema)
    for version, is_wide, schema in (
        (0, False, Jbd2Tag),
        (0, True, Jbd2Tag64),
        (2, False, Jbd2TagV2),
        (2, True, Jbd2Tag64V2),
        (3, False, Jbd2Tag3),
        (3, True, Jbd2Tag3),
    )
}
"""By the version of checksums, and whether block numbers have 64 bits."""

_REVOKED = {False: dtype_of(Jbd2Revoked), True: dtype_of(Jbd2Revoked64)}
_HEADER_BYTES = Jbd2Header.sizeof()
_REVOKE_HEADER_BYTES = Jbd2RevokeHeader.sizeof()
_TAIL_BYTES = Jbd2Tail.sizeof()
_COMMIT_SUM_AT = field_of(Jbd2Commit, "h_chksum")[0]
_SEQUENCE = dtype_of(Jbd2Sequence)
_SUM_16 = 0xFFFF


class Tags(NamedTuple):
    """What a descriptor says of the blocks after it, as columns of shape `(n,)`.

    Attributes:
        blocks: of the file system.
        is_escaped: whether the block's magic was cleared.
        sums: the blocks' checksums; of version 2 its lower half.
        are_all: whether the last tag says that it is the last.
    """

    blocks: npt.NDArray[np.uint64]
    is_escaped: npt.NDArray[np.bool_]
    sums: npt.NDArray[np.uint32]
    are_all: bool


def has_right_tail(form: JournalForm, data: bytes) -> bool:
    """Tell whether a descriptor, or a block of revocations, is as its checksum says."""
    if not form.checksums:
        return True
    body, tail = data[:-_TAIL_BYTES], data[-_TAIL_BYTES:]
    running = crc32c(body + bytes(_TAIL_BYTES), form.seed)
    return bool(crc_stored(running) == parsed(Jbd2Tail, tail).t_checksum)


def has_right_commit_sum(form: JournalForm, data: bytes) -> bool:
    """Tell whether a commit is as its own checksum says, of version 2 or 3."""
    if not form.checksums:
        return True
    width = _TAIL_BYTES
    blank = data[:_COMMIT_SUM_AT] + bytes(width) + data[_COMMIT_SUM_AT + width :]
    running = crc32c(blank, form.seed)
    return bool(crc_stored(running) == parsed(Jbd2Commit, data).h_chksum[0])


class BlockSums:
    """The checksums, of version 2 or 3, of the blocks of a transaction."""

    def __init__(self, form: JournalForm, sequence: int) -> None:
        """Begin with the transaction's number."""
        self._seed = crc32c(np.array(sequence, dtype=_SEQUENCE).tobytes(), form.seed)
        self._mask = _SUM_16 if form.checksums == 2 else ~0

    def is_right(self, data: bytes, stored: int) -> bool:
        """Tell whether a block is as its tag says."""
        return bool(crc_stored(crc32c(data, self._seed)) & self._mask == stored)


def tags_of(form: JournalForm, data: bytes) -> Tags:
    """Return the tags of a descriptor.

    Source: `journal_tag_bytes()`, fs/jbd2/journal.c, and `count_tags()`, fs/jbd2/recovery.c.
    """
    dtype = _TAGS[form.checksums, form.has_wide_blocks]
    end = len(data) - (_TAIL_BYTES if form.checksums else 0)
    raw = np.frombuffer(data, dtype=np.uint8)
    parts: list[npt.NDArray[Any]] = [np.empty(0, dtype=dtype)]
    at, is_last = _HEADER_BYTES, False
    while not is_last and (room := (end - at) // dtype.itemsize) > 0:
        rows = raw[at : at + room * dtype.itemsize].view(dtype)
        ends = (rows["t_flags"] & (JBD2_FLAG_SAME_UUID | JBD2_FLAG_LAST_TAG)) != JBD2_FLAG_SAME_UUID
        count = int(ends.argmax()) + 1 if ends.any() else room
        flags = int(rows["t_flags"][count - 1])
        is_last = bool(flags & JBD2_FLAG_LAST_TAG)
        parts.append(rows[:count])
        at += count * dtype.itemsize + (0 if flags & JBD2_FLAG_SAME_UUID else JBD2_UUID_BYTES)
    rows = np.concatenate(parts)
    blocks = rows["t_blocknr"].astype(np.uint64)
    if form.has_wide_blocks:
        blocks |= rows["t_blocknr_high"].astype(np.uint64) << np.uint64(32)
    return Tags(
        blocks,
        (rows["t_flags"] & JBD2_FLAG_ESCAPE).astype(np.bool_),
        rows["t_checksum"].astype(np.uint32),
        is_last,
    )


def revoked_by(form: JournalForm, data: bytes) -> npt.NDArray[np.uint64]:
    """Return the blocks of the file system that a block of revocations names.

    Raises:
        JournalError: it has no room for so many.

    Source: `scan_revoke_records()`, fs/jbd2/recovery.c.
    """
    used = int(parsed(Jbd2RevokeHeader, data).r_count)
    if used > len(data) - (_TAIL_BYTES if form.checksums else 0):
        raise JournalError(f"its revocations have {used} bytes, which a block has no room for")
    dtype = _REVOKED[form.has_wide_blocks]
    count = max(0, used - _REVOKE_HEADER_BYTES) // dtype.itemsize
    stop = _REVOKE_HEADER_BYTES + count * dtype.itemsize
    raw = np.frombuffer(data, dtype=np.uint8)[_REVOKE_HEADER_BYTES:stop]
    return raw.view(dtype).astype(np.uint64)
