"""The committed transactions of a journal, read in order, and where reading them must stop."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import fastcrc
import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.journal_blocks import (
    BlockSums,
    Tags,
    has_right_commit_sum,
    has_right_tail,
    revoked_by,
    tags_of,
)
from thinmeta.files.ext.journal_file import JournalError, JournalFile
from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import built, parsed
from thinmeta.schemas.jbd2 import (
    JBD2_COMMIT_BLOCK,
    JBD2_CRC32_CHKSUM,
    JBD2_CRC32_CHKSUM_SIZE,
    JBD2_DESCRIPTOR_BLOCK,
    JBD2_MAGIC_NUMBER,
    JBD2_REVOKE_BLOCK,
    Jbd2Commit,
    Jbd2Header,
)
from thinmeta.walk.columnar import Columnar, GrowingColumn

_crc32_be: Any = fastcrc.crc32.mpeg_2

_CRC_BEGIN = 0xFFFFFFFF
_LAST_SEQUENCE = 0xFFFFFFFF
_COMMIT = built(Jbd2Header, h_magic=JBD2_MAGIC_NUMBER, h_blocktype=JBD2_COMMIT_BLOCK, h_sequence=0)[
    : field_of(Jbd2Header, "h_sequence")[0]
]
"""What a commit begins with."""


@dataclass(frozen=True, slots=True, eq=False)
class Logged(Columnar):
    """Blocks that transactions change, in order, as columns of shape `(n,)`.

    Attributes:
        block: of the file system, dtype uint64.
        journal_block: where its new content is, dtype uint32.
        is_escaped: whether its magic was cleared.
        is_bad: whether it is not as its checksum says.
        transaction: the place of the transaction among all, dtype uint32.
    """

    block: npt.NDArray[np.uint64]
    journal_block: npt.NDArray[np.uint32]
    is_escaped: npt.NDArray[np.bool_]
    is_bad: npt.NDArray[np.bool_]
    transaction: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Revoked(Columnar):
    """Blocks of which earlier changes are void, in order, as columns of shape `(n,)`.

    Attributes:
        block: of the file system, dtype uint64.
        transaction: the place among all of the transaction that says so, dtype uint32.
    """

    block: npt.NDArray[np.uint64]
    transaction: npt.NDArray[np.uint32]


class Transactions(NamedTuple):
    """What a journal holds.

    Attributes:
        nr_transactions: as far as they are believed.
        logged: what they change.
        revoked: what they make void.
        fault: why no more were read; None if the journal just ends.
    """

    nr_transactions: int
    logged: Logged
    revoked: Revoked
    fault: str | None


class _Reader:
    """Goes through a journal once.

    Source: `do_one_pass()`, fs/jbd2/recovery.c (Linux v6.6).
    """

    def __init__(self, journal: JournalFile, nr_blocks: int) -> None:
        self._journal = journal
        self._form = journal.form
        self._nr_blocks = nr_blocks
        self._at = journal.form.start
        self._passed = 0
        self._logged = [
            GrowingColumn(np.dtype(kind))
            for kind in (np.uint64, np.uint32, np.bool_, np.bool_, np.uint32)
        ]
        self._revoked = [GrowingColumn(np.dtype(kind)) for kind in (np.uint64, np.uint32)]
        self._count = 0
        self._last_time = 0
        self._failed: str | None = None
        self._begin(journal.form.sequence)

    def _begin(self, sequence: int) -> None:
        self._sequence = sequence
        self._sums = BlockSums(self._form, sequence)
        self._changes: list[Logged] = []
        self._voids: list[npt.NDArray[np.uint64]] = []
        self._wrong: str | None = None
        self._doubt: str | None = None
        self._running = _CRC_BEGIN
        self._is_summed = self._form.has_commit_sums

    def read(self) -> Transactions:
        fault = None
        try:
            while self._step():
                pass
            self._look_ahead()
        except JournalError as error:
            fault = str(error)
        logged = Logged(*(column.values() for column in self._logged))
        revoked = Revoked(*(column.values() for column in self._revoked))
        return Transactions(self._count, logged, revoked, fault)

    def _step(self) -> bool:
        """Read the next block that is no content; tell whether there may be more."""
        block = self._at
        data = self._journal.read(block)
        header = parsed(Jbd2Header, data)
        if header.h_magic != JBD2_MAGIC_NUMBER or header.h_sequence != self._sequence:
            return False
        self._advance(1)
        if header.h_blocktype == JBD2_DESCRIPTOR_BLOCK:
            self._read_descriptor(block, data)
        elif header.h_blocktype == JBD2_REVOKE_BLOCK:
            self._read_revocations(block, data)
        else:
            return header.h_blocktype == JBD2_COMMIT_BLOCK and self._commit(block, data)
        return True

    def _look_ahead(self) -> None:
        """Refuse to believe that the journal ends here if the commits go on.

        The kernel does not look; it begins where a transaction ends, and that is all that it
        writes before the commit of this one. None has more than a quarter of a journal.
        """
        block = self._at
        for _ in range((self._form.end - self._form.first) // 2):
            try:
                data = self._journal.read(block)
            except JournalError:
                data = b""
            if data.startswith(_COMMIT) and self._is_later(data):
                raise JournalError(
                    f"block {self._at} of the journal is no part of it, "
                    f"and block {block} commits it or a later one"
                )
            block = self._form.after(block)

    def _is_later(self, data: bytes) -> bool:
        fields = parsed(Jbd2Commit, data)
        ahead = (fields.h_sequence - self._sequence) & _LAST_SEQUENCE
        return (
            int(self._form.is_async) <= ahead <= self._form.end
            and fields.h_commit_sec >= self._last_time
            and bool(self._form.checksums or self._last_time)
            and has_right_commit_sum(self._form, data)
        )

    def _advance(self, count: int) -> None:
        self._passed += count
        if self._passed > self._form.end - self._form.first:
            raise JournalError("it is longer than the journal")
        self._at = self._form.after(self._at, count)

    def _read_descriptor(self, block: int, data: bytes) -> None:
        form = self._form
        is_right = has_right_tail(form, data)
        if not is_right:
            self._doubt = _wrong_checksum(block)
        tags = tags_of(form, data)
        if is_right and not tags.are_all:
            self._wrong = f"block {block} of the journal does not say where its tags end"
        outside = tags.blocks[tags.blocks >= self._nr_blocks]
        if len(outside):
            self._wrong = f"it changes block {outside[0]}, which the file system does not have"
        begin, ring = self._at - form.first, form.end - form.first
        places = form.first + (begin + np.arange(len(tags.blocks), dtype=np.uint64)) % ring
        if not self._journal.has(places):
            self._wrong = "a part of it is nowhere on the volume"
        self._advance(len(tags.blocks))
        if self._is_summed:
            self._running = _crc32_be(data, self._running)
        is_bad = self._bad_contents(tags, places)
        transaction = np.full(len(places), self._count, dtype=np.uint32)
        self._changes.append(
            Logged(tags.blocks, places.astype(np.uint32), tags.is_escaped, is_bad, transaction)
        )

    def _bad_contents(self, tags: Tags, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Tell which blocks are not as their checksums say; sum up all."""
        is_bad = np.zeros(len(places), dtype=np.bool_)
        if not self._is_summed and (not self._form.checksums or self._doubt):
            return is_bad
        for at, (place, stored) in enumerate(zip(places.tolist(), tags.sums.tolist(), strict=True)):
            try:
                data = self._journal.read(place)
            except JournalError:
                self._is_summed = False  # it is missing where it belongs, and nowhere else
                continue
            if self._is_summed:
                self._running = _crc32_be(data, self._running)
            if self._form.checksums:
                is_bad[at] = not self._sums.is_right(data, stored)
        return is_bad

    def _read_revocations(self, block: int, data: bytes) -> None:
        if not has_right_tail(self._form, data):
            self._doubt = _wrong_checksum(block)
            return
        try:
            self._voids.append(revoked_by(self._form, data))
        except JournalError as error:
            self._wrong = str(error)

    def _commit(self, block: int, data: bytes) -> bool:
        """Take the transaction if it can be believed; tell whether there may be more."""
        fields = parsed(Jbd2Commit, data)
        wrong = self._doubt or self._wrong_sum(block, data, fields)
        if wrong and fields.h_commit_sec < self._last_time:
            return False  # of a journal that was here before
        if self._failed is not None:
            raise JournalError(f"{self._failed}, and another transaction follows")
        if wrong and self._form.is_async and not self._doubt:
            self._failed = wrong
        elif wrong or self._wrong:
            raise JournalError(str(wrong or self._wrong))
        else:
            self._take()
        self._last_time = int(fields.h_commit_sec)
        self._begin((self._sequence + 1) & _LAST_SEQUENCE)
        return True

    def _wrong_sum(self, block: int, data: bytes, fields: Any) -> str | None:
        """Return what is wrong with the checksum of a commit, or of all that it commits."""
        if self._is_summed:
            stored = (fields.h_chksum[0], fields.h_chksum_type, fields.h_chksum_size)
            right = (self._running, JBD2_CRC32_CHKSUM, JBD2_CRC32_CHKSUM_SIZE)
            if stored not in (right, (0, 0, 0)):
                return "its content is not as its checksum says"
        return None if has_right_commit_sum(self._form, data) else _wrong_checksum(block)

    def _take(self) -> None:
        for changes in self._changes:
            values = (getattr(changes, name) for name in changes.__slots__)
            for column, found in zip(self._logged, values, strict=True):
                column.extend(found)
        for blocks in self._voids:
            self._revoked[0].extend(blocks)
            self._revoked[1].extend(np.full(len(blocks), self._count, dtype=np.uint32))
        self._count += 1


def read_transactions(journal: JournalFile, nr_blocks: int) -> Transactions:
    """Read what a journal holds, from its first transaction to the last complete one.

    Args:
        journal: one that begins somewhere.
        nr_blocks: of the file system.
    """
    return _Reader(journal, nr_blocks).read()


def _wrong_checksum(block: int) -> str:
    return f"the checksum of block {block} of the journal is wrong"
