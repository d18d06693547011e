"""Every file of every volume of a real pool is what the kernel showed of it."""

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import thinmeta
from tests.cases import unpacked
from tests.files.listing import content, every_file, find_line, refuse_wrong_outline
from tests.files.recorded import recorded_files
from thinmeta.files.reading import Cache, VolumeSource
from thinmeta.files.xfs.xfs_file_system import Xfs

CASE = "docker-loop-lvm-xfs-64k"
DEVICES = sorted(recorded_files(CASE))


@contextmanager
def opened(device_id: int) -> Iterator[tuple[Xfs, Cache]]:
    with (
        thinmeta.open_pool(unpacked(CASE)) as pool,
        pool.device(device_id).open(unpacked(CASE, "data")) as volume,
    ):
        cache = Cache(VolumeSource(volume))
        yield Xfs(cache), cache


def test_there_are_all_volumes_of_the_pool() -> None:
    assert len(DEVICES) == 14
    assert sum(len(each.lines) for each in recorded_files(CASE).values()) == 572


@pytest.mark.parametrize("device_id", DEVICES)
def test_every_file_is_what_the_kernel_showed(device_id: int) -> None:
    recorded = recorded_files(CASE)[device_id]

    with opened(device_id) as (files, cache):
        found = list(every_file(files))
        lines = [find_line(files, path, inode) for path, inode in found]
        for _, inode in found:
            refuse_wrong_outline(files, inode)
        outlines = files.outlines([inode for _, inode in found])
        sums = {
            path: hashlib.sha256(content(files, cache, inode)).hexdigest()
            for path, inode in found
            if stat.S_ISREG(inode.mode)
        }

    assert files.log == (0x10006000, 64 << 20)  # as xfs_db says
    assert sorted(lines) == sorted(recorded.lines)
    assert sums == recorded.sha256
    assert sum(outline.place is not None for outline in outlines) >= len(sums) // 2
