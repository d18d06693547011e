"""Any small tree that mke2fs puts on any kind of ext2, ext3 or ext4 is read as it was."""

# ruff: noqa: PTH102, PTH115, PTH118, PTH123, PTH211 - names are bytes

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.ext.ext_images import EXT2, EXT4, mke2fs, needs_e2fsprogs
from tests.files.image_source import opened_image
from tests.files.listing import content, every_file
from tests.properties import examples
from thinmeta.files.ext.ext4 import Ext4

pytestmark = needs_e2fsprogs

_EXT4 = EXT4.replace("has_journal,", "")
"""A journal would take the most time."""

KINDS = {
    "ext2": EXT2,
    "ext2 without types": EXT2.replace("filetype,", ""),
    "ext4": _EXT4,
    "inline": f"{_EXT4},inline_data",
    "names that ignore case": f"{_EXT4},casefold",
    "group checksums": _EXT4.replace("metadata_csum", "uninit_bg"),
    "seed": f"{_EXT4},metadata_csum_seed,ea_inode,quota,project",
}
BLOCKS = [1024, 2048, 4096, 65536]


class Content(NamedTuple):
    """What is at which place of a file; the rest are holes."""

    pieces: dict[int, bytes]


class Link(NamedTuple):
    """A symbolic link."""

    target: bytes


Tree: TypeAlias = "dict[bytes, Tree | Content | Link]"
"""What is in a directory."""

byte = st.integers(1, 255).filter(lambda value: value != ord("/"))
pieces = st.dictionaries(st.integers(0, 300_000), st.binary(min_size=1, max_size=200), max_size=4)
long_piece = st.integers(1, 200_000).map(lambda size: {0: b"\xa5" * size})
contents = (pieces | long_piece).map(Content)
links = st.integers(1, 1000).map(lambda length: Link((b"\xfeto/" * length)[:length]))


def names(most: int) -> st.SearchStrategy[bytes]:
    bytes_of_it = st.lists(byte, min_size=1, max_size=most).map(bytes)
    return bytes_of_it.filter(lambda name: name not in (b".", b".."))


trees: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(names(255), contents | links, max_size=4),
    lambda below: st.dictionaries(names(6), contents | links | below, max_size=12),
    max_leaves=12,
)


def put(folder: bytes, tree: Tree) -> None:
    for number, (name, what) in enumerate(tree.items()):
        path = folder + b"/" + name
        match what:
            case Link(target):
                os.symlink(target, path)
            case Content(pieces):
                with open(path, "wb") as file:
                    for place, data in pieces.items():
                        file.seek(place)
                        file.write(data)
                os.utime(path, (number, number * 100_000_007))
            case _:
                os.mkdir(path, 0o700 + number % 8)
                put(path, what)


def as_it_was(folder: bytes) -> dict[bytes, tuple[object, ...]]:
    """Return of each file, by its path, what mke2fs keeps of it."""
    found: dict[bytes, tuple[object, ...]] = {}
    for where, folders, others in os.walk(folder):
        for path in [where, *(os.path.join(where, name) for name in [*folders, *others])]:
            about = os.lstat(path)
            what: object = None
            if stat.S_ISLNK(about.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                what = Path(os.fsdecode(path)).read_bytes()
            found[b"." + path[len(folder) :]] = (
                about.st_mode,
                about.st_uid,
                about.st_gid,
                int(about.st_mtime) if path != folder else None,
                what,
            )
    return found


@examples(60)
@given(tree=trees, kind=st.sampled_from([*KINDS]), block=st.sampled_from(BLOCKS))
def test_any_tree_is_read_as_it_was(tree: Tree, kind: str, block: int, tmp_path: Path) -> None:
    source, image = tmp_path / "tree", tmp_path / "image"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    put(os.fsencode(source), tree)
    options = ("-b", str(block), "-I", "256", "-N", "256", "-d", source)
    mke2fs(image, 8192 + 128 * (block >> 10), *options, features=KINDS[kind])

    with opened_image(image) as cache:
        read = Ext4(cache)
        found = {}
        for path, inode in every_file(read):
            what: object = None
            if stat.S_ISLNK(inode.mode):
                what = read.link_target(inode)
            elif stat.S_ISREG(inode.mode):
                what = content(read, cache, inode)
            seconds = inode.mtime // 10**9 if path != b"." else None
            found[path] = (inode.mode, inode.uid, inode.gid, seconds, what)

    expected = as_it_was(os.fsencode(source))
    found = {path: each for path, each in found.items() if not path.startswith(b"./lost+found")}
    assert sorted(found) == sorted(expected)
    assert [path for path in found if path != b"." and found[path] != expected[path]] == []
    assert read.kind == (kind[:4] if kind.startswith("ext") else "ext4")


@pytest.mark.thorough
def test_fifty_thousand_files_are_all_found(tmp_path: Path) -> None:
    folders, count = 50, 1000
    source = tmp_path / "tree"
    for folder in range(folders):
        (source / str(folder)).mkdir(parents=True)
        for number in range(count):
            (source / str(folder) / f"{number}-{'name' * (number % 9)}").touch()
    options = ("-b", "4096", "-N", "60000", "-d", source)
    image = mke2fs(tmp_path / "image", 64 << 10, *options, features=_EXT4)
    with opened_image(image) as cache:
        found = [path for path, _ in every_file(Ext4(cache))]

    expected = {path for path in as_it_was(os.fsencode(source)) if path != b"."}
    assert {*found} - {b".", b"./lost+found"} == expected
    assert len(expected) == folders * (count + 1)
