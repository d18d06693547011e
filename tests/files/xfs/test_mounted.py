"""What the kernel wrote on an XFS and shows of it is what is read of it, of every kind of XFS."""

# ruff: noqa: PTH123  # paths are bytes

import os
from pathlib import Path

import pytest

from tests.files.filling import AFTER_2038, clone, fill, fill_many, fill_times, folder, write
from tests.files.image_source import opened_image
from tests.files.listing import every_file
from tests.files.mounted import as_shown, mkfs_xfs, mounted, needs_xfsprogs, shown
from tests.needs import IS_THOROUGH
from thinmeta.files.xfs.xfs_file_system import Xfs

pytestmark = [pytest.mark.loop_device, needs_xfsprogs]

VARIANTS = {
    "ordinary": ("-L", "label"),
    "small blocks": ("-b", "size=1024", "-n", "size=4096"),
    "large directory blocks": ("-n", "size=16384", "-i", "size=1024", "-m", "rmapbt=1"),
    "many extents": ("-i", "nrext64=1", "-b", "size=2048", "-n", "size=8192"),
    "old times": ("-m", "bigtime=0", "-i", "size=2048"),
    "large blocks": ("-b", "size=16384", "-i", "sparse=0"),
    "many groups": ("-d", "agcount=20", "-l", "size=8m"),
    "64 KiB": ("-b", "size=65536", "-m", "reflink=0,finobt=0"),
}
ACL_ON_DISK = {b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"}
"""The kernel shows root these beside the ACL itself; they are the same in another form."""


def fill_clones(root: bytes, unit: int) -> None:
    """Files that share their blocks, of which one was written to since."""
    write(root + b"/0", bytes(range(256)) * (unit // 16))
    for number in range(1, 4):
        clone(root + b"/0", root + b"/%d" % number)
    with open(root + b"/2", "r+b") as file:
        file.seek(5 * unit + 7)
        file.write(b"other")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_file_is_what_the_kernel_shows(variant: str, tmp_path: Path) -> None:
    image = mkfs_xfs(tmp_path / "image", 400 << 20, *VARIANTS[variant])
    with mounted(image, tmp_path / "mount") as root:
        unit = os.statvfs(root).f_bsize
        fill(root, unit=unit, is_thorough=IS_THOROUGH)
        if "reflink=0,finobt=0" not in VARIANTS[variant]:
            fill_clones(folder(root + b"/clones"), unit)
        if variant != "old times":
            fill_times(folder(root + b"/late"), [AFTER_2038, 15_032_385_535 * 10**9])
    with mounted(image, tmp_path / "mount", "-o", "ro") as root:
        expected = shown(root)
    for _, each in expected.values():
        for name in ACL_ON_DISK & {*each.xattrs}:
            del each.xattrs[name]

    with opened_image(image) as cache:
        files = Xfs(cache)
        found = {
            path: (inode.number, as_shown(files, cache, inode)) for path, inode in every_file(files)
        }

    assert files.block_bytes == unit
    assert sorted(found) == sorted(expected)
    assert [path for path in found if found[path] != expected[path]] == []


@pytest.mark.thorough
@pytest.mark.parametrize(("folders", "files"), [(1, 50_000), (500, 100)])
def test_there_may_be_many_files(folders: int, files: int, tmp_path: Path) -> None:
    image = mkfs_xfs(tmp_path / "image", 400 << 20)
    with mounted(image, tmp_path / "mount") as root:
        fill_many(root, folders, files)
    with mounted(image, tmp_path / "mount", "-o", "ro") as root:
        expected = {path: number for path, (number, _) in shown(root).items()}

    with opened_image(image) as cache:
        found = {path: inode.number for path, inode in every_file(Xfs(cache))}

    assert found == expected
    assert len(found) == 1 + folders + folders * files
