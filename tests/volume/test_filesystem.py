"""File systems and their journals are told as the kernel and xfs_logprint tell them.

All containers of the Docker cases were stopped before the pools were copied. xfs_logprint
6.1 calls the log of each XFS device clean, dumpe2fs shows needs_recovery of no ext4 one.
"""

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.volume.data_images import Device, devices
from tests.volume.volumes import UNIT, in_memory
from thinmeta.device.extents import Extents
from thinmeta.model.pool import open_pool
from thinmeta.volume.contents import Volume
from thinmeta.volume.filesystem import FileSystemFound, FilesystemKind, Journal, recognise
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources, open_source
from thinmeta.walk.stream_reader import read_runs

XFS, EXT4 = "docker-loop-lvm-xfs-64k", "docker-direct-lvm-ext4-512k"


LOG = range(256 << 20, 321 << 20)
"""Where xfs_db says the log is, and a little more."""


def opened(device: Device, data: Extents | None = None) -> Volume:
    with open_pool(device.metadata) as pool:
        thin = pool.devices[device.device_id]
        block_bytes = pool.data_block_bytes()
        runs = read_runs(pool.source, thin.mapping_root, thin.device_id, pool.on_damage)
        layout = Layout.read(runs, block_bytes, size=device.size)
    sources = Sources(data or open_source(device.data), block_bytes)
    return Volume(str(device), lambda: layout, sources)


@pytest.mark.parametrize("device", [*devices(XFS), *devices(EXT4)], ids=str)
def test_what_is_on_the_devices_of_docker(device: Device) -> None:
    with opened(device) as volume:
        found = recognise(volume)

    kind = FilesystemKind.XFS if device.case == XFS else FilesystemKind.EXT4
    assert found == FileSystemFound(kind, Journal.CLEAN)


class Patched(Extents):
    """A data device, some places of which read otherwise."""

    patches: dict[int, bytes]

    def read_into(self, buffer: memoryview, offset: int) -> int:
        done = super().read_into(buffer, offset)
        for place, patch in self.patches.items():
            at = place - offset
            if 0 <= at <= len(buffer) - len(patch):
                buffer[at : at + len(patch)] = patch
        return done


def patched(
    device: Device, part: range, change: Callable[[bytes], tuple[int, bytes]]
) -> FileSystemFound | None:
    """Look at `device` after a patch to a part of it."""
    with opened(device) as volume:
        volume.seek(part.start)
        at, patch = change(volume.read(len(part)) or b"")
        at += part.start
        piece = next(
            (begin, place)
            for begin, length, place in zip(
                *(
                    column.tolist()
                    for column in (
                        volume.layout.pieces.begin,
                        volume.layout.pieces.length,
                        volume.layout.pieces.place,
                    )
                ),
                strict=True,
            )
            if begin <= at < begin + length
        )
    fd = os.open(device.data, os.O_RDONLY)
    data = Patched.of_file(fd, "data")
    assert isinstance(data, Patched)
    data.patches = {at - piece[0] + piece[1]: patch}
    with opened(device, data) as volume:
        return recognise(volume)


def test_an_ext4_journal_that_needs_recovery_is_dirty() -> None:
    def flagged(content: bytes) -> tuple[int, bytes]:
        at = 1024 + 0x60
        return at, (int.from_bytes(content[at : at + 4], "little") | 4).to_bytes(4, "little")

    assert patched(devices(EXT4)[0], range(4096), flagged) == FileSystemFound(
        FilesystemKind.EXT4, Journal.DIRTY
    )


def last_xfs_record(content: bytes) -> int:
    """Return where the record with the highest LSN begins, by a plain search."""
    magic = bytes.fromhex("feedbabe")
    found = []
    at = content.find(magic)
    while at >= 0:
        if at % 512 == 0:
            found.append((content[at + 16 : at + 24], at))
        at = content.find(magic, at + 1)
    return max(found)[1]


def test_an_xfs_log_without_its_last_record_may_be_dirty() -> None:
    device = next(each for each in devices(XFS) if each.device_id == 29)

    found = patched(device, LOG, lambda content: (last_xfs_record(content), bytes(512)))

    assert found == FileSystemFound(FilesystemKind.XFS, Journal.MAYBE_DIRTY)


def test_an_xfs_log_that_ends_with_another_record_may_be_dirty() -> None:
    device = next(each for each in devices(XFS) if each.device_id == 29)

    def not_an_unmount(content: bytes) -> tuple[int, bytes]:
        return last_xfs_record(content) + 512 + 9, b"\x01"

    assert patched(device, LOG, not_an_unmount) == FileSystemFound(
        FilesystemKind.XFS, Journal.MAYBE_DIRTY
    )


def made(content: bytes) -> Volume:
    layout = Layout.read([], UNIT, size=len(content), origin_bytes=len(content))
    return Volume("made", lambda: layout, Sources(in_memory("data"), UNIT, in_memory("o", content)))


@pytest.mark.parametrize("content", [b"", bytes(100), bytes(1 << 20), b"XFSX" + bytes(4096)])
def test_anything_else_is_not_known(content: bytes) -> None:
    with made(content) as volume:
        assert recognise(volume) is None


@examples(150)
@given(header=st.binary(max_size=600), log=st.binary(max_size=600))
def test_a_hostile_superblock_is_no_crash(header: bytes, log: bytes) -> None:
    content = (b"XFSB" + header).ljust(2048, b"\0") + bytes.fromhex("feedbabe") + log
    with made(content) as volume:
        assert recognise(volume) in (None, FileSystemFound(FilesystemKind.XFS, Journal.MAYBE_DIRTY))
