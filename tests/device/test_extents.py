"""Bytes in pieces of files are read as if they were one file."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_images import BLOCK
from tests.properties import examples
from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.device.extents import Extent, Extents, Stripes

FILES = [np.random.default_rng(seed).bytes(20_000) for seed in (1, 2, 3)]

Piece = tuple[list[tuple[int, int]], int, int]
"""File and offset of each area, length of an area, length of a stripe."""


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    areas = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9_000)), min_size=1, max_size=3)
    )
    stripe = draw(st.integers(1, 700))
    return areas, stripe * draw(st.integers(0, 12)), stripe


def opened(name: str, described: Sequence[Piece]) -> tuple[Extents, bytes]:
    """Return pieces of files in memory, and the bytes that they are."""
    fds = [os.memfd_create("file") for _ in FILES]
    for fd, contents in zip(fds, FILES, strict=True):
        os.write(fd, contents)
    made: list[Extent | Stripes] = [Extent(fd, 0, 0) for fd in fds]  # so that all are closed
    whole = b""
    for areas, length, stripe in described:
        extents = tuple(Extent(fds[file], offset, length) for file, offset in areas)
        made.append(Stripes(extents, stripe) if len(areas) > 1 else extents[0])
        for row in range(0, length, stripe):
            for file, offset in areas:
                whole += FILES[file][offset + row : offset + row + stripe]
    return Extents(name, made), whole


@pytest.fixture
def example() -> Iterator[tuple[Extents, bytes]]:
    extents, whole = opened(
        "three", [([(0, 5)], 8192, 1), ([(1, 0), (2, 77)], 6144, 1024), ([(0, 9_000)], 6000, 1)]
    )
    yield extents, whole
    extents.close()


@examples(100)
@given(
    described=st.lists(pieces(), max_size=4),
    reads=st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 40_000)), max_size=5),
)
def test_a_read_is_a_slice(described: list[Piece], reads: list[tuple[int, int]]) -> None:
    extents, whole = opened("pieces", described)
    assert extents.size == len(whole)
    for offset, length in reads:
        buffer = bytearray(length)
        got = extents.read_into(memoryview(buffer), offset)
        assert bytes(buffer[:got]) == whole[offset : offset + length]
    extents.close()


@examples(60)
@given(
    described=st.lists(pieces(), max_size=4),
    offset=st.integers(0, 30_000),
    lengths=st.lists(st.integers(0, 5_000), max_size=5),
)
def test_several_buffers_are_filled_in_turn(
    described: list[Piece], offset: int, lengths: list[int]
) -> None:
    extents, whole = opened("pieces", described)
    buffers = [bytearray(length) for length in lengths]
    got = extents.preadv([memoryview(buffer) for buffer in buffers], offset)
    extents.close()

    assert b"".join(buffers)[:got] == whole[offset : offset + sum(lengths)]
    assert got == len(whole[offset : offset + sum(lengths)])


@examples(60)
@given(
    described=st.lists(pieces(), max_size=4),
    offset=st.integers(0, 30_000),
    length=st.integers(0, 30_000),
)
def test_where_it_lies_has_no_gap(described: list[Piece], offset: int, length: int) -> None:
    extents, whole = opened("pieces", described)
    places = list(extents.locate(offset, length))

    assert all(place.length > 0 for place in places)
    assert (
        b"".join(os.pread(fd, size, at) for fd, at, size in places)
        == whole[offset : offset + length]
    )
    extents.close()


def test_blocks_over_the_ends_of_pieces(example: tuple[Extents, bytes]) -> None:
    extents, whole = example
    device = BlockDevice.over(extents)
    nr_blocks = len(whole) // BLOCK
    asked = np.array([nr_blocks, *range(nr_blocks), 3, 0, 2**64 - 1], dtype=np.uint64)
    batch = device.read(asked)

    assert (device.name, device.notes, device.nr_blocks) == ("three", (), nr_blocks)
    assert len(whole) % BLOCK
    assert batch.faults.tolist() == [
        Fault.PAST_END,
        *[Fault.NONE] * (nr_blocks + 2),
        Fault.PAST_END,
    ]
    for number, row in zip(asked.tolist()[1:-1], batch.rows[1:-1], strict=True):
        assert row.tobytes() == whole[number * BLOCK : (number + 1) * BLOCK]


def test_a_bad_sector_costs_only_its_block(
    example: tuple[Extents, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    extents, whole = example
    bad = next(extents.locate(BLOCK + 17, 1))
    real = os.preadv

    def preadv(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        end = offset + sum(buffer.nbytes for buffer in buffers)
        if fd == bad.fd and offset <= bad.offset < end:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    batch = BlockDevice.over(extents).read(np.arange(4, dtype=np.uint64))

    assert batch.faults.tolist() == [0, Fault.READ_ERROR, 0, 0]
    assert batch.rows[2].tobytes() == whole[2 * BLOCK : 3 * BLOCK]
    assert not batch.rows[1].any()


def test_a_file_that_shrank_is_past_its_end(example: tuple[Extents, bytes]) -> None:
    extents, _ = example
    first = next(extents.locate(0, 1))
    os.ftruncate(first.fd, first.offset + BLOCK + 10)

    batch = BlockDevice.over(extents).read(np.arange(2, dtype=np.uint64))

    assert batch.faults.tolist() == [Fault.NONE, Fault.PAST_END]


def test_closing_closes_each_file_once(example: tuple[Extents, bytes]) -> None:
    extents, _ = example
    fd = next(extents.locate(0, 1)).fd
    device = BlockDevice.over(extents)

    device.close()
    device.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert device.read(np.zeros(1, dtype=np.uint64)).faults.tolist() == [Fault.PAST_END]
