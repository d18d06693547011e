"""Which file system is on a volume, and whether its journal must be replayed first."""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from thinmeta.schemas.decode import parsed
from thinmeta.schemas.ext4 import (
    EXT4_FEATURE_INCOMPAT_RECOVER,
    EXT4_SUPER_MAGIC,
    EXT4_SUPERBLOCK_OFFSET,
    Ext4Superblock,
)
from thinmeta.schemas.xfs import XFS_SB_MAGIC, XfsSuperblock
from thinmeta.volume.contents import Volume
from thinmeta.volume.xfs_log import LogPlace, is_clean

BEGINNING_BYTES = 4096
"""In these are the superblocks of ext4 and XFS."""


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


def _xfs_log_is_clean(volume: Volume, superblock: Any) -> bool:
    """Tell whether the record that was written last is that of an unmount."""
    block_bytes, log_start = int(superblock["sb_blocksize"]), int(superblock["sb_logstart"])
    ag_bits = int(superblock["sb_agblklog"])
    group, block = log_start >> ag_bits, log_start & ((1 << ag_bits) - 1)
    begin = (group * int(superblock["sb_agblocks"]) + block) * block_bytes
    log = LogPlace(begin, int(superblock["sb_logblocks"]) * block_bytes)
    return bool(log_start) and log.is_sound() and is_clean(partial(_read, volume), log)


def _read(volume: Volume, begin: int, size: int) -> bytes:
    """Return `size` bytes, zeros where there are none or they cannot be read."""
    volume.seek(begin)
    try:
        data = volume.read(size) or b""
    except OSError:
        data = b""
    return data.ljust(size, b"\0")
