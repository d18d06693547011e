"""A path becomes a device of blocks, or an error that says what the path is instead."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cases import image_bytes
from tests.device.test_kernel import FakeSysfs
from tests.made_images import BLOCK, one_device, written
from thinmeta.device.opening import live_message, open_blocks, snapshot_commands
from thinmeta.device.signatures import refuse_foreign
from thinmeta.errors import (
    DamagedMetadataError,
    ExitCode,
    InputError,
    LiveDeviceError,
    ThinmetaError,
)
from thinmeta.model.pool import open_pool


@pytest.fixture(autouse=True)
def no_file_stays_open() -> Iterator[None]:
    def nr_open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = nr_open_files()
    yield
    assert nr_open_files() == before


def refusal(path: Path) -> str:
    with pytest.raises(ThinmetaError) as caught:
        open_blocks(path, inspect=refuse_foreign)
    assert type(caught.value) is InputError
    assert caught.value.exit_code == ExitCode.INPUT
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_good_image_is_opened_with_its_name_and_size(tmp_path: Path) -> None:
    image = one_device()
    path = written(tmp_path / "meta.bin", image)

    device = open_blocks(path, inspect=refuse_foreign)
    first = device.read(np.zeros(1, np.uint64)).rows[0].tobytes()
    device.close()

    assert (device.name, device.nr_blocks, device.notes) == (str(path), len(image) // BLOCK, ())
    assert first == image[:BLOCK]


def test_a_link_is_followed(tmp_path: Path) -> None:
    written(tmp_path / "meta.bin", one_device())
    link = tmp_path / "link"
    link.symlink_to("meta.bin")

    open_blocks(link, inspect=refuse_foreign).close()


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing") == "no such file or directory"


def test_a_file_in_no_folder(tmp_path: Path) -> None:
    written(tmp_path / "file", b"")
    assert refusal(tmp_path / "file" / "below") == "not a directory"


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert refusal(tmp_path / "link") == "no such file or directory"


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    assert refusal(tmp_path / "link") == "too many levels of symbolic links"


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300)) == "file name too long"


def test_a_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a directory, not a metadata device or image"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "is neither a regular file nor a block device"


def test_a_character_device() -> None:
    assert refusal(Path("/dev/null")) == "is neither a regular file nor a block device"


def test_an_empty_file(tmp_path: Path) -> None:
    assert refusal(written(tmp_path / "empty", b"")) == "is empty"


def test_a_short_file(tmp_path: Path) -> None:
    path = written(tmp_path / "short", one_device()[:100])
    assert refusal(path) == "has only 100 bytes, less than the superblock"


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "secret", one_device())

    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", denied)

    assert refusal(path) == "permission denied"


def test_what_inspect_refuses_is_refused_with_the_name(tmp_path: Path) -> None:
    path = written(tmp_path / "foreign", bytes(BLOCK))

    def refuse(beginning: bytes) -> None:
        raise InputError(f"is {len(beginning)} zeros")

    with pytest.raises(InputError, match=f"^{path}: is 4096 zeros$"):
        open_blocks(path, inspect=refuse)


def test_a_bad_sector_under_the_superblock_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "meta.bin", one_device())

    def bad_sector(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", bad_sector)
    monkeypatch.setattr(os, "preadv", bad_sector)

    with pytest.raises(DamagedMetadataError, match="the superblock cannot be read"):
        open_pool(path)


def test_a_file_behind_a_held_loop_device_is_live(tmp_path: Path) -> None:
    path = written(tmp_path / "metadata", one_device())
    sysfs = FakeSysfs(tmp_path / "sys")
    sysfs.loop("loop1", str(path))
    sysfs.hold("loop1", "dm-0", dm_name="docker-8:1-131-pool")

    with pytest.raises(LiveDeviceError) as caught:
        open_blocks(path, inspect=refuse_foreign, sysfs=sysfs.root)

    assert caught.value.exit_code == ExitCode.INPUT
    assert str(caught.value) == live_message(path, ["docker-8:1-131-pool"])
    assert f"{path}: is the metadata of the active pool docker-8:1-131-pool" in str(caught.value)
    open_blocks(path, inspect=refuse_foreign, exclusive=False, sysfs=sysfs.root).close()


def test_a_live_message_has_the_commands_that_help() -> None:
    message = live_message(Path("/dev/mapper/vg-pool_tmeta"), ["vg-pool-tpool"])

    assert message.endswith(
        "dmsetup message vg-pool-tpool 0 reserve_metadata_snap; "
        "the same command with -m; "
        "dmsetup message vg-pool-tpool 0 release_metadata_snap"
    )


def test_where_the_pool_is_not_known_the_commands_say_pool() -> None:
    message = live_message(Path("/dev/sdb"), [])

    assert message.startswith("/dev/sdb: is in use, as by an active pool, which changes")
    assert message.endswith(snapshot_commands("POOL"))


@pytest.mark.parametrize("magic", [b"\x1f\x8b", b"BZh", b"<"])
def test_a_checksum_may_look_like_another_kind_of_file(magic: bytes, tmp_path: Path) -> None:
    image = bytearray(image_bytes("a02-empty-pool-min-metadata"))
    image[: len(magic)] = magic
    path = written(tmp_path / "meta.bin", bytes(image))

    device = open_blocks(path, inspect=refuse_foreign)

    assert device.nr_blocks == len(image) // 4096
    assert not device.notes
    device.close()


def test_opening_does_not_change_the_file(tmp_path: Path) -> None:
    image = image_bytes("a02-empty-pool-min-metadata")
    path = written(tmp_path / "meta.bin", image)
    path.chmod(0o444)
    before = path.stat()

    open_blocks(path, inspect=refuse_foreign).close()

    assert path.read_bytes() == image
    assert path.stat().st_mtime_ns == before.st_mtime_ns
