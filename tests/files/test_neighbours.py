"""Files that are read together have the bytes that they have alone, or are read alone."""

import random
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files.made_trees import MemoryFiles, MemorySource
from tests.properties import examples
from thinmeta.files.file_bytes import FileBytes
from thinmeta.files.neighbours import SMALL_BYTES, read_together

SIZE = 100_000
CONTENT = random.Random(3).randbytes(SIZE)


def contents_at(source: MemorySource, rows: list[tuple[int, int]]) -> list[FileBytes]:
    files = MemoryFiles()
    inodes = [files.inode(files.add(stat.S_IFREG, size=size)) for _, size in rows]
    places = [place for place, _ in rows]
    return [
        FileBytes(files, source, inode, place) for inode, place in zip(inodes, places, strict=True)
    ]


@given(
    rows=st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 30_000)), max_size=40),
    hole=st.tuples(st.integers(0, SIZE - 1), st.integers(0, 5000)),
)
@examples(100)
def test_each_is_whole_or_none(rows: list[tuple[int, int]], hole: tuple[int, int]) -> None:
    begin, end = hole[0], min(SIZE, sum(hole))
    source = MemorySource(CONTENT, unreadable=[(begin, end)] if begin < end else [])

    found = list(read_together(source, contents_at(source, rows)))

    assert [None if view is None else bytes(view) for view in found] == [
        None
        if place + size > SIZE or max(place, begin) < min(place + size, end)
        else CONTENT[place : place + size]
        for place, size in rows
    ]


def reads_of(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return what is read, from now on: where, and how much."""
    reads: list[tuple[int, int]] = []
    fill = source.fill

    def counted(view: memoryview, begin: int) -> object:
        reads.append((begin, len(view)))
        return fill(view, begin)

    monkeypatch.setattr(source, "fill", counted)
    return reads


def test_neighbours_are_read_once_in_whichever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource(CONTENT)
    reads = reads_of(source, monkeypatch)
    rows = [(8192, 4000), (0, 4096), (4096, 100), (80_000, 9)]

    found = list(read_together(source, contents_at(source, rows)))

    assert [bytes(view) for view in found if view is not None] == [
        CONTENT[place : place + size] for place, size in rows
    ]
    assert reads == [(0, 12_192), (80_000, 9)]


def test_a_large_file_is_read_alone_and_of_many_a_part_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = MemorySource(bytes(SMALL_BYTES * 40))
    reads = reads_of(source, monkeypatch)
    rows = [(0, SMALL_BYTES + 1), *((at * SMALL_BYTES, SMALL_BYTES) for at in range(40))]

    found = list(read_together(source, contents_at(source, rows)))

    assert [view is None for view in found] == [True] + [False] * 40
    assert max(length for _, length in reads) <= 1 << 20
