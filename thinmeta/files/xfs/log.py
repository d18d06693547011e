"""The log of an XFS, replayed above the volume."""

import numpy as np

from thinmeta.errors import UnsupportedFormatError
from thinmeta.files.file_system import FileError
from thinmeta.files.overlay import Overlay, Patches, Replay
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.log_bytes import LogBytes
from thinmeta.files.xfs.log_inodes import core_bytes
from thinmeta.files.xfs.log_items import Changes, buffer_range
from thinmeta.files.xfs.log_records import LogRecords
from thinmeta.files.xfs.logged_blocks import LoggedBlocks
from thinmeta.files.xfs.logged_changes import LoggedChanges
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.volume.byte_ranges import ByteRanges
from thinmeta.volume.xfs_log import LogPlace
from thinmeta.walk.ragged import distinct


def replay_log(file_system: Xfs, cache: Cache) -> Replay:
    """Replay the log, if the file system was not unmounted.

    Args:
        file_system: as it is on the volume, without its log.
        cache: what it reads.

    Raises:
        UnsupportedFormatError: the log is on another device.

    Source: `xlog_recover()`, fs/xfs/xfs_log_recover.c (Linux v6.6).
    """
    source = cache.source
    try:
        place = file_system.log
    except FileError as error:
        return Replay(source, 0, f"the log was not replayed: {error}")
    if place is None:
        raise UnsupportedFormatError(
            f"{source.name}: its log is on another device, and cannot be replayed: "
            "--no-replay reads what is on this one"
        )
    log = LogPlace(*place)
    if not log.is_sound() or log.begin + log.size > source.size:
        return Replay(source, 0, f"the log was not replayed: it cannot have {log.size} bytes")
    records = LogRecords(source, log)
    found = records.find()
    fault = found.fault
    if found.tail is None:
        return Replay(source, 0, fault and f"the log was not replayed: {fault}")
    changes = LoggedChanges(file_system.geometry, source.size, log.size)
    fault = changes.read(records.between(found.tail, found.last)) or fault
    if fault is not None:
        fault = f"not all of the log was replayed: {fault}"
    if not changes.nr_transactions:
        return Replay(source, 0, fault)
    seen = changes.seen(cache)
    log_bytes = LogBytes(source, log, records.words, changes.converted)
    columns = (seen.begin, seen.length, seen.place)
    patches = Patches(*(column.astype(np.uint64) for column in columns)).joined_up()
    overlay = Overlay(source, log_bytes, patches)
    whole = _whole(overlay, seen, file_system.geometry)
    changed = ByteRanges.union([overlay.changed(), whole.changed()])
    return Replay(whole, changes.nr_transactions, fault, changed)


def _whole(source: Overlay, seen: Changes, geometry: XfsGeometry) -> LoggedBlocks:
    """Return a source with all that a replay changed in its order, and with checksums."""
    is_inode = seen.inode >= 0
    inodes = distinct(seen.inode[is_inode])
    buffers = distinct(seen.buffer[~is_inode]) if geometry.is_v5 else seen.buffer[:0]
    begin, length = buffer_range(buffers)
    core = np.repeat([core_bytes(geometry), 0], [len(inodes), len(buffers)])
    begin = np.concatenate([inodes, begin])
    length = np.concatenate([np.full(len(inodes), geometry.inode_bytes), length])
    order = np.argsort(begin, kind="stable")
    return LoggedBlocks(source, begin[order], length[order], core[order])
