"""Where metadata is written: whole or not at all, and over nothing that is needed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builder.test_xml_document import GOOD
from tests.device.test_loop_device import Loop, attach, detach
from tests.made_images import one_device
from thinmeta.builder import metadata_target
from thinmeta.builder.restore import restore
from thinmeta.errors import InputError, OutputError
from thinmeta.model.pool import open_pool


@pytest.fixture
def xml(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "pool.xml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "pool.bin"


def assert_is_the_pool(path: Path, nr_blocks: int) -> None:
    with open_pool(path) as pool:
        assert list(pool.devices) == [1]
        assert pool.superblock.metadata_space_map.nr_blocks == nr_blocks


def assert_untouched(path: Path, contents: bytes) -> None:
    assert path.read_bytes() == contents
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_existing_file_keeps_size_and_mode(xml: Path, out: Path) -> None:
    out.write_bytes(b"?" * (4096 * 700 + 5))
    out.chmod(0o640)

    restore(xml, out)

    assert_is_the_pool(out, 700)
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert out.read_bytes()[4096 * 100 :] == bytes(4096 * 600)


def test_a_file_without_a_byte_is_like_none(xml: Path, out: Path) -> None:
    out.touch()

    restore(xml, out)

    assert_is_the_pool(out, 513)


def test_the_size_can_be_given(xml: Path, out: Path) -> None:
    out.write_bytes(bytes(4096 * 700))

    restore(xml, out, size_bytes=4096 * 100)

    assert_is_the_pool(out, 100)
    assert out.stat().st_size == 4096 * 100


def test_metadata_past_what_can_be_counted_is_not_counted(xml: Path, out: Path) -> None:
    out.touch()
    os.truncate(out, 17 << 30)

    restore(xml, out)

    assert_is_the_pool(out, 255 * 16320)
    assert out.stat().st_size == 17 << 30


def test_a_link_stays_a_link(xml: Path, out: Path) -> None:
    real = out.with_name("real.bin")
    out.symlink_to(real.name)

    restore(xml, out)

    assert out.is_symlink()
    assert_is_the_pool(real, 513)


def test_existing_metadata_takes_force(xml: Path, out: Path) -> None:
    before = one_device() + bytes(4096 * 500)
    out.write_bytes(before)

    with pytest.raises(OutputError, match="has metadata of a pool already; --force"):
        restore(xml, out)

    assert_untouched(out, before)
    restore(xml, out, force=True)
    assert_is_the_pool(out, len(before) // 4096)


@pytest.mark.parametrize("force", [False, True])
def test_the_input_is_never_written_over(xml: Path, *, force: bool) -> None:
    link = xml.with_name("link")
    os.link(xml, link)

    for path in (xml, link):
        with pytest.raises(OutputError, match="is the input itself, which is never written to"):
            restore(xml, path, force=force)

    assert xml.read_text() == GOOD


def test_other_places_are_refused(xml: Path, out: Path) -> None:
    os.mkfifo(out)
    for path in (out, Path("/dev/null")):
        with pytest.raises(OutputError, match="is neither a regular file nor a block device"):
            restore(xml, path)
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        restore(xml, out.parent)
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        restore(xml, out.parent / "none" / "pool.bin")


def test_a_full_disk_leaves_what_was_there(
    xml: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.write_bytes(bytes(4096 * 50))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        restore(xml, out)

    assert_untouched(out, bytes(4096 * 50))


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    file = tmp_path / "disk"
    file.write_bytes(b"?" * (4096 * 300))
    device = attach(file)
    yield Loop(device, file)
    detach(device)


@pytest.mark.loop_device
def test_a_device_gets_its_superblock_last(
    xml: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    write, sync = metadata_target._write, os.fsync

    def written(device: int, data: bytes, at: int) -> None:
        steps.append((at, any(data)))
        write(device, data, at)

    def synced(device: int) -> None:
        steps.append("sync")
        sync(device)

    monkeypatch.setattr(metadata_target, "_write", written)
    monkeypatch.setattr(os, "fsync", synced)

    restore(xml, loop.path)

    assert steps == [(0, False), "sync", (4096, True), "sync", (0, True), "sync"]
    assert_is_the_pool(loop.path, 300)
    with pytest.raises(OutputError, match="has metadata of a pool already; --force"):
        restore(xml, loop.path)
    restore(xml, loop.path, force=True)


@pytest.mark.loop_device
def test_a_device_is_untouched_where_the_input_is_bad(xml: Path, loop: Loop) -> None:
    xml.write_text(GOOD[:-20])

    with pytest.raises(InputError, match="line 8: unclosed token"):
        restore(xml, loop.path)

    assert loop.path.read_bytes() == b"?" * (4096 * 300)


@pytest.mark.loop_device
def test_a_device_in_use_is_refused(xml: Path, loop: Loop) -> None:
    fd = os.open(loop.path, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(OutputError, match="cannot be written: is in use"):
            restore(xml, loop.path)
    finally:
        os.close(fd)


@pytest.mark.loop_device
def test_a_device_that_is_too_small_is_untouched(xml: Path, loop: Loop) -> None:
    xml.write_text(GOOD.replace('nr_data_blocks="1000"', 'nr_data_blocks="10000000"'))

    with pytest.raises(OutputError, match=r"has room for 300 metadata blocks, but 62[0-9] are"):
        restore(xml, loop.path)

    assert loop.path.read_bytes() == b"?" * (4096 * 300)
