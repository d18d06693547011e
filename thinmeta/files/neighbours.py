"""The contents of many files, of which those that lie side by side are read at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from thinmeta.files.file_bytes import FileBytes
from thinmeta.files.reading import ByteSource

SMALL_BYTES = 1 << 18
"""Files that are larger are read on their own, a part at a time."""

_AT_ONCE = 1 << 20
_GAP_BYTES = 1 << 14
"""What lies between two files and is less is read with them."""


class _Span(NamedTuple):
    """A part of the volume that is read at once, and which contents are in it."""

    begin: int
    end: int
    contents: list[tuple[int, FileBytes]]


def read_together(source: ByteSource, contents: Iterable[FileBytes]) -> Iterator[memoryview | None]:
    """Return the bytes of files, in the order of `contents`, of which some megabytes are in memory.

    Args:
        source: what they are on.
        contents: of the files.

    Returns:
        All the bytes of a file; None if it is large, not in one piece, or a part of it cannot be
        had: then its `pieces()` say more.
    """
    some: list[FileBytes] = []
    size = 0
    for content in contents:
        is_small = content.place is not None and content.size <= SMALL_BYTES
        if some and (not is_small or size + content.size > _AT_ONCE):
            yield from _read(source, some)
            some, size = [], 0
        if is_small:
            some.append(content)
            size += content.size
        else:
            yield None
    if some:
        yield from _read(source, some)


def _read(source: ByteSource, contents: Sequence[FileBytes]) -> list[memoryview | None]:
    spans = list(_spans(contents, source.size))
    buffer = memoryview(np.empty(sum(span.end - span.begin for span in spans), np.uint8).data)
    found: list[memoryview | None] = [None] * len(contents)
    for begin, end, some in spans:
        part, buffer = buffer[: end - begin], buffer[end - begin :]
        missing = list(source.fill(part, begin))
        for number, content in some:
            at = (content.place or 0) - begin
            found[number] = part[at : at + content.size]
        for hole in missing:
            for number, content in some:
                if hole.moved(content.place or 0, (content.place or 0) + content.size).length > 0:
                    found[number] = None
    return found


def _spans(contents: Sequence[FileBytes], end_of_source: int) -> Iterator[_Span]:
    """Return what to read: contents in the order of their places, neighbours together."""
    order = sorted((content.place or 0, number) for number, content in enumerate(contents))
    span: _Span | None = None
    for begin, number in order:
        content = contents[number]
        end = begin + content.size
        if end > end_of_source:
            continue
        if span is not None and begin <= span.end + _GAP_BYTES:
            span.contents.append((number, content))
            span = span._replace(end=max(span.end, end))
        else:
            if span is not None:
                yield span
            span = _Span(begin, end, [(number, content)])
    if span is not None:
        yield span
