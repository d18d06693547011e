"""The files of a device, as a program reads them."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import thinmeta
from tests.cases import unpacked
from tests.files.recorded import recorded_files
from tests.files.small_ext2 import HELLO, small_ext2
from thinmeta.library.device_files import DeviceFiles

CASES = ("docker-direct-lvm-ext4-512k", "docker-loop-lvm-xfs-64k")
BLOCK_BYTES = 512 << 10
"""Of the first."""
BELOW = (8, 11)
"""A layer with this file, and one on top of it."""


@pytest.fixture(params=CASES)
def layer(request: pytest.FixtureRequest) -> Iterator[DeviceFiles]:
    case = request.param
    with (
        thinmeta.open_pool(unpacked(case)) as pool,
        pool.device(8).files(unpacked(case, "data")) as files,
    ):
        yield files


def test_what_is_in_a_layer(layer: DeviceFiles) -> None:
    assert layer.kind in ("ext4", "xfs")
    assert layer.notes == []
    assert [each.path for each in layer.entries("/tmp")] == [
        b"tmp/1.txt",
        b"tmp/2.txt",
        b"tmp/3.txt",
    ]
    assert [layer.open(each).read() for each in layer.walk(b"tmp")] == [
        b"111\n",
        b"222\n",
        b"333\n",
    ]


def test_links_are_followed_unless_they_are_asked_for(layer: DeviceFiles) -> None:
    link = layer.find("/bin/sh", follow=False)

    assert layer.link_target(link) == b"busybox"
    assert layer.find("/bin/sh").path == b"bin/busybox"
    assert layer.xattrs(link) == {}
    assert layer.open("/bin/sh").readall() == layer.open("/bin/busybox").readall()


def test_a_file_is_read_at_any_place(layer: DeviceFiles) -> None:
    sums = recorded_files(CASES[0])[8].sha256

    with layer.open("/bin/busybox") as file:
        content = file.read()
        file.seek(-1000, io.SEEK_END)
        assert file.read(5000) == content[-1000:]
        assert io.BufferedReader(file).name == "/bin/busybox"
    assert hashlib.sha256(content).hexdigest() == sums[b"./rootfs/bin/busybox"]
    assert layer.lost("/bin/busybox") == []


@pytest.mark.parametrize("path", ["/none", "/tmp/1.txt/x", "/tmp/1.txt"])
def test_what_is_no_directory_is_not_there(path: str, layer: DeviceFiles) -> None:
    with pytest.raises(thinmeta.NotThereError):
        layer.entries(path)


def test_all_of_a_docker_device_may_be_read() -> None:
    with (
        thinmeta.open_pool(unpacked(CASES[0])) as pool,
        pool.device(8).files(unpacked(CASES[0], "data"), all_of_it=True) as files,
    ):
        names = [each.path for each in files.entries()]

    assert names == [b"id", b"lost+found", b"rootfs"]


def damaged(folder: Path, content: bytes) -> DeviceFiles:
    data = folder / "data"
    data.write_bytes(content)
    pool = thinmeta.open_pool(unpacked("a08-snapshots-of-snapshots"))
    return pool.device(1).files(data)


def test_what_is_lost_is_told_and_no_zeros(tmp_path: Path) -> None:
    with damaged(tmp_path, small_ext2()[: 8 * 1024 + 5]) as files:
        file = files.open("/hello")

        assert file.read(5) == HELLO[:5]
        assert files.lost("/hello") == [(5, 8)]
        with pytest.raises(OSError, match=r"/hello: bytes 5\.\.12 of the file: .*past the end"):
            file.read()


def test_what_is_wrong_with_a_file_raises_or_is_told(tmp_path: Path) -> None:
    content = bytearray(small_ext2())
    content[7 * 1024 + 24 : 7 * 1024 + 28] = (13).to_bytes(4, "little")  # an inode that is free
    with damaged(tmp_path, bytes(content)) as files:
        told: list[bytes] = []

        with pytest.raises(thinmeta.FileError, match=r"^/hello: "):
            files.entries()
        with pytest.raises(thinmeta.FileError, match=r"^/hello: "):
            [*files.walk()]
        assert files.entries(on_error=lambda path, _: told.append(path)) == []
        assert [*files.walk(on_error=lambda path, _: told.append(path))] == []

    assert told == [b"hello", b"hello"]


def test_a_device_without_files_raises(tmp_path: Path) -> None:
    with pytest.raises(thinmeta.InputError, match="has no file system"):
        damaged(tmp_path, bytes(1 << 20))


def test_from_a_file_to_its_blocks_and_back() -> None:
    data = unpacked(CASES[0], "data")
    with thinmeta.open_pool(unpacked(CASES[0])) as pool:
        with pool.device(8).files(data) as files:
            content, *others = places = files.places("/tmp/3.txt")
        found = pool.files_at(content.place, content.place + content.length, data)
        block = content.place // BLOCK_BYTES
        sharers = set(pool.rmap(block, block + 1).read().device_id.tolist())

    assert data.read_bytes()[content.place :][: content.length] == b"333\n"
    assert (content.source, others[-1].part) == (thinmeta.Source.DATA, thinmeta.FilePart.INODE)
    assert places.columns()["part"].tolist()[:1] == ["content"]
    assert places.columns()["place"].dtype == np.int64
    rows = found.columns()
    of_file = rows["path"] == "rootfs/tmp/3.txt"
    assert set(BELOW) <= set(rows["device_id"][of_file].tolist()) <= sharers
    assert set(rows["data_byte"][of_file].tolist()) == {content.place}
    assert set(rows["holds"][of_file].tolist()) == {"content"}
    assert {len(column) for column in rows.values()} == {sum(len(run.parts) or 1 for run in found)}


def test_what_has_no_files_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    data, region = unpacked(CASES[0], "data"), (84 * BLOCK_BYTES, 85 * BLOCK_BYTES)
    short = tmp_path / "data"
    short.write_bytes(data.read_bytes()[:65536])
    told: list[bytes | None] = []
    with thinmeta.open_pool(unpacked(CASES[0])) as pool:
        runs = pool.files_at(*region, data, partition=2)
        with pytest.raises(thinmeta.InputError, match=r"^device \d+: "):
            pool.files_at(*region, short)
        pool.files_at(*region, short, on_error=lambda _, path, __: told.append(path))

    assert {(not run.parts, bool(run.why)) for run in runs} == {(True, True)}
    rows = runs.columns()
    assert rows["why"].tolist() == [run.why for run in runs]
    assert set(rows["data_byte"].tolist()) == {-1}
    assert set(told) == {None}
