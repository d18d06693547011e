"""What is seen of an overlay is what a slow model sees, byte by byte."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.files.overlay import Magics, Overlay, Patches, is_void, topmost
from thinmeta.files.reading import Missing
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

SIZE = 300
ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=12)


class Patchy:
    """Numbered bytes of which some ranges cannot be had."""

    def __init__(self, first: int, bad: list[tuple[int, int]]) -> None:
        self.name, self.size = "patchy", SIZE
        self.content = bytes((first + at) % 251 for at in range(SIZE))
        self.bad = {at for begin, length in bad for at in range(begin, begin + length)}

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        for at in range(len(view)):
            is_bad = begin + at in self.bad
            view[at] = 0 if is_bad else self.content[begin + at]
        yield from self.lost(begin, begin + len(view))

    def lost(self, begin: int, end: int) -> Iterator[Missing]:
        for at in sorted(self.bad):
            if begin <= at < end:
                cause = Unreadable(at, 1, 0, Source.LOST, "", 0, None, "it is lost")
                yield Missing(at, 1, cause)


def painted(parts: list[tuple[int, int]]) -> dict[int, int]:
    """Return for each place which part is seen there."""
    return {
        at: row for row, (begin, length) in enumerate(parts) for at in range(begin, begin + length)
    }


@examples(300)
@given(ranges)
def test_later_parts_are_above_earlier_ones(parts: list[tuple[int, int]]) -> None:
    begin, length = np.array(parts, dtype=np.int64).reshape(-1, 2).T

    found = zip(*(column.tolist() for column in topmost(begin, length)), strict=True)

    assert {at: row for start, size, row in found for at in range(start, start + size)} == painted(
        parts
    )


@examples(300)
@given(ranges, ranges, ranges, st.integers(0, 90), st.integers(1, 60))
def test_an_overlay_has_the_bytes_and_the_gaps_of_what_is_seen(
    parts: list[tuple[int, int]],
    bad: list[tuple[int, int]],
    bad_log: list[tuple[int, int]],
    begin: int,
    length: int,
) -> None:
    base, log = Patchy(0, bad), Patchy(100, bad_log)
    columns = np.array(parts, dtype=np.uint64).reshape(-1, 2).T
    start, size, row = topmost(columns[0], columns[1])
    shift = np.array([7 * at for at in range(len(parts))], dtype=np.uint64)[row]
    magic = start[:2] if len(start) else start
    fix_ups = [Magics(magic, b"\xff")]
    overlay = Overlay(base, log, Patches(start, size, start + shift).joined_up(), fix_ups)
    part = bytearray(length)

    missing = list(overlay.fill(memoryview(part), begin))

    expected, gaps = {}, set()
    for at in range(begin, begin + length):
        top = painted(parts).get(at)
        source, place = (base, at) if top is None else (log, at + 7 * top)
        expected[at] = 0 if place in source.bad else source.content[place]
        if place in source.bad:
            gaps.add(at)
        if at in magic.tolist():
            expected[at] = 0xFF
    assert list(part) == list(expected.values())
    assert {at for each in missing for at in range(each.begin, each.end)} == gaps
    assert [each.begin for each in missing] == sorted(each.begin for each in missing)
    lost = overlay.lost(begin, begin + length)
    assert {at for each in lost for at in range(each.begin, each.end)} == gaps


@examples(200)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=20),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=10),
)
def test_what_is_taken_back_then_or_later_is_void(
    changes: list[tuple[int, int]], taken: list[tuple[int, int]]
) -> None:
    taken = sorted(taken, key=lambda each: each[1])
    keys, when = np.array(changes, dtype=np.int64).reshape(-1, 2).T
    void_keys, void_when = np.array(taken, dtype=np.int64).reshape(-1, 2).T

    found = is_void(keys, when, void_keys, void_when).tolist()

    assert found == [any(key == k and w >= at for k, w in taken) for key, at in changes]
