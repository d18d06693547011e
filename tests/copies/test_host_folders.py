"""The way down into folders: deep, with few descriptors, and nowhere else than down."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from thinmeta.copies.host_folders import HostFolders

DEPTH = 100


@pytest.fixture
def base(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.fixture
def folders(base: int) -> Iterator[HostFolders]:
    made = HostFolders(base, lambda fd, path: None)  # noqa: ARG005
    yield made
    made.close()


def deep(top: Path) -> bytes:
    path = b"/".join([b"d"] * DEPTH)
    (top / os.fsdecode(path)).mkdir(parents=True)
    return path


def nr_open() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def same(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.stat())


def test_it_goes_down_and_up_with_few_descriptors(tmp_path: Path, folders: HostFolders) -> None:
    path = deep(tmp_path)
    (tmp_path / "d" / "other").mkdir()
    before = nr_open()

    for where in (path, b"d", path[:99], b"", path, b"d/other", path[: 2 * 60 - 1], b"d/d"):
        assert same(folders.enter(where), tmp_path / os.fsdecode(where))
        assert nr_open() - before <= 33
    folders.close()

    assert nr_open() == before


def test_a_name_that_begins_like_another_is_another(tmp_path: Path, folders: HostFolders) -> None:
    (tmp_path / "a/in").mkdir(parents=True)
    (tmp_path / "ab").mkdir()

    for where in ("a/in", "ab", "a"):
        assert same(folders.enter(where.encode()), tmp_path / where)


@pytest.mark.parametrize("where", [b"link", b"link/in", b"file", b"file/in", b"none"])
def test_neither_links_nor_files_are_entered(
    where: bytes, tmp_path: Path, folders: HostFolders
) -> None:
    (tmp_path / "there/in").mkdir(parents=True)
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="irectory"):
        folders.enter(where)

    assert same(folders.enter(b"there/in"), tmp_path / "there/in")


def test_a_folder_that_was_moved_leads_nowhere(tmp_path: Path, folders: HostFolders) -> None:
    path = deep(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    folders.enter(path)
    (tmp_path / os.fsdecode(path[: 2 * 40 - 1])).rename(tmp_path / "elsewhere/d")

    with pytest.raises(OSError, match="was moved in the meantime") as raised:
        folders.enter(b"d")

    assert raised.value.errno == errno.ESTALE


def test_a_folder_may_be_refused(tmp_path: Path, base: int) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    seen: list[bytes] = []

    def refuse(fd: int, path: bytes) -> None:
        assert same(fd, tmp_path / os.fsdecode(path))
        seen.append(path)
        if path == b"a/b":
            raise PermissionError(path)

    before = nr_open()
    folders = HostFolders(base, refuse)
    with pytest.raises(PermissionError):
        folders.enter(b"a/b")
    folders.close()

    assert seen == [b"a", b"a/b"]
    assert nr_open() == before
