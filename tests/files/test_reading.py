"""A cache gives the bytes of its source, and errors for those alone that cannot be had."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from tests.volume.volumes import UNIT, Made, made_volumes
from thinmeta.files.file_system import FileError
from thinmeta.files.file_tree import is_safe_name
from thinmeta.files.reading import CHUNK_BYTES, Cache, Missing, VolumeSource
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

SIZE = 3 * CHUNK_BYTES + 1000
CONTENT = bytes(range(256)) * (SIZE // 256 + 1)


class Holed:
    """Bytes of which some cannot be had; counts how often it is read."""

    name = "holed"
    size = SIZE

    def __init__(self, begin: int = 0, end: int = 0) -> None:
        self.begin, self.end, self.reads = begin, end, 0

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        self.reads += 1
        view[:] = CONTENT[begin : begin + len(view)]
        low, high = max(self.begin, begin), min(self.end, begin + len(view))
        if low < high:
            view[low - begin : high - begin] = bytes(high - low)
            yield from self.lost(low, high)

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        cause = Unreadable(begin, end - begin, 0, Source.DATA, "disk", begin, 0, "bad sector")
        yield Missing(begin, end - begin, cause)


@pytest.mark.parametrize(
    ("begin", "length"),
    [(0, 1), (CHUNK_BYTES - 1, 2), (5, 2 * CHUNK_BYTES), (SIZE - 1, 1), (0, SIZE), (SIZE, 0)],
)
def test_bytes_are_those_of_the_source(begin: int, length: int) -> None:
    assert Cache(Holed()).read(begin, length) == CONTENT[begin : begin + length]


@pytest.mark.parametrize(("begin", "length"), [(SIZE, 1), (SIZE - 1, 2), (-1, 2)])
def test_past_the_end_is_an_error(begin: int, length: int) -> None:
    with pytest.raises(FileError, match="past the end of the volume"):
        Cache(Holed()).read(begin, length)


def test_what_cannot_be_had_is_an_error_where_it_is_and_nowhere_else() -> None:
    cache = Cache(Holed(CHUNK_BYTES + 100, CHUNK_BYTES + 200))

    assert cache.read(CHUNK_BYTES, 100) == CONTENT[CHUNK_BYTES : CHUNK_BYTES + 100]
    assert cache.read(CHUNK_BYTES + 200, 9) == CONTENT[CHUNK_BYTES + 200 : CHUNK_BYTES + 209]
    for begin, length in [(CHUNK_BYTES + 99, 2), (CHUNK_BYTES + 199, 1), (0, SIZE)]:
        with pytest.raises(FileError, match="bad sector"):
            cache.read(begin, length)


def test_a_chunk_is_read_once() -> None:
    source = Holed()
    cache = Cache(source)

    for begin in (0, 4096, 100, CHUNK_BYTES - 10):
        cache.read(begin, 10)

    assert source.reads == 1


@examples(50)
@given(made_volumes(sound=False))
def test_of_a_volume_it_is_known_without_reading_what_is_lost(made: Made) -> None:
    with Volume("volume", made.layout, made.sources()) as volume:
        source = VolumeSource(volume)
        buffer = bytearray(source.size)

        lost = [(part.begin, part.length) for part in source.lost(0, source.size)]

        assert lost == [(part.begin, part.length) for part in source.fill(memoryview(buffer), 0)]
    assert buffer == made.content()
    known = made.known()
    for begin, length in lost:
        known[begin : begin + length] = [True] * length
    assert all(known)


@examples(50)
@given(
    made_volumes(sound=False),
    st.lists(st.tuples(st.integers(0, 16 * UNIT), st.integers(0, 3 * UNIT)), max_size=9),
)
def test_a_volume_is_read_in_any_order(made: Made, reads: list[tuple[int, int]]) -> None:
    content, known = made.content(), made.known()
    with Volume("volume", made.layout, made.sources()) as volume:
        source = VolumeSource(volume)
        for begin, length in reads:
            buffer = bytearray(length)[: max(0, source.size - begin)]
            found = [True] * len(buffer)
            for part in source.fill(memoryview(buffer), begin):
                found[part.begin - begin : part.end - begin] = [False] * part.length

            assert buffer == content[begin : begin + len(buffer)]
            assert found == known[begin : begin + len(buffer)]


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0b"])
def test_a_name_that_leads_elsewhere_is_not_safe(name: bytes) -> None:
    assert not is_safe_name(name)


@pytest.mark.parametrize("name", [b"a", b"...", b"\xff\xfe", b"a\nb", b" "])
def test_a_strange_name_is_safe(name: bytes) -> None:
    assert is_safe_name(name)
