"""XFS of version 4, which mkfs.xfs fills and kernels of today may not mount.

What mkfs.xfs was told to put there is what is read; xfs_db adds the attributes.
"""

import stat
import time
from pathlib import Path

import pytest

from tests.files.image_source import opened_image
from tests.files.listing import content, every_file
from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.prototype import BIG, DEPTH, MANY, SIZES, TARGETS, prepared, target, wide_names
from thinmeta.files.xfs.xfs_file_system import Xfs

pytestmark = needs_xfsprogs

VARIANTS: dict[str, tuple[str, ...]] = {
    "ordinary": (),
    "without types": ("-n", "ftype=0"),
    "small blocks": ("-b", "size=512", "-s", "size=512", "-n", "size=4096"),
    "large directory blocks": ("-b", "size=1024", "-i", "size=512", "-n", "size=8192"),
    "any case": ("-n", "version=ci"),
}
WIDE = 4000


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_file_is_what_was_put_there(variant: str, tmp_path: Path) -> None:
    began = time.time_ns() // 10**9 * 10**9
    image = prepared(tmp_path, 96 << 20, WIDE, "-m", "crc=0", *VARIANTS[variant])
    ended = time.time_ns()

    with opened_image(image) as cache:
        files = Xfs(cache)
        found = dict(every_file(files))
        contents = {
            path: content(files, cache, inode)
            for path, inode in found.items()
            if stat.S_ISREG(inode.mode)
        }
        targets = {
            path: files.link_target(inode)
            for path, inode in found.items()
            if stat.S_ISLNK(inode.mode)
        }
        xattrs = {
            path: attributes for path, inode in found.items() if (attributes := files.xattrs(inode))
        }
        extents = files.extents(found[b"./big"])

    assert not files.geometry.is_v5
    assert files.geometry.has_ftype == (variant != "without types")
    small = [b"./small-file", b"./\xb5\xa5", b"./" + b"x" * 255]
    wide = [b"./wide/" + name for name in wide_names(WIDE)]
    assert contents == {
        **dict.fromkeys([*small, *wide], b"small"),
        b"./big": BIG,
    }
    assert targets == {b"./to-%d" % length: target(length) for length in TARGETS}
    assert xattrs == {
        b"./small-file": {b"user.size%d" % size: b"v" * size for size in SIZES},
        b"./big": {b"user.n%d" % each: b"v" * each for each in range(1, MANY + 1)},
        wide[7]: {b"trusted.of-root": b"v" * 5, b"security.secure": b"v" * 6},
    }
    others = {
        path: inode[1:5] for path, inode in found.items() if path not in {*targets, *contents}
    }
    deep = [b"".join(b"/deep%d" % each for each in range(depth)) for depth in range(1, DEPTH + 1)]
    assert others == {
        b".": (stat.S_IFDIR | 0o755, 0, 0, 5),
        b"./char": (stat.S_IFCHR | 0o600, 0, 0, 1),
        b"./block": (stat.S_IFBLK | 0o660, 0, 6, 1),
        b"./fifo": (stat.S_IFIFO | 0o644, 1, 2, 1),
        b"./empty": (stat.S_IFDIR | 0o700, 5, 5, 2),
        b"./wide": (stat.S_IFDIR | 0o755, 0, 0, 2),
        **{
            b"." + path: (stat.S_IFDIR | 0o755, 0, 0, 2 if path == deep[-1] else 3) for path in deep
        },
    }
    assert [found[path].rdev for path in (b"./char", b"./block")] == [(10, 200), (511, 200000)]
    assert found[b"./small-file"][1:5] == (stat.S_IFREG | 0o644, 1000, 70000, 1)
    assert found[b"./big"][1:5] == (stat.S_IFREG | 0o6755, 1, 2, 1)
    assert all(began <= inode.mtime <= ended for inode in found.values())
    assert int(extents.length.sum()) >= 256_000
