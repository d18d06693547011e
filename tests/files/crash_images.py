"""Volumes as a crash leaves them, and what the kernel finds there when it mounts a copy.

A file system on a loop mount is worked on, then shut down without its log being flushed: what
is in the journal is not where it belongs. The kernel replays a copy of that; a copy that the
file system's own checker does not call clean afterwards proves nothing, and is refused.
"""

import hashlib
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.files.listing import content, every_file
from thinmeta.files.file_system import FileSystem
from thinmeta.files.reading import Cache, Missing

_ENVIRONMENT = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}
JBD2_MAGIC = bytes.fromhex("c03b3998")


class Seen(NamedTuple):
    """All that can be seen of a file."""

    mode: int
    owner: tuple[int, int]
    nlink: int
    size: int
    times: tuple[int, int, int]
    device: tuple[int, int]
    target: bytes
    xattrs: dict[bytes, bytes]
    sha256: str


@dataclass(frozen=True)
class CrashImage:
    """A volume after a crash, and what the kernel saw on a copy of it."""

    path: Path
    truth: dict[bytes, Seen]


class FileSource:
    """The bytes of a file, all of which are there."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._data = path.read_bytes()
        self.size = len(self._data)

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        view[:] = self._data[begin : begin + len(view)]
        yield from ()

    def lost(self, _begin: int, _end: int) -> Iterator[Missing]:
        yield from ()


def tool(name: str) -> str:
    """Return the name of a program, for a test that is skipped where there is none."""
    if shutil.which(name, path=_ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"{name} is not installed")
    return name


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT)


@contextmanager
def mounted(image: Path, options: str = "") -> Iterator[Path]:
    mount = image.with_name(f"{image.name}.mnt")
    mount.mkdir(exist_ok=True)
    run("mount", "-o", ",".join(["loop", *filter(None, [options])]), image, mount)
    try:
        yield mount
    finally:
        run("umount", mount)
        mount.rmdir()


def crashed(
    image: Path, work: Callable[[Path], None], options: str, check: Sequence[str]
) -> CrashImage:
    """Work on the file system of `image`, end it as a crash does, and ask the kernel.

    Args:
        image: a new file system.
        work: is called with the folder that it is mounted on.
        options: of the mount.
        check: a command that fails if the file system that follows it is not clean.
    """
    with mounted(image, options) as mount:
        work(mount)
        run(tool("xfs_io"), "-x", "-c", "shutdown", mount)
    copy = image.with_name(f"{image.name}.copy")
    shutil.copyfile(image, copy)
    with mounted(copy, "noatime") as mount:
        truth = dict(_seen(mount))
    run(*check, copy)
    copy.unlink()
    return CrashImage(image, truth)


def _seen(mount: Path) -> Iterator[tuple[bytes, Seen]]:
    pending = [mount]
    while pending:
        path = pending.pop()
        about = path.lstat()
        is_device = stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode)
        is_file = stat.S_ISREG(about.st_mode)
        yield (
            b"." + os.fsencode(path)[len(os.fsencode(mount)) :],
            Seen(
                about.st_mode,
                (about.st_uid, about.st_gid),
                about.st_nlink,
                about.st_size,
                (about.st_atime_ns, about.st_mtime_ns, about.st_ctime_ns),
                (os.major(about.st_rdev), os.minor(about.st_rdev)) if is_device else (0, 0),
                os.fsencode(path.readlink()) if stat.S_ISLNK(about.st_mode) else b"",
                dict(_xattrs(path)),
                hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "",
            ),
        )
        if stat.S_ISDIR(about.st_mode):
            pending += path.iterdir()


def _xattrs(path: Path) -> Iterator[tuple[bytes, bytes]]:
    for name in os.listxattr(path, follow_symlinks=False):
        yield os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)


def read_by(files: FileSystem, cache: Cache) -> dict[bytes, Seen]:
    """Return all that can be seen of every file of a file system, without the kernel."""
    return {
        path: Seen(
            inode.mode,
            (inode.uid, inode.gid),
            inode.nlink,
            inode.size,
            (inode.atime, inode.mtime, inode.ctime),
            inode.rdev,
            files.link_target(inode) if stat.S_ISLNK(inode.mode) else b"",
            dict(files.xattrs(inode)),
            hashlib.sha256(content(files, cache, inode)).hexdigest()
            if stat.S_ISREG(inode.mode)
            else "",
        )
        for path, inode in every_file(files)
    }


class Burst:
    """Creates, renames, deletes, links, attributes and fsyncs, by a seed."""

    def __init__(self, seed: int, rounds: int) -> None:
        self._chance = random.Random(seed)
        self._rounds = rounds
        self._folders: list[Path] = []
        self._files: list[Path] = []

    def __call__(self, mount: Path) -> None:
        self._folders, self._files = [mount], []
        steps: list[Callable[[Path, int], None]] = [
            *[self._create] * 4,
            self._make_folder,
            self._delete,
            self._rename,
            self._link,
            self._link_symbolically,
            self._give_attribute,
            self._make_device,
            self._write_sparse,
            self._delete_folder,
        ]
        for step in range(self._rounds):
            self._chance.choice(steps)(self._chance.choice(self._folders), step)
            if self._chance.randrange(25) == 0 and self._files:
                _fsync(self._chance.choice(self._files))
        many = mount / "many"
        many.mkdir()
        names = [many / f"a rather long name, number {each}" for each in range(self._rounds // 2)]
        for name in names:
            name.touch()
        for name in names[::3]:
            name.unlink()
        _fsync(many)
        (mount / "not on disk").write_bytes(b"never synced")

    def _create(self, folder: Path, step: int) -> None:
        content = self._chance.randbytes(self._chance.choice([0, 1, 100, 5000, 70000]))
        made = folder / f"file {step}"
        made.write_bytes(JBD2_MAGIC * self._chance.randrange(2) + content)
        self._files.append(made)

    def _make_folder(self, folder: Path, step: int) -> None:
        made = folder / f"folder {step}"
        made.mkdir()
        self._folders.append(made)

    def _taken(self) -> Path | None:
        return self._files.pop(self._chance.randrange(len(self._files))) if self._files else None

    def _delete(self, _folder: Path, _step: int) -> None:
        if file := self._taken():
            file.unlink()

    def _rename(self, folder: Path, step: int) -> None:
        if file := self._taken():
            self._files.append(file.rename(folder / f"renamed {step}"))

    def _link(self, folder: Path, step: int) -> None:
        if self._files:
            linked = folder / f"link {step}"
            linked.hardlink_to(self._chance.choice(self._files))
            self._files.append(linked)

    def _link_symbolically(self, folder: Path, step: int) -> None:
        (folder / f"symlink {step}").symlink_to("t" * self._chance.choice([5, 59, 60, 250, 900]))

    def _give_attribute(self, _folder: Path, step: int) -> None:
        if self._files:
            value = self._chance.randbytes(self._chance.randrange(200))
            os.setxattr(self._chance.choice(self._files), f"user.{step % 7}", value)

    def _make_device(self, folder: Path, step: int) -> None:
        os.mknod(folder / f"device {step}", stat.S_IFCHR | 0o640, os.makedev(step % 512, 300))

    def _write_sparse(self, folder: Path, step: int) -> None:
        with (folder / f"sparse {step}").open("wb") as file:
            for _ in range(self._chance.randrange(40)):
                file.seek(self._chance.randrange(400) * 4096)
                file.write(b"\x5a" * self._chance.randrange(1, 3000))
            file.flush()
            os.fsync(file)

    def _delete_folder(self, _folder: Path, _step: int) -> None:
        if len(self._folders) > 20:
            gone = self._folders.pop()
            shutil.rmtree(gone)
            self._folders = [each for each in self._folders if not each.is_relative_to(gone)]
            self._files = [each for each in self._files if not each.is_relative_to(gone)]


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
