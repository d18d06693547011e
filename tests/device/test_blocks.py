"""A read gives each block that was asked for, in its place, and a fault where there is none."""

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_images import BLOCK, device_over
from tests.properties import examples
from thinmeta.device.blocks import BlockBatch, BlockDevice, Fault, page_aligned

NR_BLOCKS = 64
IMAGE = np.random.default_rng(0).bytes(NR_BLOCKS * BLOCK)


def asked(blocks: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.array(blocks, dtype=np.uint64)


def expected_row(image: bytes, block: int) -> bytes:
    whole = image[block * BLOCK : (block + 1) * BLOCK]
    return whole if len(whole) == BLOCK else bytes(BLOCK)


def assert_read(batch: BlockBatch, image: bytes, blocks: Sequence[int]) -> None:
    past_end = [block >= len(image) // BLOCK for block in blocks]
    assert batch.rows.shape == (len(blocks), BLOCK)
    assert batch.faults.tolist() == [Fault.PAST_END if past else Fault.NONE for past in past_end]
    assert [row.tobytes() for row in batch.rows] == [expected_row(image, each) for each in blocks]


@pytest.fixture
def device() -> Iterator[BlockDevice]:
    with device_over(IMAGE) as opened:
        yield opened


BLOCK_NUMBERS = st.integers(0, NR_BLOCKS + 3) | st.sampled_from([2**40, 2**63, 2**64 - 1])


@examples(150)
@given(blocks=st.lists(BLOCK_NUMBERS, max_size=40))
def test_a_read_equals_slices_of_the_file(blocks: list[int]) -> None:
    with device_over(IMAGE) as device:
        assert_read(device.read(asked(blocks)), IMAGE, blocks)


@examples(60)
@given(
    runs=st.lists(st.tuples(st.integers(0, NR_BLOCKS - 1), st.integers(1, 20)), max_size=6),
    backwards=st.booleans(),
)
def test_neighbours_are_read_in_any_order(runs: list[tuple[int, int]], backwards: bool) -> None:
    blocks = [block for begin, length in runs for block in range(begin, begin + length)]
    blocks = blocks[::-1] if backwards else blocks
    with device_over(IMAGE) as device:
        assert_read(device.read(asked(blocks)), IMAGE, blocks)


@examples(60)
@given(size=st.integers(0, 4 * BLOCK), blocks=st.lists(st.integers(0, 5), max_size=8))
def test_a_short_tail_is_past_the_end(size: int, blocks: list[int]) -> None:
    image = IMAGE[:size]
    with device_over(image) as device:
        assert device.nr_blocks == size // BLOCK
        assert_read(device.read(asked(blocks)), image, blocks)


def test_nothing_asked_is_nothing_read(device: BlockDevice) -> None:
    assert_read(device.read(asked([])), IMAGE, [])


def test_more_neighbours_than_one_call_may_fill() -> None:
    image = bytes(range(256)) * (2500 * BLOCK // 256)
    order = np.random.default_rng(1).permutation(2500)
    with device_over(image) as device:
        batch = device.read(order.astype(np.uint64))

    assert not batch.faults.any()
    assert (batch.rows == np.frombuffer(image, np.uint8).reshape(-1, BLOCK)[order]).all()


class Recorder:
    """Takes the place of `os.preadv`, writes down the calls and fails as a disk does."""

    def __init__(self, bad: frozenset[int] = frozenset(), *, partial: bool = False) -> None:
        self.calls: list[tuple[int, int]] = []
        self.addresses: list[int] = []
        self._bad = bad
        self._partial = partial
        self._real = os.preadv

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        size = sum(buffer.nbytes for buffer in buffers)
        first, end = offset // BLOCK, (offset + size) // BLOCK
        self.calls.append((first, end - first))
        self.addresses += [np.frombuffer(buffer, np.uint8).ctypes.data for buffer in buffers]
        bad = min((block for block in self._bad if first <= block < end), default=None)
        if bad is None:
            return self._real(fd, buffers, offset)
        if not self._partial or bad == first:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        whole = os.pread(fd, (bad - first) * BLOCK, offset)
        for buffer in buffers:
            part, whole = whole[: buffer.nbytes], whole[buffer.nbytes :]
            buffer.cast("B")[: len(part)] = part
        return (bad - first) * BLOCK


def recorded(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> Recorder:
    monkeypatch.setattr(os, "preadv", recorder)
    return recorder


def test_neighbours_take_one_call_wherever_they_stand(
    device: BlockDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorded(monkeypatch, Recorder())

    device.read(asked([9, 3, 10, 2, 4, 40]))

    assert recorder.calls == [(2, 3), (9, 2), (40, 1)]


def test_what_is_past_the_end_is_not_asked_for(
    device: BlockDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorded(monkeypatch, Recorder())

    device.read(asked([NR_BLOCKS, NR_BLOCKS - 1, 2**64 - 1]))

    assert recorder.calls == [(NR_BLOCKS - 1, 1)]


def test_all_buffers_are_page_aligned(device: BlockDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = recorded(monkeypatch, Recorder())

    for count in (1, 2, 3, 30):
        device.read(asked(list(range(count))))
        device.read(asked(list(range(count))[::-1]))

    assert recorder.addresses
    assert [address % BLOCK for address in recorder.addresses] == [0] * len(recorder.addresses)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_page_aligned_rows_are_writable_and_as_many_as_asked(count: int) -> None:
    rows = page_aligned(count)

    assert rows.shape == (count, BLOCK)
    assert rows.dtype == np.uint8
    assert rows.flags.writeable
    assert rows.flags.c_contiguous
    assert not count or rows.ctypes.data % BLOCK == 0


@examples(100)
@given(
    blocks=st.lists(st.integers(0, NR_BLOCKS + 2), max_size=30),
    bad=st.frozensets(st.integers(0, NR_BLOCKS - 1), max_size=12),
    partial=st.booleans(),
)
def test_a_read_error_costs_only_the_bad_blocks(
    blocks: list[int], bad: frozenset[int], partial: bool
) -> None:
    with device_over(IMAGE) as device, pytest.MonkeyPatch.context() as patch:
        recorded(patch, Recorder(bad, partial=partial))
        batch = device.read(asked(blocks))

    def fault(block: int) -> Fault:
        if block >= NR_BLOCKS:
            return Fault.PAST_END
        return Fault.READ_ERROR if block in bad else Fault.NONE

    assert batch.faults.tolist() == [fault(block) for block in blocks]
    assert [row.tobytes() for row in batch.rows] == [
        bytes(BLOCK) if fault(block) else expected_row(IMAGE, block) for block in blocks
    ]


def test_a_file_that_shrinks_meanwhile_is_past_its_end() -> None:
    fd = os.memfd_create("image")
    os.write(fd, IMAGE)
    device = BlockDevice(fd, "image")
    os.ftruncate(fd, 2 * BLOCK + 100)

    batch = device.read(asked([0, 1, 2, 3]))
    device.close()

    assert batch.faults.tolist() == [Fault.NONE, Fault.NONE, Fault.PAST_END, Fault.PAST_END]
    assert [row.tobytes() for row in batch.rows] == [
        IMAGE[:BLOCK],
        IMAGE[BLOCK : 2 * BLOCK],
        bytes(BLOCK),
        bytes(BLOCK),
    ]


def test_closing_closes_the_file_once() -> None:
    fd = os.memfd_create("image")
    device = BlockDevice(fd, "image")

    device.close()
    device.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
