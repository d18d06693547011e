"""A table as CSV: a header line, then a line a row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from thinmeta.formats.printable import printable


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    r"""Return the header and each row as a line that ends in a newline.

    >>> list(csv_lines(["id", "name"], [[1, "a,b"], [2, None]]))
    [b'id,name\n', b'1,"a,b"\n', b'2,\n']
    """
    for row in chain([header], rows):
        text = io.StringIO()
        cells = [printable(cell) if isinstance(cell, str) else cell for cell in row]
        csv.writer(text, lineterminator="\n").writerow(cells)
        yield text.getvalue().encode()
