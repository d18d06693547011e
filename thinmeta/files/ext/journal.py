"""The journal of an ext3 or ext4, replayed above the volume."""

import numpy as np
import numpy.typing as npt

from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.ext.journal_file import JournalError, JournalFile
from thinmeta.files.ext.transactions import Logged, Transactions, read_transactions
from thinmeta.files.file_system import FileError
from thinmeta.files.overlay import Magics, Overlay, Patches, Replay, is_void, topmost
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.jbd2 import (
    EXT4_FC_TAG_HEAD,
    JBD2_MAGIC_NUMBER,
    Ext4FastCommitHead,
    Jbd2Magic,
)

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
    logged = found.logged[~_is_revoked(found)]
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
        logged = believed.logged[~_is_revoked(believed)]
    stopped = (form.sequence + count) % _SEQUENCES
    if fault is None:
        _refuse_fast_commits(journal, stopped, cache.source.name)
    else:
        fault = f"the journal was not replayed from transaction {stopped} on: {fault}"
    overlay = _overlay(journal, cache, logged)
    return Replay(overlay, count, fault, overlay.changed())


def _is_revoked(found: Transactions) -> npt.NDArray[np.bool_]:
    """Tell which changes are revoked.

    Source: `jbd2_journal_test_revoke()`, fs/jbd2/revoke.c.
    """
    logged, revoked = found.logged, found.revoked
    return is_void(logged.block, logged.transaction, revoked.block, revoked.transaction)


def _overlay(journal: JournalFile, cache: Cache, logged: Logged) -> Overlay:
    width = np.uint64(journal.block_bytes)
    begin, length, row = topmost(logged.block * width, np.full(len(logged), width))
    top = logged[row]
    places = journal.places(top.journal_block.astype(np.uint64))
    magic = np.array(JBD2_MAGIC_NUMBER, dtype=_MAGIC).tobytes()
    patches = Patches(begin, length, places).joined_up()
    return Overlay(cache.source, cache.source, patches, [Magics(begin[top.is_escaped], magic)])


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
