"""What the kernel wrote on ext2, ext3 and ext4 and shows of it is what is read of it."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.files import filling
from tests.files.ext.ext_images import EXT2, EXT3, EXT4, mke2fs, needs_e2fsprogs
from tests.files.filling import folder
from tests.files.image_source import opened_image
from tests.files.listing import every_file
from tests.files.mounted import as_shown, mounted, shown
from tests.needs import IS_THOROUGH
from thinmeta.files.ext.ext4 import Ext4

pytestmark = [pytest.mark.loop_device, needs_e2fsprogs]

VARIANTS = {
    "ext2": ("1024", EXT2),
    "ext2 of revision 0": ("4096", "", "-r", "0"),
    "ext3": ("2048", EXT3, "-L", "label"),
    "ext4": ("4096", f"{EXT4},resize_inode"),
    "small inodes": ("1024", EXT4, "-I", "128"),
    "inline": ("4096", f"{EXT4},inline_data", "-I", "512"),
    "inline, small blocks": ("1024", f"{EXT4},inline_data,large_dir"),
    "clusters": ("4096", f"{EXT4},bigalloc", "-C", "65536"),
    "clusters of small blocks": ("1024", f"{EXT4},bigalloc,meta_bg", "-C", "16384"),
    "without checksums": ("4096", f"{EXT4},^metadata_csum,^64bit,uninit_bg"),
    "values in inodes": ("4096", f"{EXT4},ea_inode,metadata_csum_seed,orphan_file"),
    "many groups": ("1024", f"{EXT4},meta_bg", "-g", "1024"),
    "few superblocks": ("2048", f"{EXT4},sparse_super2", "-g", "2048"),
}
"""Block size, features, options."""

ROOMS = {"1024": 968, "2048": 1992, "4096": 4040}
"""How large an attribute can be that is alone in a block, by the block's size."""


def value_sizes(variant: str) -> Iterable[int]:
    step = 331 if IS_THOROUGH else 9001
    block, features, *_ = VARIANTS[variant]
    if "ea_inode" in features:
        return sorted({0, 1, 60, 61, 900, 4039, 4040, 4041, 65_536, *range(1, 65_536, step)})
    most = ROOMS[block]
    return sorted({0, 1, 40, 60, 61, 62, 80, 900, most, *range(1, most, step // 9)})


def fill(root: bytes, variant: str, unit: int) -> None:
    filling.fill_kinds(folder(root + b"/kinds"))
    filling.fill_links(folder(root + b"/links"), [1, 58, 59, 60, 61, 100, 155, 156, 157, 900, 1023])
    times = [0, 1, -1, filling.LONG_AGO, filling.FAR_AWAY, filling.AFTER_2038]
    filling.fill_times(folder(root + b"/times"), [*times, 15_032_385_535 * 10**9])
    many = (((b"user.",), 3, 20), ((b"user.", b"trusted.", b"security."), 1, 9))
    filling.fill_xattrs(folder(root + b"/xattrs"), value_sizes(variant), many)
    filling.fill_acls(folder(root + b"/acls"))
    filling.fill_content(folder(root + b"/content"), unit, 3000 if IS_THOROUGH else 700)
    counts = [1, 2, 5, 30, 100, 1000, *([20_000] if IS_THOROUGH else [])]
    filling.fill_folders(folder(root + b"/folders"), counts, 60)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_file_is_what_the_kernel_shows(variant: str, tmp_path: Path) -> None:
    block, features, *options = VARIANTS[variant]
    size = (160 if IS_THOROUGH else 48) << 10
    image = mke2fs(tmp_path / "image", size, "-b", block, *options, features=features)
    with mounted(image, tmp_path / "mount") as root:
        unit = os.statvfs(root).f_bsize
        fill(root, variant, unit)
    with mounted(image, tmp_path / "mount", "-o", "ro") as root:
        expected = shown(root)

    with opened_image(image) as cache:
        files = Ext4(cache)
        found = {
            path: (inode.number, as_shown(files, cache, inode)) for path, inode in every_file(files)
        }

    assert files.kind == (variant[:4] if variant[:3] == "ext" else "ext4")
    assert files.block_bytes == unit
    assert sorted(found) == sorted(expected)
    assert [path for path in found if found[path] != expected[path]] == []
