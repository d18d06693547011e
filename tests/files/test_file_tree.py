"""What is below a directory is walked as a slow model does it, whatever is wrong on the disk."""

import os
import random
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.made_trees import MemoryFiles
from tests.properties import examples
from thinmeta.errors import NotThereError
from thinmeta.files.file_system import DirectoryError, FileError
from thinmeta.files.file_tree import MOST_PATH_BYTES, find, walk

Errors = list[tuple[bytes, str]]


def walked(files: MemoryFiles, path: bytes = b"") -> tuple[list[bytes], Errors]:
    errors: Errors = []
    root = files.inode(files.root)
    found = walk(files, root, path, lambda where, error: errors.append((where, str(error))))
    return [path for path, _ in found], errors


NAMES = st.binary(min_size=1, max_size=3).filter(lambda name: not {0, 47, 46} & {*name})


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 100), NAMES, st.booleans()), max_size=30), st.randoms())
def test_a_walk_is_that_of_the_slow_model(
    drawn: list[tuple[int, bytes, bool]], chance: random.Random
) -> None:
    files = MemoryFiles()
    paths = {files.directory(): b""}
    expected: set[bytes] = set()
    for place, name, is_directory in drawn:
        parent = list(paths)[place % len(paths)]
        path = os.path.join(paths[parent], name)  # noqa: PTH118  # of bytes
        if path in expected:
            continue
        expected.add(path)
        if is_directory:
            paths[files.directory(parent, name)] = path
        else:
            files.file(parent, name)
    for entries in files.directories.values():
        assert isinstance(entries, list)
        chance.shuffle(entries)

    found, errors = walked(files)

    assert found == sorted(expected, key=lambda path: path.split(b"/"))
    assert errors == []


def test_a_path_before_the_walk_is_in_all_paths() -> None:
    files = MemoryFiles()
    inner = files.directory(files.directory(), b"etc")
    files.file(inner, b"passwd")

    assert walked(files, b"rootfs")[0] == [b"rootfs/etc", b"rootfs/etc/passwd"]


def test_what_is_wrong_with_one_file_is_told_and_the_walk_goes_on() -> None:
    files = MemoryFiles()
    root = files.directory()
    files.enter(root, b"gone", 77)
    files.enter(root, b"../../etc/passwd", files.file(None, b""))
    files.enter(root, b"..", files.file(None, b""))
    files.file(root, b"twice")
    files.link(root, b"twice", b"/etc")
    broken = files.directory(root, b"broken")
    for name in (b"x", b"y", b"z", b"zz"):
        files.file(broken, name)
    files.break_directory(broken, "block 9 is damaged")
    files.directories[files.directory(root, b"unread")] = FileError("no block of it can be read")
    files.file(root, b"last")

    paths, errors = walked(files)

    assert paths == [b"broken", b"broken/x", b"broken/y", b"last", b"twice", b"unread"]
    assert errors == [
        (b"..", "is no name of a file"),
        (b"../../etc/passwd", "is no name of a file"),
        (b"twice", "its directory has this name twice"),
        (b"broken", "block 9 is damaged"),
        (b"gone", "there is no inode 77"),
        (b"unread", "no block of it can be read"),
    ]


def test_a_directory_is_entered_once() -> None:
    files = MemoryFiles()
    root = files.directory()
    inner = files.directory(root, b"inner")
    files.enter(inner, b"root", root)
    files.enter(inner, b"self", inner)
    files.enter(root, b"other", inner)

    paths, errors = walked(files)

    assert paths == [b"inner"]
    assert [path for path, _ in errors] == [b"inner/root", b"inner/self", b"other"]


def test_a_path_ends_before_it_is_too_long() -> None:
    files = MemoryFiles()
    parent = files.directory()
    for _ in range(MOST_PATH_BYTES // 256 + 10):
        parent = files.directory(parent, b"n" * 255)

    paths, errors = walked(files)

    assert len(paths) == MOST_PATH_BYTES // 256 + 1
    assert [path for path, _ in errors] == paths[-1:]


def test_a_deep_tree_is_no_matter_of_recursion() -> None:
    files = MemoryFiles()
    parent = files.directory()
    for _ in range(20_000):
        parent = files.directory(parent, b"d")

    assert len(walked(files)[0]) == 20_000


def linked() -> MemoryFiles:
    """Return a tree with links of all kinds."""
    files = MemoryFiles()
    root = files.directory()
    usr = files.directory(root, b"usr")
    files.file(files.directory(usr, b"bin"), b"sh")
    files.link(root, b"bin", b"usr/bin")
    files.link(usr, b"up", b"../../..")
    files.link(usr, b"sh", b"/bin/./sh")
    files.link(root, b"loop", b"loop")
    files.link(root, b"nowhere", b"/usr/none")
    files.file(root, b"file")
    return files


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/", b""),
        (b"", b""),
        (b"usr/bin/sh", b"usr/bin/sh"),
        (b"/bin/sh", b"usr/bin/sh"),
        (b"/usr/sh", b"usr/bin/sh"),
        (b"//usr/./bin/../bin//sh", b"usr/bin/sh"),
        (b"/../../usr/up/usr/bin/", b"usr/bin"),
        (b"/bin", b"usr/bin"),
        (b"/bin/..", b"usr"),
    ],
)
def test_links_are_followed_within_the_root(path: bytes, found: bytes) -> None:
    files = linked()

    assert find(files, files.inode(files.root), path, follow=True).path == found


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"/usr/none/x", "^/usr/none: is not there"),
        (b"/nowhere", "^/usr/none: is not there"),
        (b"/loop", "^/loop: there are more than 40 symbolic links"),
        (b"/file/x", "^/file: is no directory"),
        (b"/file/", "^/file: is no directory"),
        (b"/file/..", "^/file: is no directory"),
    ],
)
def test_the_part_that_is_missing_is_named(path: bytes, why: str) -> None:
    files = linked()

    with pytest.raises(NotThereError, match=why):
        find(files, files.inode(files.root), path, follow=True)


def test_without_following_a_link_is_what_is_found() -> None:
    files = linked()
    root = files.inode(files.root)

    assert stat.S_ISLNK(find(files, root, b"/usr/sh", follow=False).inode.mode)
    with pytest.raises(NotThereError, match=r"^/bin: is a symbolic link.*leads to /usr/bin/sh$"):
        find(files, root, b"/bin/sh", follow=False)
    with pytest.raises(NotThereError, match=r"^/usr/up: .*leads to /usr/../../../usr$"):
        find(files, root, b"/usr/up/usr", follow=False)


def test_what_may_be_in_a_broken_part_is_not_called_missing() -> None:
    files = MemoryFiles()
    root = files.directory()
    files.file(root, b"a")
    files.enter(root, b"b", 99)
    files.file(root, b"c")
    files.file(root, b"d")
    files.break_directory(root, "block 9 is damaged")
    top = files.inode(root)

    assert find(files, top, b"/a", follow=True).path == b"a"
    with pytest.raises(FileError, match=r"^/b: there is no inode 99"):
        find(files, top, b"/b", follow=True)
    with pytest.raises(FileError, match=r"^/c: is not there, or in the part of / that.*block 9"):
        find(files, top, b"/c", follow=True)
    with pytest.raises(DirectoryError):
        files.entries(top)
