"""A volume as a file object: every read is a part of the whole."""

import io
import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.volume.volumes import UNIT, Made, made_volumes, noise, runs_of
from thinmeta.errors import InputError
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import Layout


def opened(made: Made) -> Volume:
    return Volume("device 1", made.layout, made.sources())


@examples(150)
@given(made=made_volumes(), cuts=st.lists(st.integers(0, 16 * UNIT), max_size=8))
def test_a_long_read_is_its_short_reads_joined(made: Made, cuts: list[int]) -> None:
    with opened(made) as volume:
        whole = volume.read(made.size)
        volume.seek(0)
        edges = sorted({0, made.size, *(cut for cut in cuts if cut < made.size)})
        parts = [volume.read(end - begin) for begin, end in pairwise(edges)]

    assert whole == made.content()
    assert b"".join(part or b"" for part in parts) == whole


@examples(100)
@given(made=made_volumes(), begin=st.integers(0, 17 * UNIT), size=st.integers(0, 17 * UNIT))
def test_any_part_is_that_of_the_whole(made: Made, begin: int, size: int) -> None:
    with opened(made) as volume:
        volume.seek(begin)

        assert volume.read(size) == made.content()[begin : begin + size]
        assert volume.tell() == max(begin, min(begin + size, made.size))


@examples(100)
@given(made=made_volumes(sound=False), begin=st.integers(0, 16 * UNIT), size=st.integers(1, UNIT))
def test_what_cannot_be_had_is_an_error_and_never_zeros(made: Made, begin: int, size: int) -> None:
    with opened(made) as volume:
        volume.seek(begin)
        if all(made.known()[begin : begin + size]):
            assert volume.read(size) == made.content()[begin : begin + size]
        else:
            with pytest.raises(OSError, match="device 1: "):
                volume.read(size)


MADE = Made({0: 1, 2: 0}, 3 * UNIT + 100, noise(2, 1), None)


def test_it_is_a_file_object() -> None:
    with opened(MADE) as volume:
        assert volume.readable()
        assert volume.seekable()
        assert not volume.writable()
        assert volume.seek(-100, os.SEEK_END) == 3 * UNIT
        assert volume.seek(10, os.SEEK_CUR) == 3 * UNIT + 10
        assert volume.read() == bytes(90)
        assert volume.read(1) == b""
        with pytest.raises(ValueError, match="before the beginning"):
            volume.seek(-1)
    with pytest.raises(ValueError, match="is closed"):
        volume.read(1)
    volume.close()


def test_a_buffered_reader_reads_it() -> None:
    with io.BufferedReader(opened(MADE), 512) as reader:
        reader.seek(UNIT - 7)
        assert reader.read(20) == MADE.content()[UNIT - 7 : UNIT + 13]


def test_nothing_is_loaded_until_it_is_read() -> None:
    loaded: list[int] = []

    def load() -> Layout:
        loaded.append(1)
        return MADE.layout()

    with Volume("device 1", load, MADE.sources()) as volume:
        volume.seek(100)
        assert loaded == []
        volume.read(1)
        volume.read(1)

    assert loaded == [1]


def test_without_a_size_it_ends_with_the_last_mapped_block() -> None:
    layout = Layout.read([], UNIT)
    assert layout.size == 0

    mapped = Made({0: 1, 2: 0}, 10 * UNIT, noise(2, 1), None)
    assert Layout.read([runs_of(mapped.mappings)], UNIT).size == 3 * UNIT


@pytest.mark.parametrize("block", [2**52, 2**64 - 1])
def test_a_block_that_no_volume_can_have_needs_a_size(block: int) -> None:
    made = Made({block: 1, 0: 0}, UNIT, noise(2, 1), None)

    with pytest.raises(InputError, match="say how large the volume is"):
        Layout.read([runs_of(made.mappings)], UNIT)
    with opened(made) as volume:
        assert volume.read() == made.content()


def test_a_data_block_that_no_device_can_have_is_past_the_end() -> None:
    made = Made({0: 2**40 - 1}, UNIT, noise(2, 1), None)

    with opened(made) as volume, pytest.raises(OSError, match="past the end of the data device"):
        volume.read(1)


def test_blocks_without_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="no bytes"):
        Layout.read([], 0)
