"""File systems that the kernel makes, on a loop device, and what it then shows of them.

Paths are bytes.
"""

# ruff: noqa: PTH115, PTH123

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.device.test_loop_device import attach, detach
from tests.files.listing import content
from thinmeta.files.file_system import FileSystem, Inode
from thinmeta.files.reading import Cache

ENVIRONMENT = {
    "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
    **dict.fromkeys(("TEST_DIR", "TEST_DEV", "QA_CHECK_FS"), "1"),
}
"""The last three have mkfs.xfs make small file systems, too."""

needs_xfsprogs = pytest.mark.skipif(
    not shutil.which("mkfs.xfs", path=ENVIRONMENT["PATH"]), reason="xfsprogs is not installed"
)


def run(*command: str | Path, stdin: bytes | None = None) -> bytes:
    """Return what a command prints; it must end well."""
    ran = subprocess.run(command, check=False, capture_output=True, input=stdin, env=ENVIRONMENT)
    assert not ran.returncode, ran.stderr.decode(errors="replace")
    return ran.stdout


@contextmanager
def mounted(image: Path, folder: Path, *options: str) -> Iterator[bytes]:
    """Mount an image on `folder`, and return its path, as bytes."""
    folder.mkdir(exist_ok=True)
    device = attach(image)
    try:
        run("mount", *options, device, folder)
        try:
            yield os.fsencode(folder)
        finally:
            run("umount", folder)
    finally:
        detach(device)


class Shown(NamedTuple):
    """What the kernel shows of a file; times in ns."""

    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    atime: int
    mtime: int
    ctime: int
    rdev: tuple[int, int]
    target: bytes | None
    xattrs: dict[bytes, bytes]
    sha256: str | None


def shown(root: bytes) -> dict[bytes, tuple[int, Shown]]:
    """Return every file of a mount by path, which begins with a dot: its inode, and the rest."""
    found = {}
    pending = [root]
    while pending:
        path = pending.pop()
        found[b"." + path[len(root) :]] = (os.lstat(path).st_ino, _shown(path))
        if stat.S_ISDIR(os.lstat(path).st_mode):
            pending += [entry.path for entry in os.scandir(path)]
    return found


def _shown(path: bytes) -> Shown:
    about = os.lstat(path)
    is_device = stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode)
    names = os.listxattr(path, follow_symlinks=False)
    return Shown(
        about.st_mode,
        about.st_uid,
        about.st_gid,
        about.st_nlink,
        about.st_size,
        about.st_atime_ns,
        about.st_mtime_ns,
        about.st_ctime_ns,
        (os.major(about.st_rdev), os.minor(about.st_rdev)) if is_device else (0, 0),
        os.readlink(path) if stat.S_ISLNK(about.st_mode) else None,
        {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names},
        hashlib.sha256(_content(path)).hexdigest() if stat.S_ISREG(about.st_mode) else None,
    )


def as_shown(files: FileSystem, cache: Cache, inode: Inode) -> Shown:
    """Return what is read of a file."""
    return Shown(
        *inode[1:],
        target=files.link_target(inode) if stat.S_ISLNK(inode.mode) else None,
        xattrs=dict(files.xattrs(inode)),
        sha256=hashlib.sha256(content(files, cache, inode)).hexdigest()
        if stat.S_ISREG(inode.mode)
        else None,
    )


def _content(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def mkfs_xfs(image: Path, size: int, *options: str | Path) -> Path:
    """Make an image with an XFS, which may be smaller than mkfs.xfs likes; return its path."""
    with image.open("wb") as file:
        file.truncate(size)
    run("mkfs.xfs", "-q", *options, image)
    return image
