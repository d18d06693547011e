"""XML laid out as thin_dump prints it, many lines at once.

Every byte of every line is looked at: either it is part of a constant text that stands
there, or a digit of a number. Where a line is anything else, these readers give up, and
the library's parser goes on.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.builder.xml_piece import MAPPINGS, Tag, XmlMapping, XmlPiece
from thinmeta.builder.xml_words import WIDEST, WORD, Load, Words, difference, numbers
from thinmeta.walk.ragged import Places, starts_of
from thinmeta.walk.runs import Runs

MARGIN = 64
"""Bytes that must be before and after the text, so that words may stick out."""

Text = npt.NDArray[np.uint8]

_NEWLINE, _QUOTE = ord("\n"), ord('"')

_LEAST_ALIKE = 512
"""Lines of one width for which it pays to treat them apart."""

_MIXED_BYTES = 1 << 16
"""Text that is read without a look whether its lines are of one width."""

# A line with a tag that is no mapping; no entity and nothing else to be resolved in it.
_TAG = re.compile(rb" *<(/?)([a-z_]+)((?: [a-z_]+=\"[ !#-%'-;=?-~]*\")*)(/?)>")
_ATTRIBUTE = re.compile(rb' ([a-z_]+)="([^"]*)"')


class _LineShape(NamedTuple):
    """The lines of one kind of mapping.

    Attributes:
        columns: of `Runs` that stand there, in order.
        texts: what stands before, between and after the numbers.
        pattern: of such a line.
    """

    columns: tuple[str, ...]
    texts: tuple[bytes, ...]
    pattern: re.Pattern[bytes]

    @property
    def head(self) -> np.uint64:
        """The word that a line begins with."""
        return np.uint64(int.from_bytes(self.texts[0][:WORD], "little"))

    @property
    def nr_quotes(self) -> int:
        return 2 * len(self.columns)


def _shape(tag: str, mapping: XmlMapping) -> _LineShape:
    names = {column: name for column, name in mapping._asdict().items() if name is not None}
    before = [f'" {name}="' for name in names.values()]
    texts = [f"    <{tag}{before[0][1:]}", *before[1:], '"/>\n']
    encoded = tuple(text.encode() for text in texts)
    return _LineShape(tuple(names), encoded, re.compile((rb"([0-9]{1,%d})" % WIDEST).join(encoded)))


_SHAPES = [_shape(tag, mapping) for tag, mapping in MAPPINGS.items()]


def read_lines(text: Text, begin: int, end: int, first_line: int) -> Iterator[XmlPiece | int]:
    """Return what stands in `text[begin:end]`, whole lines, in pieces.

    Args:
        text: with `MARGIN` bytes before `begin` and after `end`.
        begin: where the first line begins.
        end: after the newline of the last.
        first_line: the number of the first line.

    Returns:
        Pieces; and, instead of the last, the place where lines begin that are laid out
        in another way, if there are any.
    """
    while begin < end:
        alike = _read_alike(text, begin, end, first_line)
        if alike is not None:
            piece, width = alike
            nr_lines, stop = len(piece.lines), begin + width * len(piece.lines)
        else:
            stop = _line_end(text, min(begin + _MIXED_BYTES, end - 1), end)
            mixed = _read_mixed(text, begin, stop, first_line)
            if mixed is None:
                yield begin
                return
            piece, nr_lines = mixed
        yield piece
        begin = stop
        first_line += nr_lines


def _line_end(text: Text, place: int, end: int) -> int:
    """Return the end of the line that `place` is in; `end` ends one."""
    found = bytes(text[place:end]).find(b"\n")
    return place + found + 1


def _read_alike(text: Text, begin: int, end: int, first_line: int) -> tuple[XmlPiece, int] | None:
    """Return the mappings whose lines are like the first one, and how long a line is.

    The numbers of such lines have as many digits, so all stands at equal distances.
    """
    matches = ((shape, shape.pattern.match(text.data, begin, end)) for shape in _SHAPES)
    shape, line = next(((shape, found) for shape, found in matches if found), (None, None))
    if shape is None or line is None:
        return None
    width = line.end() - begin
    newlines = text[line.end() - 1 : end : width] == _NEWLINE
    nr_lines = _nr_leading(newlines)
    if nr_lines < _LEAST_ALIKE:
        return None

    def at(place: int) -> Load:
        return lambda offset: np.ndarray((nr_lines,), "<u8", text, place + offset, (width,))

    columns = {"length": np.ones(nr_lines, dtype=np.uint64)}
    spans = [line.span(number) for number in range(1, len(shape.columns) + 1)]
    wrong = difference(at(begin), shape.texts[0])
    for column, (first, stop), after in zip(shape.columns, spans, shape.texts[1:], strict=True):
        columns[column], not_digits = numbers(at(stop), np.array([stop - first]))
        wrong |= not_digits
        wrong |= difference(at(stop), after)
    nr_alike = _nr_leading(wrong == 0)
    if nr_alike < _LEAST_ALIKE:
        return None
    rows = Runs(*(columns[name] for name in Runs.__slots__))[:nr_alike]
    return XmlPiece(rows, np.arange(first_line, first_line + nr_alike), []), width


def _nr_leading(is_so: npt.NDArray[np.bool_]) -> int:
    return len(is_so) if is_so.all() else int(is_so.argmin())


def _read_mixed(text: Text, begin: int, end: int, first_line: int) -> tuple[XmlPiece, int] | None:
    """Return what stands in lines of any kind and width, and how many there are."""
    words: Words = np.ndarray((len(text) - WORD + 1,), "<u8", text, 0, (1,))
    ends = np.flatnonzero(text[begin:end] == _NEWLINE) + begin
    quotes = np.flatnonzero(text[begin:end] == _QUOTE) + begin
    starts = np.concatenate(([begin], ends[:-1] + 1))
    heads = words[starts]
    nr_quotes = np.zeros(len(starts), dtype=np.int64)
    for shape in _SHAPES:
        nr_quotes[heads == shape.head] = shape.nr_quotes
    places = np.flatnonzero(nr_quotes)
    tags: list[Tag] = []
    for number, place in enumerate(np.flatnonzero(nr_quotes == 0).tolist()):
        line = text[starts[place] : ends[place]].tobytes()
        found = _tags(line, place - number, first_line + place)
        if not found:
            return None
        tags += found
        nr_quotes[place] = line.count(b'"')
    first_quotes = starts_of(nr_quotes)
    if first_quotes[-1] != len(quotes):
        return None
    rows = Runs(*(np.ones(len(places), dtype=np.uint64) for _ in Runs.__slots__))
    for shape in _SHAPES:
        chosen = heads[places] == shape.head
        at = places[chosen]
        grid = quotes[first_quotes[at] + np.arange(shape.nr_quotes)[:, np.newaxis]]
        columns = _read_shape(words, shape, starts[at], ends[at], grid) if len(at) else []
        if columns is None:
            return None
        for name, column in zip(shape.columns, columns, strict=False):
            getattr(rows, name)[chosen] = column
    return XmlPiece(rows, places + first_line, tags), len(starts)


def _read_shape(
    words: Words, shape: _LineShape, starts: Places, ends: Places, grid: Places
) -> list[Words] | None:
    """Return the columns of lines of one shape; None if a line is not wholly of that shape.

    Args:
        words: at any place.
        shape: of the lines.
        starts: where each line begins.
        ends: where its newline stands.
        grid: where its quotes stand, shape `(nr_quotes, n)`.
    """

    def at(places: Places) -> Load:
        return lambda offset: words[places + offset]

    # Each text begins at the line or at a quote, and ends at a quote or the newline.
    begins, lasts = [starts, *grid[1::2]], [*grid[::2], ends]
    for text, begin, last in zip(shape.texts, begins, lasts, strict=True):
        if (last - begin != len(text) - 1).any() or difference(at(begin), text).any():
            return None
    columns = []
    for opening, closing in zip(grid[::2], grid[1::2], strict=True):
        widths = closing - opening - 1
        if widths.min() < 1 or widths.max() > WIDEST:
            return None
        column, wrong = numbers(at(closing), widths)
        if wrong.any():
            return None
        columns.append(column)
    return columns


def _tags(line: bytes, before: int, number: int) -> list[Tag]:
    """Return the tags that a line is; an element that ends at once is two of them."""
    match = _TAG.fullmatch(line)
    if match is None:
        return []
    is_end, name, rest, ends_at_once = match.groups()
    pairs = _ATTRIBUTE.findall(rest)
    attributes = {key.decode(): value.decode() for key, value in pairs}
    tag = name.decode()
    if tag in MAPPINGS or len(attributes) < len(pairs) or (is_end and (pairs or ends_at_once)):
        return []
    begin, end = Tag(before, number, tag, attributes), Tag(before, number, tag, None)
    if is_end:
        return [end]
    return [begin, end] if ends_at_once else [begin]
