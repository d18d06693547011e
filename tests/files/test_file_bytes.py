"""The bytes of a file are those of a slow model, and what is lost is told and nothing else."""

import io
import random
import stat
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.made_trees import BLOCK, MemoryFiles, MemorySource
from tests.properties import examples
from thinmeta.files.file_bytes import FileBytes, FileHole, FileStream, LostPart
from thinmeta.files.file_system import FileError

NR_BLOCKS = 24


@dataclass
class MadeFile:
    """A file, and its bytes by the slow model: None is what cannot be had."""

    files: MemoryFiles
    source: MemorySource
    number: int
    model: list[int | None]
    lost: list[bool]

    def opened(self) -> FileBytes:
        return FileBytes(self.files, self.source, self.files.inode(self.number))


@st.composite
def made_files(draw: st.DrawFn) -> MadeFile:
    content = random.Random(draw(st.integers(0, 9))).randbytes(NR_BLOCKS * BLOCK - 100)
    ranges = st.tuples(st.integers(0, len(content)), st.integers(1, 3 * BLOCK))
    lost, unreadable = (
        [(begin, min(begin + length, len(content))) for begin, length in draw(st.lists(ranges))]
        for _ in range(2)
    )
    lost, unreadable = disjoint(lost), disjoint(unreadable)
    source = MemorySource(content, lost, [] if lost else unreadable)
    extents, begin = [], 0
    for gap, length, place in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, NR_BLOCKS + 2)),
            max_size=30,
        )
    ):
        begin += gap * BLOCK
        extents.append((begin, length * BLOCK, place * BLOCK))
        begin += length * BLOCK
    size = draw(st.integers(0, begin + 2 * BLOCK))
    files = MemoryFiles()
    number = files.add(stat.S_IFREG, size=size)
    files.places[number] = extents
    known: list[int | None] = [*content]
    for low, high in [*source.lost_ranges, *source.unreadable]:
        known[low:high] = [None] * (high - low)
    model: list[int | None] = [0] * size
    is_lost = [False] * size
    for start, length, place in extents:
        for at in range(start, min(start + length, size)):
            where = place + at - start
            model[at] = known[where] if where < len(content) else None
            is_lost[at] = where >= len(content) or any(low <= where < high for low, high in lost)
    return MadeFile(files, source, number, model, is_lost)


def disjoint(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    kept, done = [], 0
    for low, high in sorted(ranges):
        if done <= low < high:
            kept.append((low, high))
            done = high
    return kept


def read(content: FileBytes, begin: int = 0, end: int | None = None) -> list[int | None]:
    found: list[int | None] = []
    for piece in content.pieces(begin, end):
        if isinstance(piece, memoryview):
            found += piece.tobytes()
        else:
            assert piece.begin == begin + len(found)
            found += [0 if isinstance(piece, FileHole) else None] * piece.length
    return found


@examples(200)
@given(made_files(), st.integers(0, 9000), st.integers(0, 9000))
def test_pieces_are_those_of_the_slow_model(made: MadeFile, begin: int, length: int) -> None:
    content = made.opened()

    assert read(content) == made.model
    assert read(content, begin, begin + length) == made.model[begin : begin + length]


@examples(200)
@given(made_files())
def test_what_is_lost_is_known_without_reading(made: MadeFile) -> None:
    lost = [False] * len(made.model)
    for part in made.opened().lost():
        assert not any(lost[part.begin : part.begin + part.length])
        lost[part.begin : part.begin + part.length] = [True] * part.length

    assert lost == made.lost


@examples(200)
@given(made_files(), st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 3000)), max_size=5))
def test_a_stream_is_a_file_that_is_only_read(made: MadeFile, reads: list[tuple[int, int]]) -> None:
    stream = FileStream(made.opened(), "a file")
    for begin, length in reads:
        expected = made.model[begin : begin + length]
        stream.seek(begin)
        if None in expected:
            with pytest.raises(
                OSError, match=r"^\[Errno 5\] a file: bytes \d+\.\.\d+ of the file: "
            ):
                stream.read(length)
        else:
            assert stream.read(length) == bytes(byte or 0 for byte in expected)
    assert stream.seek(0, io.SEEK_END) == len(made.model)


def made(size: int, *extents: tuple[int, int, int]) -> MadeFile:
    files = MemoryFiles()
    number = files.add(stat.S_IFREG, size=size)
    files.places[number] = [*extents]
    return MadeFile(files, MemorySource(bytes(range(256)) * 8), number, [], [])


def test_holes_are_told_and_not_read() -> None:
    file = made(10**15, (BLOCK, BLOCK, 0), (10**12, 10, 1024))

    pieces = [
        len(piece) if isinstance(piece, memoryview) else piece for piece in file.opened().pieces()
    ]

    after = 10**12 + 10
    assert pieces == [
        FileHole(0, BLOCK),
        BLOCK,
        FileHole(2 * BLOCK, 10**12 - 2 * BLOCK),
        10,
        FileHole(after, 10**15 - after),
    ]


def test_what_is_past_the_end_of_the_volume_is_lost() -> None:
    file = made(BLOCK, (0, BLOCK, 2000))

    assert [*file.opened().lost()] == [LostPart(48, 464, "is past the end of the volume")]
    assert read(file.opened()) == [*bytes(range(256))[-48:], *[None] * 464]


@pytest.mark.parametrize(
    "extents",
    [
        [(0, 1024, 0), (512, 512, 0)],
        [(512, 512, 0), (0, 512, 0)],
        [(0, 2**64 - 1, 0), (2, 2**64 - 1, 0)],
        [(0, 512, 0), (0, 512, 0)],
    ],
)
def test_extents_that_overlap_are_not_believed(extents: list[tuple[int, int, int]]) -> None:
    with pytest.raises(FileError, match="overlap, or are out of order"):
        made(2048, *extents).opened()


def test_what_is_kept_with_the_inode_is_all_of_it() -> None:
    files = MemoryFiles()
    number = files.file(None, b"", b"hello")
    source = MemorySource(b"")

    content = FileBytes(files, source, files.inode(number))

    assert read(content, 1, 4) == [*b"ell"]
    assert FileStream(content, "a file").read() == b"hello"
    assert [*content.lost()] == []
    files.inlines[number] = b"hell"
    with pytest.raises(FileError, match="has 4 bytes of the 5 that it should have"):
        FileBytes(files, source, files.inode(number))


def test_memory_is_that_of_a_buffer() -> None:
    files = MemoryFiles()
    number = files.add(stat.S_IFREG, size=5 << 20)
    files.places[number] = [(0, 5 << 20, 0)]
    content = FileBytes(files, MemorySource(bytes(5 << 20)), files.inode(number))

    sizes = [piece.nbytes for piece in content.pieces() if isinstance(piece, memoryview)]

    assert sizes == [1 << 18] * 20
