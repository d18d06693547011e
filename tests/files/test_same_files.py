"""The comparison that reads only what can differ finds what the full one does."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import FIXTURES, unpacked
from tests.files.crash_fixtures import crash_image
from tests.files.ext.ext_images import EXT2, EXT4, debugfs, mke2fs, needs_e2fsprogs
from tests.files.image_source import BytesSource
from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import small_image
from tests.needs import IS_THOROUGH
from tests.properties import examples
from thinmeta import NameSources, open_pool
from thinmeta.errors import InputError
from thinmeta.files.file_changes import ComparedTree, FileChange, file_changes
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import OpenedFiles, open_file_system, open_files
from thinmeta.files.reading import VolumeSource
from thinmeta.files.same_files import SameFiles, same_files
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges, unshared

Errors = set[tuple[str, bytes, str]]
Tree: TypeAlias = "dict[str, Tree | int]"
"""What is in a directory: directories, and files by their sizes."""


def compared(
    left: OpenedFiles, right: OpenedFiles, same: SameFiles | None
) -> tuple[list[FileChange], Errors]:
    errors: Errors = set()

    def tree(opened: OpenedFiles, side: str) -> ComparedTree:
        files = opened.file_system

        def on_error(path: bytes, error: FileError) -> None:
            errors.add((side, path, str(error)))

        return ComparedTree(files, files.inode(files.root), on_error)

    return list(file_changes(tree(left, "left"), tree(right, "right"), same)), errors


def differing(left: bytes, right: bytes, block_bytes: int) -> ByteRanges:
    """Return the blocks that are not alike, as a pool knows it of the blocks that it shares."""
    rows = (np.frombuffer(each, dtype=np.uint8).reshape(-1, block_bytes) for each in (left, right))
    one, other = rows
    begin = np.flatnonzero((one != other).any(axis=1)).astype(np.uint64) * np.uint64(block_bytes)
    return ByteRanges.of(begin, begin + np.uint64(block_bytes))


def held_against_the_full_comparison(
    left: OpenedFiles, right: OpenedFiles, changed: ByteRanges
) -> list[FileChange]:
    """Compare in both ways; return what changed.

    What cannot be read is told of once at most, and only where both are not the same: the full
    comparison tells of damaged attributes that both have in common.
    """
    same = same_files(left, right, changed)
    assert same is not None
    full, all_errors = compared(left, right, None)
    found, errors = compared(left, right, same)
    assert found == full
    assert errors <= all_errors
    return found


def opened(content: bytes, *, replay: bool = True) -> OpenedFiles:
    return open_file_system(BytesSource(content), replay=replay)


NAMES = st.sampled_from(["a", "b", "c", "long-name" * 20])
SIZES = st.sampled_from([0, 5, 70, 5000, 300_000])
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.dictionaries(NAMES, SIZES, min_size=1),
    lambda below: st.dictionaries(NAMES, SIZES | below, min_size=1),
    max_leaves=12,
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["rm", "mtime", "mode", "atime", "attribute", "capability", "move", "write", "twice"]
        ),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    max_size=5,
)
KINDS = {
    "ext2": EXT2,
    "ext4": EXT4.replace("has_journal,", ""),
    "inline": f"{EXT4.replace('has_journal,', '')},inline_data",
    "values in inodes": f"{EXT4.replace('has_journal,', '')},ea_inode",
    "clusters": f"{EXT4.replace('has_journal,', '')},bigalloc",
}


def put(folder: Path, tree: Tree) -> Iterator[str]:
    """Make a tree; return its paths."""
    for name, what in tree.items():
        path = folder / name
        if isinstance(what, int):
            path.write_bytes(b"\xa5" * what)
        else:
            path.mkdir()
        yield f"/{name}"
        if not isinstance(what, int):
            yield from (f"/{name}{each}" for each in put(path, what))


def commands(change: str, path: str, other: str, value: Path) -> list[str]:
    """Return what debugfs does for a change; it goes on where that cannot be."""
    large = f"ea_set -f {value} {path} user.large"
    return {
        "rm": [f"rm {path}", f"rmdir {path}"],
        "mtime": [f"sif {path} mtime 20300101000000"],
        "atime": [f"sif {path} atime 20300101000000"],
        "mode": [f"sif {path} mode 0100600"],
        "attribute": [large],
        "capability": [large, f"ea_set {path} security.capability x"],
        "move": [f"ln {path} {other}/moved", f"unlink {path}"],
        "write": [f"write {value} {other}/new"],
        "twice": [f"ln {path} {other}/other-name"],
    }[change]


@needs_e2fsprogs
@examples(15)
@given(
    tree=TREES,
    kind=st.sampled_from([*KINDS]),
    sizes=st.tuples(st.sampled_from([1024, 4096]), st.sampled_from([1024, 65536])),
    before=CHANGES,
    after=CHANGES,
)
def test_snapshots_of_any_tree(  # noqa: PLR0917  # all that is drawn
    tree: Tree,
    kind: str,
    sizes: tuple[int, int],
    before: list[tuple[str, int, int]],
    after: list[tuple[str, int, int]],
    tmp_path: Path,
) -> None:
    block, data_block = sizes
    source, image, value = tmp_path / "tree", tmp_path / "image", tmp_path / "value"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    value.write_bytes(b"v" * 700)
    paths = [*put(source, tree)]
    mke2fs(
        image, 4096, "-b", f"{block}", "-I", "256", "-N", "96", "-d", source, features=KINDS[kind]
    )
    sides = []
    for changes in (before, after):
        lines = []
        for change, path, other in changes:
            words = (paths[path % len(paths)], paths[other % len(paths)])
            lines += commands(change, *words, value)
        debugfs(image, *lines)
        sides.append(image.read_bytes())

    left, right = sides

    changed = differing(left, right, data_block)
    held_against_the_full_comparison(opened(left), opened(right), changed)


IMAGES = {
    "ext4": lambda: crash_image("ext4"),
    "xfs": lambda: crash_image("xfs"),
    "xfs 4": lambda: small_image(4),
    "xfs 5": lambda: small_image(5),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(each, marks=[needs_xfsprogs] if each.startswith("xfs ") else [])
        for each in IMAGES
    ],
)
@pytest.mark.parametrize("seed", range(20 if IS_THOROUGH else 3))
def test_a_snapshot_with_other_bytes(kind: str, seed: int) -> None:
    image = IMAGES[kind]()
    chosen = random.Random(f"{kind} {seed}")
    other = bytearray(image)
    in_use = np.flatnonzero(np.frombuffer(image, dtype=np.uint8)[65536:]) + 65536
    for _ in range(40):
        other[in_use[chosen.randrange(len(in_use))]] ^= 1 << chosen.randrange(8)
    block = 1 << chosen.randrange(12, 17)
    try:
        right = opened(bytes(other), replay=False)
    except InputError:
        right = opened(image, replay=False)
    left = opened(image, replay=False)

    changed = differing(image, bytes(other), block)
    held_against_the_full_comparison(left, right, changed)
    held_against_the_full_comparison(right, left, changed)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_a_journal_changes_counts(kind: str) -> None:
    image = crash_image(kind)
    old, new = opened(image, replay=False), opened(image)
    assert new.nr_transactions
    assert len(new.replayed)

    found = held_against_the_full_comparison(old, new, NO_RANGES)

    assert found
    assert len(held_against_the_full_comparison(new, old, NO_RANGES)) > 1


@needs_xfsprogs
def test_other_file_systems_are_compared_in_full() -> None:
    ext4, xfs, other = opened(crash_image("ext4")), opened(small_image(5)), opened(small_image(4))

    assert same_files(ext4, xfs, NO_RANGES) is None
    assert same_files(other, xfs, NO_RANGES) is None
    grown = open_file_system(BytesSource(small_image(5) + bytes(65536)))
    assert same_files(grown, xfs, NO_RANGES) is None


CASES = {
    "docker-direct-lvm-ext4-512k": (1, 4, 6, 8, 11, 14, 17, 24, 25, 28, 29, 30, 31),
    "docker-loop-lvm-xfs-64k": (1, 4, 6, 8, 11, 14, 17, 24, 25, 28, 29, 30, 31),
    "docker-files-direct-lvm-ext4-64k": (1, 2, 4, 7, 17, 18, 19, 20, 21),
}


def pairs() -> list[tuple[str, int, int]]:
    every = [
        (name, left, right)
        for name, ids in CASES.items()
        for left in ids
        for right in ids
        if left != right
    ]
    return every if IS_THOROUGH else every[::17]


@pytest.mark.parametrize(("name", "left", "right"), pairs())
def test_recorded_volumes(name: str, left: int, right: int) -> None:
    names = NameSources(docker_root=FIXTURES / name / "docker-state")
    with open_pool(unpacked(name), names=names) as pool:
        volumes = [
            pool.device(each).open(unpacked(name, "data"), size=10 << 30) for each in (left, right)
        ]
        files = [open_files(VolumeSource(volume)) for volume in volumes]
        changed = unshared(*(volume.layout for volume in volumes))

        held_against_the_full_comparison(files[0], files[1], changed)

        for volume in volumes:
            volume.close()


@needs_e2fsprogs
def test_attributes_in_a_block_of_their_own(tmp_path: Path) -> None:
    image = mke2fs(tmp_path / "image", 1024, "-b", "1024", "-I", "128", features=EXT2)
    debugfs(image, "write /dev/null file", "ea_set file security.capability of-before")
    left = image.read_bytes()
    right = left.replace(b"of-before", b"of-after!")
    assert left != right

    changed = differing(left, right, 1024)
    (change,) = held_against_the_full_comparison(opened(left), opened(right), changed)

    assert (change.path, change.what) == (b"file", ("capability",))
