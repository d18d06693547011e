"""Lines of text with numbers in them, made many at once.

The lines of a slice are the rows of a byte matrix: constant text as columns that are
written once, numbers by tables of 4-digit groups. Where all numbers of a column have
as many digits, as they mostly do, the matrix is the text. Where they have not, their
leading zeros are NUL bytes, which one selection drops.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.uint64]
Text = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

ROWS_AT_ONCE = 16384
"""Rows of a slice; a matrix of so many stays in the processor's cache."""

_MATRICES_KEPT = 16
_GROUP = 4
_GROUP_VALUES = 10**_GROUP
_MARK = "\0"  # no line has one


def _group_texts() -> npt.NDArray[np.uint32]:
    """Return the 4 digits of each number below 10000, as 4 bytes, in three versions.

    From 0 on with leading zeros, from 10000 on with NULs for them, from 20000 on
    likewise, but a 0 has no digit at all.
    """
    digits = np.arange(ord("0"), ord("9") + 1, dtype=np.uint8)
    texts = np.empty((3, 10, 10, 10, 10, _GROUP), dtype=np.uint8)
    texts[..., 0] = digits[:, np.newaxis, np.newaxis, np.newaxis]
    texts[..., 1] = digits[:, np.newaxis, np.newaxis]
    texts[..., 2] = digits[:, np.newaxis]
    texts[..., 3] = digits
    texts[1:, 0, :, :, :, 0] = 0
    texts[1:, 0, 0, :, :, 1] = 0
    texts[1:, 0, 0, 0, :, 2] = 0
    texts[2, 0, 0, 0, 0, 3] = 0
    return texts.view("<u4").ravel()


_TEXTS = _group_texts()
_BLANK, _NOTHING = _GROUP_VALUES, 2 * _GROUP_VALUES


class _Template(NamedTuple):
    """A line: for each number its name and the text before it, and the text after all."""

    before: dict[str, bytes]
    after: bytes

    @classmethod
    def parsed(cls, line: str) -> "_Template":
        *texts_and_names, after = line.format_map(_Marked()).encode().split(_MARK.encode())
        names = map(bytes.decode, texts_and_names[1::2])
        return cls(dict(zip(names, texts_and_names[::2], strict=True)), after)


class _Marked(dict[str, str]):
    """What puts each name into a line by itself, between marks."""

    def __missing__(self, name: str) -> str:
        return f"{_MARK}{name}{_MARK}"


class _Number(NamedTuple):
    """How the numbers of one column are written: how wide, and all alike or not."""

    name: str
    width: int
    same_width: bool


class Lines:
    r"""Writes lines of one or more shapes, given as format strings.

    >>> lines = Lines("{begin}..{end}\n")
    >>> columns = {"begin": np.array([7, 10], np.uint64), "end": np.array([9, 70000], np.uint64)}
    >>> b"".join(text.tobytes() for text in lines.render(columns, 2))
    b'7..9\n10..70000\n'
    """

    def __init__(self, *shapes: str) -> None:
        """Take the shapes; the names in each must be some of the first one's, in its order."""
        self._templates = [_Template.parsed(shape) for shape in shapes]
        self._matrices: dict[bytes, Text] = {}

    def render(
        self,
        columns: Mapping[str, Column],
        nr_rows: int,
        shapes: npt.NDArray[np.uint8] | None = None,
    ) -> Iterator[Text]:
        """Return the text of all rows, in slices, each valid until the next is asked for.

        Args:
            columns: the numbers, by their name in the shapes, shape `(n,)` each.
            nr_rows: `n`.
            shapes: which shape each row has, shape `(n,)`; None: all have the first.

        Returns:
            Arrays of bytes.
        """
        for begin in range(0, nr_rows, ROWS_AT_ONCE):
            part = slice(begin, min(begin + ROWS_AT_ONCE, nr_rows))
            cut = {name: column[part] for name, column in columns.items()}
            if shapes is None:
                yield self._slice(cut, part.stop - begin, self._templates[0])
                continue
            first = int(shapes[begin])
            if (shapes[part] == first).all():
                yield self._slice(cut, part.stop - begin, self._templates[first])
            else:
                yield self._mixed_slice(cut, shapes[part])

    def _slice(self, columns: Mapping[str, Column], nr_rows: int, template: _Template) -> Text:
        numbers = [_number(name, columns[name]) for name in template.before]
        row, offsets = _row(template, numbers)
        matrix = self._matrix(row)[:nr_rows]
        for number, offset in zip(numbers, offsets, strict=True):
            _write(matrix, offset, number, columns[number.name], None)
        text = matrix.ravel()
        return text if all(number.same_width for number in numbers) else _without_nuls(text)

    def _mixed_slice(self, columns: Mapping[str, Column], shapes: npt.NDArray[np.uint8]) -> Text:
        numbers = [_number(name, columns[name]) for name in self._templates[0].before]
        rows, offsets = _aligned_rows(self._templates, numbers)
        matrix = rows[shapes]
        for number, offset in zip(numbers, offsets, strict=True):
            has = np.array([number.name in template.before for template in self._templates])
            _write(matrix, offset, number, columns[number.name], None if has.all() else has[shapes])
        return _without_nuls(matrix.ravel())

    def _matrix(self, row: Text) -> Text:
        """Return a matrix whose rows have the constant text of `row` already."""
        key = row.tobytes()
        if key not in self._matrices:
            if len(self._matrices) >= _MATRICES_KEPT:
                self._matrices.clear()
            self._matrices[key] = np.tile(row, (ROWS_AT_ONCE, 1))
        return self._matrices[key]


def _without_nuls(text: Text) -> Text:
    shown: Text = text[text != 0]
    return shown


def _number(name: str, column: Column) -> _Number:
    shortest, longest = len(str(int(column.min()))), len(str(int(column.max())))
    return _Number(name, longest, shortest == longest)


def _row(template: _Template, numbers: list[_Number]) -> tuple[Text, list[int]]:
    """Return a row with room for the numbers, and where they stand."""
    text = bytearray()
    offsets = []
    for number in numbers:
        text += template.before[number.name]
        offsets.append(len(text))
        text += bytes(number.width)
    text += template.after
    return np.frombuffer(bytes(text), dtype=np.uint8), offsets


def _aligned_rows(templates: list[_Template], numbers: list[_Number]) -> tuple[Text, list[int]]:
    """Return a row for each template, with the same numbers at the same places in all."""
    texts = [bytearray() for _ in templates]
    offsets = []

    def add(parts: list[bytes]) -> None:
        width = max(map(len, parts))
        for place, part in enumerate(parts):
            texts[place] += part.rjust(width, b"\0")

    for number in numbers:
        add([template.before.get(number.name, b"") for template in templates])
        offsets.append(len(texts[0]))
        add([bytes(number.width)] * len(templates))
    add([template.after for template in templates])
    return np.array([np.frombuffer(bytes(text), dtype=np.uint8) for text in texts]), offsets


def _write(matrix: Text, offset: int, number: _Number, values: Column, shown: Mask | None) -> None:
    """Write `values` as decimal text into the columns of `matrix` from `offset` on.

    A group of 4 digits is one write of 4 bytes. The first group may have fewer; the
    bytes that it writes too many are those of the next group, which comes after it.
    """
    rest = values.astype(np.uint32) if number.width < 10 else values
    groups = []
    for _ in range((number.width - 1) // _GROUP):
        above = rest // rest.dtype.type(_GROUP_VALUES)
        groups.append(rest - above * rest.dtype.type(_GROUP_VALUES))
        rest = above
    groups.append(rest)
    leading: Mask | None = None
    at = offset
    for place in range(len(groups) - 1, -1, -1):
        indices = groups[place].astype(np.intp)
        if not number.same_width:
            blank = _NOTHING if place else _BLANK
            if leading is None:
                indices += blank
                leading = groups[place] == 0
            else:
                indices += leading * blank
                leading &= groups[place] == 0
        texts = _TEXTS[indices]
        size = _GROUP if at > offset else number.width - place * _GROUP
        if size < _GROUP:
            texts >>= np.uint32(8 * (_GROUP - size))
        if shown is not None:
            texts *= shown
        _put(matrix, at, _GROUP if place else size, texts)
        at += size


def _put(matrix: Text, offset: int, size: int, texts: npt.NDArray[np.uint32]) -> None:
    """Write the first `size` bytes of each of `texts` into its row."""
    if size == 3:
        _put(matrix, offset, 2, texts)
        _put(matrix, offset + 2, 1, texts >> np.uint32(16))
        return
    rows, width = matrix.shape
    column: npt.NDArray[np.uint32] = np.ndarray((rows,), f"<u{size}", matrix, offset, (width,))
    column[...] = texts
