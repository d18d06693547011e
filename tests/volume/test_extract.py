"""Copies and streams hold what the volume holds, whatever fails on the way."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given

from tests.properties import examples
from tests.volume.volumes import UNIT, Made, made_volumes, noise
from thinmeta.device.extents import Extents
from thinmeta.volume import extract
from thinmeta.volume.copy_target import BlockTarget, FileTarget
from thinmeta.volume.extract import copy, stream
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources, Unreadable, UnreadableError, open_source


class MemoryFile:
    """A file in memory to write to, in which something was before."""

    def __init__(self, size: int = 0, fill: bytes = b"") -> None:
        self.fd = os.memfd_create("target")
        os.write(self.fd, fill * size)

    def content(self, size: int) -> bytes:
        return os.pread(self.fd, size + 1, 0)

    def __enter__(self) -> "MemoryFile":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def copied(made: Made, *, to_device: bool, parts: list[tuple[int, int]] | None = None) -> bytes:
    """Copy a sound volume; a device is as large as the volume and full of something else."""
    sources = made.sources()
    with MemoryFile(made.size, b"x") if to_device else MemoryFile() as file:
        target = (BlockTarget if to_device else FileTarget)(file.fd, made.size)
        for _ in copy(made.layout(), sources, target, parts=parts):
            pass
        content = file.content(made.size)
    sources.close()
    return content


@pytest.fixture(params=[True, False], ids=["in one window", "in many"])
def windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(extract, "_WINDOW", UNIT + 100)
        monkeypatch.setattr("thinmeta.volume.layout._PIECES_AT_ONCE", 2)
        monkeypatch.setattr(extract, "_PART", 700)
        monkeypatch.setattr(extract, "_BUFFER", 512)


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("to_device", [False, True], ids=["file", "device"])
@examples(60)
@given(made=made_volumes())
def test_a_copy_is_what_the_volume_is(made: Made, to_device: bool) -> None:
    assert copied(made, to_device=to_device) == made.content()


@pytest.mark.usefixtures("windows")
@examples(40)
@given(made=made_volumes(sound=False))
def test_what_cannot_be_had_is_told_exactly(made: Made) -> None:
    told: list[Unreadable] = []
    sources = made.sources()
    with MemoryFile() as file:
        target = FileTarget(file.fd, made.size)
        spans = list(copy(made.layout(), sources, target, on_unreadable=told.append))
        content = file.content(made.size)
    streamed = b"".join(
        bytes(part) for part in stream(made.layout(), sources, on_unreadable=lambda _: None)
    )
    sources.close()

    known = [True] * made.size
    for each in told:
        known[each.begin : each.end] = [False] * each.length
    assert known == made.known()
    assert content == streamed == made.content()
    assert [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]]


@examples(40)
@given(made=made_volumes())
def test_a_stream_is_what_the_volume_is(made: Made) -> None:
    sources = made.sources()
    parts = [bytes(part) for part in stream(made.layout(), sources)]
    sources.close()

    assert b"".join(parts) == made.content()


def files(tmp_path: Path) -> tuple[Layout, Sources, Made]:
    """Return a volume of a regular file, a part of which is a hole."""
    data = noise(2, 1) + bytes(1 << 20) + noise(1, 2)
    made = Made({0: 1, 3: 0, **{8 + n: 2 + n for n in range(257)}}, 300 * UNIT, data, None)
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.write(data[: 2 * UNIT])
        file.seek(len(data) - UNIT)
        file.write(data[-UNIT:])
    return made.layout(), Sources(open_source(path), UNIT), made


@pytest.mark.parametrize(
    "reason",
    [None, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO],
    ids=["works", "EXDEV", "EINVAL", "ENOSYS", "EOPNOTSUPP", "EIO"],
)
def test_where_the_kernel_does_not_copy_it_is_read_and_written(
    reason: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(reason, "no")

    if reason is not None:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    layout, sources, made = files(tmp_path)
    with (tmp_path / "out").open("wb") as file:
        for _ in copy(layout, sources, FileTarget(file.fileno(), layout.size)):
            pass
    sources.close()

    assert (tmp_path / "out").read_bytes() == made.content()


def test_holes_of_the_data_stay_holes(tmp_path: Path) -> None:
    layout, sources, _ = files(tmp_path)
    with (tmp_path / "out").open("wb") as file:
        for _ in copy(layout, sources, FileTarget(file.fileno(), layout.size)):
            pass
    sources.close()

    assert (tmp_path / "out").stat().st_blocks * 512 <= 16 * UNIT


class Failing(Extents):
    """A file that has bad sectors."""

    bad: range = range(0)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        if offset < self.bad.stop and offset + len(buffer) > self.bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return super().read_into(buffer, offset)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Made, Sources]]:
    """Return a volume whose data cannot be read from byte 5 of block 3 to byte 5 of block 4."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    made = Made(dict(enumerate(range(8))), 8 * UNIT, noise(8, 1), None)
    fd = os.memfd_create("data")
    os.write(fd, made.data)
    data = Failing.of_file(fd, "data.img")
    assert isinstance(data, Failing)
    data.bad = range(3 * UNIT + 5, 4 * UNIT + 5)
    sources = Sources(data, UNIT)
    yield made, sources
    sources.close()


def test_of_bad_sectors_only_they_are_lost(failing: tuple[Made, Sources]) -> None:
    made, sources = failing
    told: list[Unreadable] = []

    with MemoryFile() as file:
        for _ in copy(
            made.layout(), sources, FileTarget(file.fd, made.size), on_unreadable=told.append
        ):
            pass
        content = file.content(made.size)

    lost = slice(3 * UNIT, 5 * UNIT)
    assert [(each.begin, each.length, each.data_block) for each in told] == [
        (3 * UNIT, UNIT, 3),
        (4 * UNIT, UNIT, 4),
    ]
    assert content[lost] == bytes(2 * UNIT)
    assert content[: lost.start] + content[lost.stop :] == (
        made.data[: lost.start] + made.data[lost.stop :]
    )


def test_without_salvage_the_first_bad_sector_ends_it(failing: tuple[Made, Sources]) -> None:
    made, sources = failing

    with MemoryFile() as file, pytest.raises(UnreadableError) as raised:
        list(copy(made.layout(), sources, FileTarget(file.fd, made.size)))

    assert str(raised.value) == (
        "data.img: data block 3, byte 12288: Input/output error; "
        "bytes 12288..16383 of the volume (block 3)"
    )


def test_a_huge_volume_takes_no_longer() -> None:
    made = Made({2**37: 0}, 2**50, noise(1, 1), None)
    sources = made.sources()
    with MemoryFile() as file:
        spans = list(copy(made.layout(), sources, FileTarget(file.fd, made.size)))
        there = os.pread(file.fd, UNIT, 2**37 * UNIT)
    sources.close()

    assert there == made.data
    assert spans == [(0, 2**50)]
