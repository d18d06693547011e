"""Every file of every ext4 volume of a real pool is what the kernel showed of it."""

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import thinmeta
from tests.cases import unpacked
from tests.files.listing import content, every_file, find_line, refuse_wrong_outline
from tests.files.recorded import recorded_files
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.reading import Cache, VolumeSource
from thinmeta.lvm.lvm_state import read_lvm
from thinmeta.model.pool import open_pool
from thinmeta.names.lvm_volumes import open_lvm_volume
from thinmeta.volume.contents import Volume

DOCKER, LVM = "docker-direct-lvm-ext4-512k", "c01-lvm-thin-one-pv"
DEVICES = [
    (case, device_id) for case in (DOCKER, LVM) for device_id in sorted(recorded_files(case))
]


@contextmanager
def opened(case: str, device_id: int) -> Iterator[Volume]:
    if case == LVM:
        with (
            read_lvm([str(unpacked(case, "pv"))]) as disks,
            open_pool(disks.open_metadata("pool0")) as pool,
            open_lvm_volume(disks, pool, device_id, lv="pool0") as volume,
        ):
            yield volume
    else:
        with (
            thinmeta.open_pool(unpacked(case)) as opened_pool,
            opened_pool.device(device_id).open(unpacked(case, "data")) as volume,
        ):
            yield volume


def test_there_are_all_volumes_of_the_pools() -> None:
    assert [case for case, _ in DEVICES] == [DOCKER] * 14 + [LVM] * 5
    lines = [len(recorded_files(case)[device_id].lines) for case, device_id in DEVICES]
    assert sum(lines) == 586 + 39


@pytest.mark.parametrize(("case", "device_id"), DEVICES)
def test_every_file_is_what_the_kernel_showed(case: str, device_id: int) -> None:
    recorded = recorded_files(case)[device_id]

    with opened(case, device_id) as volume:
        cache = Cache(VolumeSource(volume))
        files = Ext4(cache)
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

    assert sorted(lines) == sorted(recorded.lines)
    assert sums == recorded.sha256
    assert sum(outline.place is not None for outline in outlines) >= len(sums) // 2
    assert files.kind == "ext4"
    assert not files.needs_recovery
