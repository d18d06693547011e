"""What is in each block of a file system is what e2fsprogs and xfsprogs say of it."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.files.ext.ext_images import (
    ENVIRONMENT,
    EXT2,
    EXT4,
    debugfs,
    mke2fs,
    needs_e2fsprogs,
    run,
)
from tests.files.filling import clone, write
from tests.files.image_source import BytesSource
from tests.files.mounted import mkfs_xfs, mounted, needs_xfsprogs
from tests.files.xfs.small_images import small_image
from thinmeta.files.file_system import FileError
from thinmeta.files.opened_files import open_file_system
from thinmeta.files.region_contents import HeldPart, Holding, region_contents

KINDS = {
    "ext2, 1 KiB": (EXT2, 1024),
    "ext4, 1 KiB": (EXT4, 1024),
    "ext4, 4 KiB": (EXT4, 4096),
    "ext4, inline": (f"{EXT4},inline_data", 4096),
    "ext4, more descriptors": (f"{EXT4},resize_inode", 1024),
    "ext4, descriptors apart": (f"{EXT4},meta_bg", 1024),
    "ext4, clusters": (f"{EXT4},bigalloc", 1024),
    "ext4, values in inodes": (f"{EXT4},ea_inode", 1024),
}
PATHS = ["dir", "dir/large", "dir/sparse", "small", "link"]


def contents(image: bytes, begin: int = 0, end: int | None = None) -> list[HeldPart]:
    def refuse(path: bytes, error: FileError) -> None:
        pytest.fail(f"{path!r}: {error}")

    low, high = (np.array([each], dtype=np.uint64) for each in (begin, end or len(image)))
    return region_contents(open_file_system(BytesSource(image)).file_system, low, high, refuse)


def blocks_of(held: list[HeldPart], block: int, *holdings: Holding, path: bytes = b"") -> set[int]:
    return {
        number
        for each in held
        if each.holding in holdings and (not path or path in each.paths)
        for number in range(each.place // block, (each.place + each.length) // block)
    }


def image_part(image: Path, part: HeldPart) -> bytes:
    return image.read_bytes()[part.place : part.place + part.length]


def stored_blocks(image: Path, name: str) -> set[int]:
    shown = run("debugfs", "-R", f"blocks {name}", image)
    return set(map(int, shown.partition("debugfs ")[0].split()))


@needs_e2fsprogs
@pytest.mark.parametrize("kind", KINDS)
def test_each_block_of_ext(kind: str, tmp_path: Path) -> None:
    features, block = KINDS[kind]
    cluster = 16 if "bigalloc" in features else 1
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir/large").write_bytes(b"x" * 700_001)
    with (tree / "dir/sparse").open("wb") as file:
        for place in range(0, 40 << 16, 1 << 16):
            file.seek(place)
            file.write(b"y" * 5)
    (tree / "small").write_bytes(b"z" * 3)
    (tree / "link").symlink_to("t" * 200)
    options = ("-b", str(block), "-I", "256", "-g", "8192", "-d", tree)
    image = mke2fs(tmp_path / "image", 40 << 10, *options, features=features)
    value = tmp_path / "value"
    size = 5000 if "ea_inode" in features else 800
    value.write_bytes(b"v" * size)
    debugfs(image, f"ea_set -f {value} small user.large", "ln small hard")

    held = contents(image.read_bytes())

    shown = run("dumpe2fs", image)
    free: set[int] = set()
    for text in re.findall(r"^  Free blocks: (.*)$", shown, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
            # Of clusters it says which block each begins with.
            free.update(range(int(first), int(last or first) + cluster))
    assert len(free) == int(re.findall(r"^Free blocks: *(\d+)$", shown, re.MULTILINE)[0])
    assert blocks_of(held, block, Holding.FREE) == free
    for path in PATHS:
        found = blocks_of(held, block, Holding.CONTENT, Holding.MAP, path=path.encode())
        assert found == stored_blocks(image, path), path
    if "has_journal" in features:
        assert blocks_of(held, block, Holding.JOURNAL) == stored_blocks(image, "<8>")
    attributes = [each for each in held if each.holding is Holding.ATTRIBUTES]
    assert {each.paths for each in attributes} == {(b"hard", b"small")}
    stored = [each for each in attributes if b"v" * block in image_part(image, each)]
    assert len(stored) == (size > block)
    in_order = [each for each in held if each.holding is not Holding.INODE]
    assert sum(each.length for each in in_order) == image.stat().st_size
    inodes = {each.paths: each.place for each in held if each.holding is Holding.INODE}
    shown = run("debugfs", "-R", "imap small", image)
    match = re.search(r"block (\d+), offset 0x(\w+)", shown)
    assert match
    assert inodes[b"hard", b"small"] == int(match[1]) * block + int(match[2], 16)


@needs_e2fsprogs
def test_a_narrow_region_and_what_is_unwritten(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x" * 20_000)
    image = mke2fs(tmp_path / "image", 4096, "-b", "1024", "-d", tmp_path / "tree")
    debugfs(image, "fallocate file 30 40")
    data = image.read_bytes()
    (content,) = (
        each
        for each in contents(data)
        if each.holding is Holding.CONTENT and each.inode and each.inode.size == 20_000
    )
    (unwritten,) = (each for each in contents(data) if each.holding is Holding.UNWRITTEN)
    assert (unwritten.paths, unwritten.length) == ((b"file",), 11 << 10)

    (part,) = contents(data, content.place + 4000, content.place + 4100)

    assert (part.holding, part.begin, part.length) == (Holding.CONTENT, 4000, 100)
    assert part.paths == (b"file",)


@pytest.mark.skipif(not shutil.which("xfs_db", path=ENVIRONMENT["PATH"]), reason="no xfsprogs")
@pytest.mark.parametrize("version", [4, 5])
def test_free_space_of_xfs(version: int, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(small_image(version))

    held = contents(small_image(version))

    total = int(re.findall(r"total free blocks (\d+)", xfs_db(image, "freesp -s"))[0])
    nr_groups = int(xfs_db(image, "sb 0", "print agcount").split()[-1])
    # Free blocks that are kept for the trees themselves are metadata.
    kept = [xfs_db(image, f"agf {group}", "print flcount") for group in range(nr_groups)]
    expected = total - sum(int(text.split()[-1]) for text in kept)
    assert len(blocks_of(held, 1024, Holding.FREE)) == expected
    in_order = [each for each in held if each.holding is not Holding.INODE]
    assert sum(each.length for each in in_order) == len(small_image(version))


def xfs_db(image: Path, *commands: str) -> str:
    words = [word for command in commands for word in ("-c", command)]
    ran = subprocess.run(
        ["xfs_db", "-r", *words, image], check=True, capture_output=True, text=True, env=ENVIRONMENT
    )
    return ran.stdout


@pytest.mark.loop_device
@needs_xfsprogs
def test_blocks_that_files_of_xfs_share_are_of_each(tmp_path: Path) -> None:
    image = mkfs_xfs(tmp_path / "image", 400 << 20, "-m", "reflink=1")
    with mounted(image, tmp_path / "mount") as root:
        write(root + b"/one", b"x" * 40_960)
        clone(root + b"/one", root + b"/other")
        write(root + b"/other", b"y" * 4096)  # of which the first block is its own now

    held = contents(image.read_bytes())

    one = blocks_of(held, 4096, Holding.CONTENT, path=b"one")
    other = blocks_of(held, 4096, Holding.CONTENT, path=b"other")
    assert (len(one), len(other), len(one & other)) == (10, 10, 9)
