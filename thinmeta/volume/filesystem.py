"""Which file system is on a volume, and whether its journal must be replayed first."""

from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np

from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.ext4 import (
    EXT4_FEATURE_INCOMPAT_RECOVER,
    EXT4_SUPER_MAGIC,
    EXT4_SUPERBLOCK_OFFSET,
    Ext4Superblock,
)
from thinmeta.schemas.filesystems import (
    XFS_MAX_LOG_BYTES,
    XLOG_BASIC_BLOCK_BYTES,
    XLOG_HEADER_CYCLE_BYTES,
    XLOG_HEADER_MAGIC_NUM,
    XLOG_UNMOUNT_TRANS,
    XLOG_VERSION_2,
    XfsLogOperation,
    XfsLogRecord,
)
from thinmeta.schemas.xfs import XFS_SB_MAGIC, XfsSuperblock
from thinmeta.volume.contents import Volume

_LogRecord = Any
"""One structure, by the names of its fields."""

BEGINNING_BYTES = 4096
"""In these are the superblocks of ext4 and XFS."""

_LOG_AT_ONCE = 4 << 20


class FilesystemKind(Enum):
    """A file system that is known here."""

    EXT4 = "ext4"
    """Or ext3, or ext2: the same driver mounts them."""

    XFS = "xfs"


class Journal(Enum):
    """Whether the journal holds what is not yet in the file system itself."""

    CLEAN = "clean"
    DIRTY = "dirty"
    MAYBE_DIRTY = "may be dirty"


@dataclass(frozen=True, slots=True)
class FileSystemFound:
    """What is on a volume."""

    kind: FilesystemKind
    journal: Journal


def recognise(volume: Volume) -> FileSystemFound | None:
    """Find out which file system is on `volume`; None is neither ext4 nor XFS.

    A part that cannot be read is taken for zeros, so that nothing raises but damage to
    the metadata.
    """
    beginning = _read(volume, 0, BEGINNING_BYTES)
    kind = kind_of(beginning)
    if kind is FilesystemKind.EXT4:
        ext4 = parsed(Ext4Superblock, beginning[EXT4_SUPERBLOCK_OFFSET:])
        needs_recovery = int(ext4["s_feature_incompat"]) & EXT4_FEATURE_INCOMPAT_RECOVER
        return FileSystemFound(kind, Journal.DIRTY if needs_recovery else Journal.CLEAN)
    if kind is FilesystemKind.XFS:
        clean = _xfs_log_is_clean(volume, parsed(XfsSuperblock, beginning))
        return FileSystemFound(kind, Journal.CLEAN if clean else Journal.MAYBE_DIRTY)
    return None


def kind_of(beginning: bytes) -> FilesystemKind | None:
    """Return which file system begins so; None is neither ext4 nor XFS.

    Args:
        beginning: the first `BEGINNING_BYTES` of the volume, or more.
    """
    if parsed(Ext4Superblock, beginning[EXT4_SUPERBLOCK_OFFSET:])["s_magic"] == EXT4_SUPER_MAGIC:
        return FilesystemKind.EXT4
    if parsed(XfsSuperblock, beginning)["sb_magicnum"] == XFS_SB_MAGIC:
        return FilesystemKind.XFS
    return None


def file_system_uuid(beginning: bytes) -> str | None:
    """Return the UUID of an ext4 or XFS, as blkid shows it; None if there is neither.

    Args:
        beginning: the first `BEGINNING_BYTES` of the volume.
    """
    kind = kind_of(beginning)
    if kind is FilesystemKind.EXT4:
        ext4 = parsed(Ext4Superblock, beginning[EXT4_SUPERBLOCK_OFFSET:])
        return str(UUID(bytes=ext4["s_uuid"]))
    if kind is FilesystemKind.XFS:
        return str(UUID(bytes=parsed(XfsSuperblock, beginning)["sb_uuid"]))
    return None


def _xfs_log_is_clean(volume: Volume, superblock: _LogRecord) -> bool:
    """Tell whether the record that was written last is that of an unmount.

    Source: `xlog_check_unmount_rec()`, fs/xfs/xfs_log_recover.c.
    """
    block_bytes, log_start = int(superblock["sb_blocksize"]), int(superblock["sb_logstart"])
    ag_bits = int(superblock["sb_agblklog"])
    group, block = log_start >> ag_bits, log_start & ((1 << ag_bits) - 1)
    begin = (group * int(superblock["sb_agblocks"]) + block) * block_bytes
    size = int(superblock["sb_logblocks"]) * block_bytes
    if not log_start or size > XFS_MAX_LOG_BYTES or size % XLOG_BASIC_BLOCK_BYTES:
        return False
    last = _last_record(volume, begin, size)
    if last is None or int(last["h_num_logops"]) != 1:
        return False
    header_blocks = 1
    if int(last["h_version"]) & XLOG_VERSION_2:
        header_blocks = max(1, -(-int(last["h_size"]) // XLOG_HEADER_CYCLE_BYTES))
    place = (int(last["h_lsn"]) & 0xFFFFFFFF) + header_blocks  # the log may go round here
    at = begin + place * XLOG_BASIC_BLOCK_BYTES % size
    operation = parsed(XfsLogOperation, _read(volume, at, XLOG_BASIC_BLOCK_BYTES))
    return bool(int(operation["oh_flags"]) & XLOG_UNMOUNT_TRANS)


def _last_record(volume: Volume, begin: int, size: int) -> _LogRecord | None:
    """Return the record with the highest cycle and block; None if there is none.

    Only a record's header begins with the magic: in all other basic blocks the log keeps
    the cycle there.
    """
    layout = dtype_of(XfsLogRecord)
    last: _LogRecord | None = None
    for done in range(0, size, _LOG_AT_ONCE):
        part = _read(volume, begin + done, min(_LOG_AT_ONCE, size - done))
        rows = np.frombuffer(part, dtype=np.uint8).reshape(-1, XLOG_BASIC_BLOCK_BYTES)
        records = rows[:, : layout.itemsize].copy().view(layout)[:, 0]
        places = np.flatnonzero(records["h_magicno"] == XLOG_HEADER_MAGIC_NUM)
        here = (records["h_lsn"][places] & 0xFFFFFFFF) == places + done // XLOG_BASIC_BLOCK_BYTES
        found = records[places[here]]
        if len(found):
            latest = found[found["h_lsn"].argmax()]
            if last is None or latest["h_lsn"] > last["h_lsn"]:
                last = latest
    return last


def _read(volume: Volume, begin: int, size: int) -> bytes:
    """Return `size` bytes, zeros where there are none or they cannot be read."""
    volume.seek(begin)
    try:
        data = volume.read(size) or b""
    except OSError:
        data = b""
    return data.ljust(size, b"\0")
