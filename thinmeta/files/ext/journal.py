"""The journal of an ext3 or ext4, replayed above the volume."""

import numpy as np
import numpy.typing as npt

from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.ext.journal_file import JournalError, JournalFile
from thinmeta.files.ext.transactions import Logged, Transactions, read_transactions
from thinmeta.files.file_system import FileError
from thinmeta.files.overlay import Magics, Overlay, Patches, Replay
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.jbd2 import (
    EXT4_FC_TAG_HEAD,
    JBD2_MAGIC_NUMBER,
    Ext4FastCommitHead,
    Jbd2Magic,
)
from thinmeta.walk.ragged import is_new, places_among

_MAGIC = dtype_of(Jbd2Magic)
_SEQUENCES = 1 << 32


def replay_journal(file_system: Ext4, cache: Cache) -> Replay:
    """Replay the journal, if the file system was not unmounted.

    Args:
        file_system: as it is on the volume, without its journal.
        cache: what it reads.

    Raises:
        UnsupportedFormatError: the journal is on another device, has fast commits, or a feature
            that is not known here.

    Source: `ext4_load_journal()`, fs/ext4/super.c, and fs/jbd2/recovery.c (Linux v6.6).
    """
    source = cache.source
    if not file_system.needs_recovery:
        return Replay(source, 0, None)
    if not file_system.journal_inode:
        raise UnsupportedFormatError(
            f"{source.name}: its journal is on another device, and cannot be replayed: "
            "--no-replay reads what is on this one"
        )
    try:
        inode = file_system.inode(file_system.journal_inode)
        journal = JournalFile(cache, file_system.extents(inode), file_system.block_bytes)
    except FileError as error:
        return Replay(source, 0, f"the journal was not replayed: {error}")
    if not journal.form.start:
        return Replay(source, 0, None)
    return replay_transactions(journal, cache)


def replay_transactions(journal: JournalFile, cache: Cache) -> Replay:
    """Replay a journal that begins somewhere, as far as it can be believed.

    Raises:
        UnsupportedFormatError: it has fast commits.
    """
    form = journal.form
    found = read_transactions(journal, cache.size // journal.block_bytes)
    count, fault = found.nr_transactions, found.fault
    logged = found.logged[~_is_void(found)]
    bad = logged[logged.is_bad]
    if len(bad):
        is_torn = form.is_async and fault is None and bad.transaction[0] == count - 1
        if not is_torn:
            fault = f"block {bad.journal_block[0]} of the journal is not as its checksum says"
        count = int(bad.transaction[0])
        believed = Transactions(
            count,
            found.logged[found.logged.transaction < count],
            found.revoked[found.revoked.transaction < count],
            fault,
        )
        logged = believed.logged[~_is_void(believed)]
    stopped = (form.sequence + count) % _SEQUENCES
    if fault is None:
        _refuse_fast_commits(journal, stopped, cache.source.name)
    else:
        fault = f"the journal was not replayed from transaction {stopped} on: {fault}"
    return Replay(_overlay(journal, cache, _latest(logged)), count, fault)


def _is_void(found: Transactions) -> npt.NDArray[np.bool_]:
    """Tell which blocks are revoked by their own transaction or a later one.

    Source: `jbd2_journal_test_revoke()`, fs/jbd2/revoke.c.
    """
    order = np.argsort(found.revoked.block, kind="stable")
    block = found.revoked.block[order]
    last = np.flatnonzero(np.append(block[1:] != block[:-1], np.ones(min(1, len(block)), bool)))
    place, is_void = places_among(block[last], found.logged.block)
    by = found.revoked.transaction[order][last][place[is_void]]
    is_void[is_void] = found.logged.transaction[is_void] <= by
    return is_void


def _latest(logged: Logged) -> Logged:
    """Return the last change of each block, by block."""
    reverse = logged[::-1]
    order = np.argsort(reverse.block, kind="stable")
    ordered = reverse[order]
    return ordered[is_new(ordered.block)] if len(ordered) else ordered


def _overlay(journal: JournalFile, cache: Cache, logged: Logged) -> Overlay:
    width = np.uint64(journal.block_bytes)
    begin = logged.block * width
    length = np.full(len(logged), width, dtype=np.uint64)
    patches = Patches(begin, length, journal.places(logged.journal_block.astype(np.uint64)))
    escaped = begin[logged.is_escaped]
    magic = np.array(JBD2_MAGIC_NUMBER, dtype=_MAGIC).tobytes()
    return Overlay(cache.source, cache.source, patches.joined_up(), [Magics(escaped, magic)])


def _refuse_fast_commits(journal: JournalFile, stopped: int, name: str) -> None:
    """Refuse a journal after whose last transaction fast commits follow.

    Source: `ext4_fc_replay_scan()`, fs/ext4/fast_commit.c.
    """
    if not journal.form.fast_commits:
        return
    try:
        head = parsed(Ext4FastCommitHead, journal.read(journal.form.fast_commits[0]))
    except JournalError as error:
        raise UnsupportedFormatError(
            f"{name}: its journal may have fast commits, and cannot be read there: {error}: "
            "--no-replay reads the volume as it is on disk"
        ) from error
    if head.fc_tag == EXT4_FC_TAG_HEAD and head.fc_tid == stopped:
        raise UnsupportedFormatError(
            f"{name}: its journal has fast commits, which cannot be replayed here: "
            "--no-replay reads the volume as it is on disk"
        )
