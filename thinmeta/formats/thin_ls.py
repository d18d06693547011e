"""The table of devices that thin_ls prints, byte for byte: version 1.1 and version 0.9.

The same fields make JSON and CSV, with numbers instead of sizes for people. Names are
text, which is written from the left.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from thinmeta.analyse.usage import ROWS_AT_ONCE, Usages
from thinmeta.formats.csv_table import csv_lines
from thinmeta.formats.json_text import json_text
from thinmeta.formats.ls_fields import Field, Values
from thinmeta.formats.printable import printable
from thinmeta.units import SECTOR_BYTES

_UNITS = {
    "1.1": ("b", "KiB", "MiB", "GiB", "Tib", "PiB", "EiB"),
    "0.9": ("b", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"),
}
_LARGEST = 8192  # what a unit goes up to before the next is taken
_ROUNDED_BY = {"≥": 0, "≤": 1023}


def text_table(
    fields: Sequence[Field], rows: Usages, block_bytes: int, *, headers: bool, compat: str
) -> Iterator[bytes]:
    """Return thin_ls's lines, many at once: cells as wide as their column, each before a space.

    The last column, if it is of names, has no spaces behind.
    """

    def cells(field: Field, some: Usages) -> Sequence[int | str]:
        return _cells(field, some, block_bytes, compat)

    parts = list(_slices(rows))
    widths = [
        max(
            len(field.name) if headers else 0,
            max((_width(cells(field, some)) for some in parts), default=0),
        )
        for field in fields
    ]
    left = ["-" if field.key == "name" else "" for field in fields]
    line = "".join(f"%{minus}{width}s " for minus, width in zip(left, widths, strict=True)) + "\n"
    ends_with_names = fields[-1].key == "name"

    def text(columns: Sequence[Sequence[int | str]]) -> bytes:
        whole = _formatted(line, columns)
        if ends_with_names:
            whole = "\n".join(map(str.rstrip, whole.split("\n")))
        return whole.encode()

    if headers:
        yield text([[field.name] for field in fields])
    for some in parts:
        yield text([cells(field, some) for field in fields])


def _slices(rows: Usages) -> Iterator[Usages]:
    """Return the rows in pieces, whose text is in memory at once."""
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[begin : begin + ROWS_AT_ONCE]


def _formatted(line: str, columns: Sequence[Sequence[Any]]) -> str:
    """Return a line for each row of `columns`, all in one go."""
    return line * len(columns[0]) % tuple(chain.from_iterable(zip(*columns, strict=True)))


def _width(cells: Sequence[int | str]) -> int:
    if isinstance(cells[0], int):  # so all are
        return max(len(str(max(cells))), len(str(min(cells))))
    return max(map(len, map(str, cells)))


def _cells(field: Field, rows: Usages, block_bytes: int, compat: str) -> Sequence[int | str]:
    """Return what a text shows of each row: numbers, or texts."""
    values = field.values(rows, block_bytes)
    if field.key == "name":
        return [printable(str(name or "")) for name in values]
    if field.key.startswith("highest_"):
        # thin_ls shows the first block of a device that maps none.
        size = {"highest_block": 1, "highest_sector": block_bytes // SECTOR_BYTES}
        first = size.get(field.key, block_bytes) - 1
        values = [first if number is None else number for number in values]
    signs = _signs(field, rows)
    if not field.is_size and not any(signs):
        return values
    pairs = list(zip(signs, values, strict=True))
    texts = {
        pair: pair[0] + (size_text(pair[1], compat, pair[0]) if field.is_size else str(pair[1]))
        for pair in set(pairs)
    }
    return [texts[pair] for pair in pairs]


# What a number is where something is lost: the first that fits the beginning of the field's key.
_BOUNDS_OF_A_DEVICE = {"mapped_": "≥", "highest_": "≥", "new_": "≥", "nr_runs": "~"}
_BOUNDS_OF_A_POOL = {"exclusive_": "≤", "shared_": "≥"}


def _sign(field: Field, *, is_complete: bool, is_exact: bool) -> str:
    bounds = {} if is_complete else _BOUNDS_OF_A_DEVICE
    if not is_exact:
        bounds = bounds | _BOUNDS_OF_A_POOL
    return next((sign for key, sign in bounds.items() if field.key.startswith(key)), "")


def _signs(field: Field, rows: Usages) -> list[str]:
    """Return the sign of each row's bound; empty where the number is exact."""
    if rows.is_complete.all() and rows.is_exact.all():
        return [""] * len(rows)
    return [
        _sign(field, is_complete=is_complete, is_exact=is_exact)
        for is_complete, is_exact in zip(
            rows.is_complete.tolist(), rows.is_exact.tolist(), strict=True
        )
    ]


def size_text(size: int, compat: str = "1.1", bound: str = "") -> str:
    """Return a number of bytes as thin_ls writes it for people; a bound is rounded its way.

    >>> size_text(0), size_text(5 << 18), size_text(12480 << 10), size_text(9 << 40)
    ('0b', '1280KiB', '12MiB', '9Tib')
    >>> size_text(12900 << 10, bound="≥"), size_text(12300 << 10, bound="≤")
    ('12MiB', '13MiB')
    """
    if size == 0 and compat == "0.9":
        return "0"
    last = len(_UNITS[compat]) - 1
    unit = min(max(0, (size.bit_length() - 1) // 10 - 1), last)
    number = -(-size >> 10 * unit) if bound == "≤" else size >> 10 * unit
    if number > _LARGEST and unit < last:
        number, unit = (number + _ROUNDED_BY.get(bound, 512)) // 1024, unit + 1
    return f"{number}{_UNITS[compat][unit]}"


def json_table(fields: Sequence[Field], rows: Usages, block_bytes: int) -> Iterator[bytes]:
    """Return an object a device, many at once.

    Its keys are those of `fields`, and what bounds there are.
    """
    by_key = {field.key: field for field in fields}
    line = "".join(f", {json_text(key)}: %s" for key in by_key)
    for some in _slices(rows):
        columns = [_json_values(field.values(some, block_bytes)) for field in by_key.values()]
        columns.append(_json_bounds(list(by_key.values()), some))
        yield _formatted(f'{{"type": "device"{line}%s}}\n', columns).encode()


def _json_values(values: Values) -> list[Any]:
    return [value if isinstance(value, int) else json_text(value) for value in values]


def _json_bounds(fields: Sequence[Field], rows: Usages) -> list[str]:
    """Return the rest of each row's object."""
    if rows.is_exact.all():
        return [""] * len(rows)
    texts = {}
    for complete in (False, True):
        signs = {field.key: _sign(field, is_complete=complete, is_exact=False) for field in fields}
        bounds = {key: sign for key, sign in signs.items() if sign}
        texts[complete] = f", {json_text({'complete': complete, 'bounds': bounds})[1:-1]}"
    return [texts[complete] for complete in rows.is_complete.tolist()]


def csv_table(
    fields: Sequence[Field], rows: Usages, block_bytes: int, *, headers: bool
) -> Iterator[bytes]:
    """Return a line a device below one with the names of the fields."""
    cells = (
        zip(*(f.values(some, block_bytes) for f in fields), strict=True) for some in _slices(rows)
    )
    lines = csv_lines([field.name for field in fields], chain.from_iterable(cells))
    if not headers:
        next(lines)
    yield from lines
