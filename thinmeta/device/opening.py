"""From a path to a `BlockDevice`: files, block devices, compressed images and pack files."""

import errno
import os
import stat
from pathlib import Path

import numpy as np

from thinmeta.device.bad_maps import bad_map_of
from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.device.compressed import MAGIC_BYTES, Inspect, packing_of, unpack
from thinmeta.device.extents import Extents
from thinmeta.device.kernel import SYSFS, holders_of
from thinmeta.device.part_of_file import PartOfFile
from thinmeta.device.signatures import counted
from thinmeta.errors import InputError, LiveDeviceError, OutputError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES


def open_blocks(
    path: Path,
    *,
    inspect: Inspect,
    exclusive: bool = True,
    sysfs: Path = SYSFS,
    into: int | None = None,
) -> BlockDevice:
    """Open `path` for reading as a device of metadata blocks.

    Block devices are read past the page cache (O_DIRECT), since the kernel writes
    live metadata below it.

    Args:
        path: a regular file, which may be compressed or a pack file, or a block device;
            `FILE@OFFSET` where the metadata begins further on in it.
        inspect: refuses what is no metadata; says how much of a compressed image to unpack.
        exclusive: refuse what a pool or anything else holds open; False is for
            reading a metadata snapshot, which stands still.
        sysfs: where the kernel tells about loop devices and holders.
        into: an empty file that gets what is compressed; None is an unnamed one.

    Raises:
        InputError: `path` is missing, unreadable or of the wrong kind.
        LiveDeviceError: `exclusive`, and it is in use.
    """
    part = PartOfFile.of(path)
    try:
        if part.path.is_dir():
            raise InputError(f"{path}: is a directory, not a metadata device or image")
        if is_block_device(part.path):
            return _open_block_device(part, str(path), inspect, exclusive=exclusive, sysfs=sysfs)
        if exclusive and (holders := holders_of(path, sysfs)):
            raise LiveDeviceError(live_message(path, holders))
        if part.offset is None and bad_map_of(part.path) is None:
            return _open_file(path, inspect, into)
        return _open_part(part, str(path), inspect)
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def open_to_read(path: Path, *, direct: bool, exclusive: bool = False) -> int:
    """Open a file or a block device for reading.

    Args:
        path: which.
        direct: past the page cache (O_DIRECT), where the driver can do without it; reads
            must then be aligned, as whole blocks are.
        exclusive: of a block device, only if nobody else holds it so.

    Raises:
        OSError: it cannot be opened; EBUSY where somebody holds it.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_EXCL if exclusive else 0)
    if direct:
        try:
            return os.open(path, flags | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return os.open(path, flags)


def is_block_device(path: Path) -> bool:
    """Tell a block device from a regular file.

    Raises:
        InputError: it is neither.
        OSError: it is missing, or cannot be reached.
    """
    mode = path.stat().st_mode
    if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
        raise InputError(f"{path}: is neither a regular file nor a block device")
    return stat.S_ISBLK(mode)


def live_message(path: Path, pools: list[str]) -> str:
    """Say that `path` is live, and the commands by which it can be read all the same."""
    pool = pools[0] if pools else "POOL"
    held = f"the metadata of the active pool {pool}" if pools else "in use, as by an active pool"
    return (
        f"{path}: is {held}, which changes while it is read. "
        f"Read a metadata snapshot instead: {snapshot_commands(pool)}"
    )


def snapshot_commands(pool: str) -> str:
    """Return the three steps that read a live pool: reserve, read with -m, release."""
    return (
        f"dmsetup message {pool} 0 reserve_metadata_snap; the same command with -m; "
        f"dmsetup message {pool} 0 release_metadata_snap"
    )


def _open_file(path: Path, inspect: Inspect, into: int | None) -> BlockDevice:
    fd = open_to_read(path, direct=False)
    try:
        beginning = _read_beginning(fd)
        if beginning is None:
            return BlockDevice(fd, str(path))
        if not packing_of(beginning[:MAGIC_BYTES]) or _passes(inspect, beginning):
            inspect(beginning)
            return BlockDevice(fd, str(path))
        unpacked, wrong = unpack(fd, inspect, into)
    except InputError as error:
        os.close(fd)
        raise type(error)(f"{path}: {error}") from error
    except OutputError:
        os.close(fd)
        raise
    os.close(fd)
    return BlockDevice(unpacked, str(path), (f"{path}: {wrong}",) if wrong else ())


def _open_part(part: PartOfFile, name: str, inspect: Inspect) -> BlockDevice:
    """Open what begins further on in a file, or a copy of which a part is known to be lost.

    Of a compressed one that is in what it unpacks to.
    """
    fd = open_to_read(part.path, direct=False)
    wrong = None
    try:
        if packing_of(os.pread(fd, MAGIC_BYTES, 0)):
            packed, (fd, wrong) = fd, unpack(fd, lambda _: None)
            os.close(packed)
        notes = (f"{name}: {wrong}",) if wrong else ()
        extents = Extents.of_file(fd, name, part.offset or 0, notes)
    except InputError as error:
        os.close(fd)
        raise type(error)(f"{name}: {error}") from error
    return _inspected(BlockDevice.over(extents), inspect, is_part=part.offset is not None)


def _passes(inspect: Inspect, beginning: bytes) -> bool:
    """Tell whether it is metadata whose checksum looks like a compressed file's magic."""
    try:
        inspect(beginning)
    except InputError:
        return False
    return True


def _read_beginning(fd: int) -> bytes | None:
    """Return the first block; None over a bad sector, which who reads block 0 will meet."""
    try:
        return os.pread(fd, METADATA_BLOCK_BYTES, 0)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None


def _open_block_device(
    part: PartOfFile, name: str, inspect: Inspect, *, exclusive: bool, sysfs: Path
) -> BlockDevice:
    begin = part.offset or 0
    try:
        is_aligned = begin % METADATA_BLOCK_BYTES == 0
        fd = open_to_read(part.path, direct=is_aligned, exclusive=exclusive)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise LiveDeviceError(live_message(Path(name), holders_of(part.path, sysfs))) from error
    try:
        device = BlockDevice.over(Extents.of_file(fd, name, begin))
    except InputError:
        os.close(fd)
        raise
    return _inspected(device, inspect, is_part=part.offset is not None)


def _inspected(device: BlockDevice, inspect: Inspect, *, is_part: bool) -> BlockDevice:
    """Return a device, unless its first block can be read, and is of something else.

    A part of a larger one ends where its superblock says, if that is sound.
    """
    inspect = counted(inspect) if is_part else inspect
    try:
        first = device.read(np.zeros(1, dtype=np.uint64))
        if first.faults[0] != Fault.READ_ERROR:
            nr_blocks = inspect(first.rows[0].tobytes() if device.nr_blocks else b"")
            if is_part and nr_blocks is not None and nr_blocks < MAX_METADATA_BLOCKS:
                device.nr_blocks = min(device.nr_blocks, nr_blocks)
    except InputError as error:
        device.close()
        raise type(error)(f"{device.name}: {error}") from error
    return device
