"""Which bytes a path leads to: whether two paths, however they are spelled, lead to the same.

A file has names, hard links and descriptors; a block device may be a loop device over a
file, a partition, or made of other devices.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from thinmeta.device.kernel import SYSFS


class Identity(NamedTuple):
    """A file, by its file system and inode, or a block device, by its number."""

    number: int
    inode: int = 0
    is_device: bool = False


class Storage(NamedTuple):
    """Where the bytes of a file or block device are.

    Attributes:
        itself: the file or device; a loop device is also the file behind it.
        all: that, and all that is beneath it.
    """

    itself: frozenset[Identity]
    all: frozenset[Identity]

    @classmethod
    def of(cls, path: Path | int, sysfs: Path = SYSFS) -> Self:
        """Return where the bytes of a path, or of an open descriptor, are.

        Source: Documentation/ABI/testing/sysfs-block, and `loop_attr_backing_file_show()`,
        drivers/block/loop.c.

        Raises:
            OSError: there is no such file.
        """
        identity = identity_of(status_of(path))
        itself, found, left = {identity}, set[Identity](), [identity]
        behind = _behind(identity, sysfs)
        if behind is not None:
            itself.add(behind)
        while left:
            each = left.pop()
            if each not in found:
                found.add(each)
                left += _beneath(each, sysfs)
        return cls(frozenset(itself), frozenset(found))

    def overlaps(self, other: Self) -> bool:
        """Tell whether one is the other, or lies on it."""
        return bool(self.itself & other.all or other.itself & self.all)


def status_of(path: Path | int) -> os.stat_result:
    """Return the status of what a path leads to, or of an open descriptor."""
    return os.fstat(path) if isinstance(path, int) else path.stat()


def identity_of(status: os.stat_result) -> Identity:
    """Return what a file or device is, whatever it is called."""
    if stat.S_ISBLK(status.st_mode):
        return Identity(status.st_rdev, is_device=True)
    return Identity(status.st_dev, status.st_ino)


def _beneath(identity: Identity, sysfs: Path) -> Iterator[Identity]:
    """Return what a block device lies on, one step down."""
    folder = _folder_of(identity, sysfs)
    if folder is None:
        return
    behind = _behind(identity, sysfs)
    if behind is not None:
        yield behind
    below = [*folder.glob("slaves/*/dev")]
    if (folder / "partition").exists():
        below.append(folder.resolve().parent / "dev")
    for each in below:
        with suppress(OSError, ValueError):
            major, minor = map(int, each.read_text().split(":"))
            yield Identity(os.makedev(major, minor), is_device=True)


def _behind(identity: Identity, sysfs: Path) -> Identity | None:
    """Return the file behind a loop device; None for all else."""
    folder = _folder_of(identity, sysfs)
    if folder is not None:
        with suppress(OSError):
            name = os.fsdecode((folder / "loop/backing_file").read_bytes().removesuffix(b"\n"))
            return identity_of(Path(name).stat())
    return None


def _folder_of(identity: Identity, sysfs: Path) -> Path | None:
    if not identity.is_device:
        return None
    number = identity.number
    return sysfs / "dev/block" / f"{os.major(number)}:{os.minor(number)}"
