"""A table as CSV: a header line, then a line a row."""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from thinmeta.formats.printable import printable

_ROWS_AT_ONCE = 4096


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    r"""Return the header, then the rows, many at once, in lines that end in a newline.

    >>> list(csv_lines(["id", "name"], [[1, "a,b"], [2, None]]))
    [b'id,name\n', b'1,"a,b"\n2,\n']
    """
    yield _text([header])
    left = iter(rows)
    while some := list(islice(left, _ROWS_AT_ONCE)):
        yield _text(some)


def _text(rows: Sequence[Sequence[Any]]) -> bytes:
    from csv import writer  # where text is printed nobody waits for it

    text = io.StringIO()
    writer(text, lineterminator="\n").writerows(
        [printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue().encode()
