"""Volumes as a crash leaves them, and what the kernel shows of a copy that it mounts.

A file system on a loop mount is worked on, then shut down without its log being flushed: what
is in the journal is not where it belongs. The kernel replays a copy of that; a copy that the
file system's own checker does not call clean afterwards proves nothing, and is refused.
"""

import os
import random
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.files.listing import every_file
from tests.files.mounted import ENVIRONMENT, Shown, as_shown, mounted, run, shown
from thinmeta.files.file_system import FileSystem
from thinmeta.files.reading import Cache

JBD2_MAGIC = bytes.fromhex("c03b3998")


@dataclass(frozen=True)
class CrashImage:
    """A volume after a crash, and what the kernel showed of a copy of it, by path."""

    path: Path
    truth: dict[bytes, Shown]


def tool(name: str) -> str:
    """Return the name of a program, for a test that is skipped where there is none."""
    if shutil.which(name, path=ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"{name} is not installed")
    return name


def shut_down(image: Path, work: Callable[[Path], None], options: str = "") -> None:
    """Work on the file system of an image, and end it as a crash does.

    It is copied before the unmount, which has ext4's metadata written to where it belongs;
    nothing else writes to a file system that is shut down.
    """
    folder, left = image.with_name("mnt"), image.with_name(f"{image.name}.left")
    with mounted(image, folder, "-o", options or "defaults"):
        work(folder)
        run(tool("xfs_io"), "-x", "-c", "shutdown", folder)
        shutil.copyfile(image, left)
    left.replace(image)


def crashed(
    image: Path, work: Callable[[Path], None], options: str, check: Sequence[str]
) -> CrashImage:
    """Work on the file system of an image, end it as a crash does, and ask the kernel.

    Args:
        image: a new file system.
        work: is called with the folder that it is mounted on.
        options: of the mount.
        check: a command that fails if the file system that follows it is not clean.
    """
    shut_down(image, work, options)
    copy = image.with_name(f"{image.name}.copy")
    shutil.copyfile(image, copy)
    with mounted(copy, image.with_name("mnt"), "-o", "noatime") as root:
        truth = {path: seen for path, (_, seen) in shown(root).items()}
    run(*check, copy)
    copy.unlink()
    return CrashImage(image, truth)


def read_by(files: FileSystem, cache: Cache) -> dict[bytes, Shown]:
    """Return all that is read of every file of a file system, without the kernel."""
    return {path: as_shown(files, cache, inode) for path, inode in every_file(files)}


class Burst:
    """Creates, renames, deletes, links, attributes and fsyncs, by a seed."""

    def __init__(self, seed: int, rounds: int, *, is_dull: bool = False) -> None:
        """Begin anew.

        Args:
            seed: of all that is left to chance.
            rounds: how much is done.
            is_dull: whether files can be compressed well.
        """
        self._chance = random.Random(seed)
        self._is_dull = is_dull
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
        size = self._chance.choice([0, 1, 100, 5000, 70000])
        content = b"dull" * (size // 4) if self._is_dull else self._chance.randbytes(size)
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
