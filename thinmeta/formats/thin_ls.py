"""The table of devices that thin_ls prints, byte for byte: version 1.1 and version 0.9.

The same fields make JSON and CSV, with numbers instead of sizes for people. Names are
text, which is written from the left.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from thinmeta.analyse.leaf_counts import Ask
from thinmeta.analyse.usage import DeviceUsage
from thinmeta.formats.csv_table import csv_lines
from thinmeta.formats.json_lines import json_line
from thinmeta.formats.printable import printable
from thinmeta.units import SECTOR_BYTES, DeviceId

_UNITS = {
    "1.1": ("b", "KiB", "MiB", "GiB", "Tib", "PiB", "EiB"),
    "0.9": ("b", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"),
}
_LARGEST = 8192  # what a unit goes up to before the next is taken
_ROUNDED_BY = {"≥": 0, "≤": 1023}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the table.

    Attributes:
        name: as thin_ls has it.
        key: in JSON.
        value: given the usage and the bytes of a block; None if there is none.
        ask: what must be counted for it; None if the device's details are enough.
        is_size: whether people get it with a unit.
        in_blocks: whether it can be told without the size of a block.
    """

    name: str
    key: str
    value: Callable[[DeviceUsage, int], int | str | None]
    ask: Ask | None = Ask.NOTHING
    is_size: bool = False
    in_blocks: bool = True


def _multiples(name: str, ask: Ask, count: Callable[[DeviceUsage], int]) -> Iterator[Field]:
    """Return the fields of a number of blocks: blocks, sectors, bytes, and for people."""
    key = name.lower()
    yield Field(f"{name}_BLOCKS", f"{key}_blocks", lambda row, _: count(row), ask)
    yield Field(
        f"{name}_SECTORS",
        f"{key}_sectors",
        lambda row, block_bytes: count(row) * block_bytes // SECTOR_BYTES,
        ask,
        in_blocks=False,
    )
    for field, is_size in ((f"{name}_BYTES", False), (name, True)):
        yield Field(
            field,
            f"{key}_bytes",
            lambda row, block_bytes: count(row) * block_bytes,
            ask,
            is_size,
            in_blocks=False,
        )


def _highest_byte(row: DeviceUsage, block_bytes: int) -> int | None:
    return None if row.highest is None else (row.highest + 1) * block_bytes - 1


def _highest_sector(row: DeviceUsage, block_bytes: int) -> int | None:
    byte = _highest_byte(row, block_bytes)
    return None if byte is None else byte // SECTOR_BYTES


FIELDS = {
    field.name: field
    for field in (
        Field("DEV", "device_id", lambda row, _: row.device.device_id, None),
        *_multiples("MAPPED", Ask.NOTHING, lambda row: row.mapped),
        *_multiples("EXCLUSIVE", Ask.EXCLUSIVE, lambda row: row.exclusive),
        *_multiples("SHARED", Ask.EXCLUSIVE, lambda row: row.shared),
        Field("HIGHEST_BLOCK", "highest_block", lambda row, _: row.highest),
        Field("HIGHEST_SECTOR", "highest_sector", _highest_sector, in_blocks=False),
        Field("HIGHEST_BYTE", "highest_byte", _highest_byte, in_blocks=False),
        Field("HIGHEST_MAPPED", "highest_byte", _highest_byte, is_size=True, in_blocks=False),
        Field("TRANSACTION", "transaction_id", lambda row, _: row.device.transaction_id, None),
        Field("CREATE_TIME", "creation_time", lambda row, _: row.device.creation_time, None),
        Field("SNAP_TIME", "snap_time", lambda row, _: row.device.snap_time, None),
        Field("NEW", "new_blocks", lambda row, _: row.new, Ask.TIMES),
        Field("RUNS", "nr_runs", lambda row, _: row.runs, Ask.RUNS),
        Field("NAME", "name", lambda _row, _: None, None),
    )
}
"""thin_ls's 20 fields, and NEW, RUNS and NAME."""

DEFAULT_FIELDS = "DEV,MAPPED,CREATE_TIME,SNAP_TIME"


def fields_of(text: str) -> list[Field]:
    """Return the fields that a comma separated list names.

    Raises:
        ValueError: one of them is none.
    """
    for name in text.split(","):
        if name not in FIELDS:
            raise ValueError(f"unknown field {name!r}; the fields are {', '.join(FIELDS)}")
    return [FIELDS[name] for name in text.split(",")]


def fields_with_names(
    fields: Sequence[Field] | None, names: Mapping[DeviceId, str] | None, *, always: bool
) -> list[Field]:
    """Return the fields to show, NAME with the names that there are.

    Args:
        fields: as they were asked for; None is the default.
        names: None if there is no source of names.
        always: show names also where they were not asked for.
    """
    shown = list(fields or fields_of(DEFAULT_FIELDS))
    if names is None:
        return shown
    name = replace(FIELDS["NAME"], value=lambda row, _: names.get(row.device.device_id))
    if (fields is None or always) and FIELDS["NAME"] not in shown:
        shown.append(name)
    return [name if field.key == name.key else field for field in shown]


def needed(fields: Sequence[Field], compat: str) -> Ask | None:
    """Return what must be counted for `fields`; None if no mapping need be read.

    thin_ls 0.9 takes a device's mapped blocks from its details, 1.1 counts them.
    """
    asks = [
        field.ask
        for field in fields
        if field.ask is not None and not (compat == "0.9" and field.key.startswith("mapped_"))
    ]
    if not asks:
        return None
    ask = Ask.NOTHING
    for each in asks:
        ask |= each
    return ask


def text_table(
    fields: Sequence[Field],
    rows: Sequence[DeviceUsage],
    block_bytes: int,
    *,
    headers: bool,
    compat: str,
) -> Iterator[bytes]:
    """Return thin_ls's lines: cells as wide as their column, each followed by a space.

    The last column, if it is of names, has no spaces behind.
    """
    lines = [[field.name for field in fields]] if headers else []
    lines += [[_cell(field, row, block_bytes, compat) for field in fields] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    justified = [str.ljust if field.key == "name" else str.rjust for field in fields]
    ends_with_names = fields[-1].key == "name"
    for line in lines:
        columns = zip(justified, line, widths, strict=True)
        text = "".join(f"{justify(cell, width)} " for justify, cell, width in columns)
        yield (text.rstrip() if ends_with_names else text).encode() + b"\n"


def _cell(field: Field, row: DeviceUsage, block_bytes: int, compat: str) -> str:
    number = field.value(row, block_bytes)
    if isinstance(number, str) or (number is None and field.key == "name"):
        return printable(number or "")
    if number is None:
        # thin_ls shows the first block of a device that maps none.
        number = {"highest_block": 1, "highest_sector": block_bytes // SECTOR_BYTES}.get(
            field.key, block_bytes
        )
        number -= 1
    bound = _bound(field, row)
    return bound + (size_text(number, compat, bound) if field.is_size else str(number))


# What a number is where something is lost: the first that fits the beginning of the field's key.
_BOUNDS_OF_A_DEVICE = {"mapped_": "≥", "highest_": "≥", "new_": "≥", "nr_runs": "~"}
_BOUNDS_OF_A_POOL = {"exclusive_": "≤", "shared_": "≥"}


def _bound(field: Field, row: DeviceUsage) -> str:
    bounds = {} if row.is_complete else _BOUNDS_OF_A_DEVICE
    if not row.is_exact:
        bounds = bounds | _BOUNDS_OF_A_POOL
    return next((sign for key, sign in bounds.items() if field.key.startswith(key)), "")


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


def json_table(
    fields: Sequence[Field], rows: Sequence[DeviceUsage], block_bytes: int
) -> Iterator[bytes]:
    """Return an object a device; its keys are those of `fields`, and what bounds there are."""
    for row in rows:
        bounds = {field.key: sign for field in fields if (sign := _bound(field, row))}
        yield json_line(
            type="device",
            **{field.key: field.value(row, block_bytes) for field in fields},
            **({} if row.is_exact else {"complete": row.is_complete, "bounds": bounds}),
        )


def csv_table(
    fields: Sequence[Field], rows: Sequence[DeviceUsage], block_bytes: int, *, headers: bool
) -> Iterator[bytes]:
    """Return a line a device below one with the names of the fields."""
    lines = csv_lines(
        [field.name for field in fields],
        ([field.value(row, block_bytes) for field in fields] for row in rows),
    )
    if not headers:
        next(lines)
    yield from lines
