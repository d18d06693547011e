"""Devices and shared runs stand between the mappings where they belong, in every format."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_images import Image, device_over
from tests.properties import examples
from thinmeta.formats.json_lines import JsonLines
from thinmeta.formats.lines import ROWS_AT_ONCE
from thinmeta.formats.style import DumpHeader, Style, dump
from thinmeta.formats.styles import style_for
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.units import MetadataBlock
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    Mark,
    SharedBegin,
    SharedEnd,
    SharedRef,
    StreamPart,
)

STYLES = [
    (format_name, compat)
    for format_name in ("xml", "human_readable", "json")
    for compat in ("1.1", "0.9")
]
each_style = pytest.mark.parametrize(
    ("format_name", "compat"), STYLES, ids=["-".join(style) for style in STYLES]
)


def superblock() -> Superblock:
    with device_over(Image().superblock(time=3, trans_id=5)) as device:
        return read_superblock(device, MetadataBlock(0))


HEADER = DumpHeader(superblock(), 5, 128, 1024)


def device(device_id: int) -> DeviceBegin:
    return DeviceBegin(device_id, 10, 2, 3, 4)


def runs(begin: int, count: int) -> Runs:
    """Return runs of which every third has one block."""
    numbers = np.arange(begin, begin + count, dtype=np.uint64)
    return Runs(numbers * 100, numbers, np.where(numbers % 3, numbers + 1, 1), numbers % 5)


def lines_of(style: Style, part: Runs, device_id: int) -> bytes:
    """Return the lines of runs between which nothing stands."""
    columns = style.columns(part, np.full(len(part), device_id, dtype=np.uint64))
    texts = style.lines.render(columns, len(part), style.shapes(part))
    return b"".join([text.tobytes() for text in texts])


def one_after_the_other(parts: Sequence[StreamPart], style: Style, device_id: int = 0) -> bytes:
    """Return what `dump` should: mark by mark, and what is between two marks by itself."""
    text = [style.begin(HEADER)]
    for part in parts:
        bounds = pairwise([0, *part.before, len(part.runs)])
        for (begin, end), mark in zip(bounds, [*part.marks, None], strict=True):
            text.append(lines_of(style, part.runs[begin:end], device_id))
            if mark is not None:
                text.append(style.mark(mark))
            if isinstance(mark, DeviceBegin):
                device_id = mark.device_id
    return b"".join([*text, style.end()])


def dumped(parts: Sequence[StreamPart], style: Style) -> list[bytes]:
    # Each part is valid until the next is asked for, so it is copied at once.
    return [bytes(text) for text in dump(HEADER, parts, style)]


MARKS: list[Mark] = [
    device(1),
    device(2**24 - 1),
    DeviceEnd(),
    SharedBegin(26),
    SharedEnd(),
    SharedRef(26),
]


@st.composite
def streams(draw: st.DrawFn) -> list[StreamPart]:
    parts = []
    begin = 0
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.integers(0, 8))
        before = sorted(draw(st.lists(st.integers(0, count), max_size=6)))
        marks = [draw(st.sampled_from(MARKS)) for _ in before]
        parts.append(StreamPart(runs(begin, count), marks, before))
        begin += count
    return parts


@each_style
@examples(25)
@given(parts=streams())
def test_marks_stand_before_the_runs_that_they_precede(
    format_name: str, compat: str, parts: list[StreamPart]
) -> None:
    style, _ = style_for(format_name, compat)

    texts = dumped(parts, style)

    assert b"".join(texts) == one_after_the_other(parts, style)
    assert all(text.endswith(b"\n") for text in texts[:-1] if text)


BORDERS = [0, 1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE]


@each_style
@pytest.mark.parametrize(
    "before",
    [BORDERS, [0, 0], [ROWS_AT_ONCE] * 3, [2 * ROWS_AT_ONCE + 9] * 2, []],
    ids=["at each border", "first", "between slices", "last", "none"],
)
def test_marks_at_the_borders_of_slices(format_name: str, compat: str, before: list[int]) -> None:
    style, _ = style_for(format_name, compat)
    marks = [MARKS[place % len(MARKS)] for place in range(len(before))]
    parts = [
        StreamPart(Runs.none(), [device(7)], [0]),
        StreamPart(runs(0, 2 * ROWS_AT_ONCE + 9), marks, before),
    ]

    assert b"".join(dumped(parts, style)) == one_after_the_other(parts, style)


def test_a_device_that_began_in_an_earlier_part_owns_the_runs_of_the_next() -> None:
    parts = [
        StreamPart(runs(0, 1), [device(4)], [0]),
        StreamPart(runs(1, 2), [device(9)], [1]),
    ]

    text = b"".join(dumped(parts, JsonLines())).decode()

    owners = [line.split('"device_id": ')[1].split(",")[0] for line in text.splitlines()[1:-1]]
    assert owners == ["4", "4", "4", "9", "9"]


@pytest.mark.parametrize(
    ("format_name", "compat", "text"),
    [
        (
            "xml",
            "1.1",
            '<superblock uuid="" time="3" transaction="5" version="2"'
            ' data_block_size="128" nr_data_blocks="1024">\n</superblock>',
        ),
        (
            "xml",
            "0.9",
            '<superblock uuid="" time="3" transaction="5" flags="0" version="2"'
            ' data_block_size="128" nr_data_blocks="1024">\n</superblock>\n',
        ),
        ("human_readable", "1.1", 'begin superblock: "", 3, 5, 0, 2, 128, 1024\nend superblock\n'),
        ("human_readable", "0.9", 'begin superblock: "", 3, 5, 0, 2, 128, 1024\nend superblock\n'),
    ],
)
def test_a_pool_without_devices(format_name: str, compat: str, text: str) -> None:
    style, _ = style_for(format_name, compat)
    nothing = StreamPart(Runs.none())

    assert b"".join(dumped([nothing], style)).decode() == text
