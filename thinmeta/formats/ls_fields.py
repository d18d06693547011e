"""The fields that `ls` can show of a device: their names, their numbers, what these need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from thinmeta.analyse.leaf_counts import Ask
from thinmeta.analyse.usage import Numbers, Usages
from thinmeta.units import LAST_KEY, SECTOR_BYTES, DeviceId

Values = list[Any]
"""Numbers, or names; None where there is none."""


class Field(NamedTuple):
    """A field of the table.

    Attributes:
        name: as thin_ls has it.
        key: in JSON.
        values: of each device, given the usages and the bytes of a block; None where there
            is none.
        ask: what must be counted for it; None if the device's details are enough.
        is_size: whether people get it with a unit.
        in_blocks: whether it can be told without the size of a block.
    """

    name: str
    key: str
    values: Callable[[Usages, int], Values]
    ask: Ask | None = Ask.NOTHING
    is_size: bool = False
    in_blocks: bool = True


def _multiples(name: str, ask: Ask, count: Callable[[Usages], Numbers]) -> Iterator[Field]:
    """Return the fields of a number of blocks: blocks, sectors, bytes, and for people."""
    key = name.lower()
    yield Field(f"{name}_BLOCKS", f"{key}_blocks", lambda rows, _: count(rows).tolist(), ask)
    yield Field(
        f"{name}_SECTORS",
        f"{key}_sectors",
        lambda rows, block_bytes: (_times(count(rows), block_bytes) // SECTOR_BYTES).tolist(),
        ask,
        in_blocks=False,
    )
    for field, is_size in ((f"{name}_BYTES", False), (name, True)):
        yield Field(
            field,
            f"{key}_bytes",
            lambda rows, block_bytes: _times(count(rows), block_bytes).tolist(),
            ask,
            is_size,
            in_blocks=False,
        )


def _times(numbers: Numbers, factor: int) -> Numbers:
    """Return the products, as Python's ints where they are larger than 64 bits."""
    if int(numbers.max(initial=0)) * factor > LAST_KEY:
        numbers = numbers.astype(object)
    products: Numbers = numbers * factor
    return products


def _highest(rows: Usages, last: Callable[[int], int]) -> Values:
    return [
        last(highest) if mapped else None
        for highest, mapped in zip(rows.highest.tolist(), rows.mapped.tolist(), strict=True)
    ]


def _highest_bytes(rows: Usages, block_bytes: int) -> Values:
    return _highest(rows, lambda block: (block + 1) * block_bytes - 1)


def _highest_sectors(rows: Usages, block_bytes: int) -> Values:
    return _highest(rows, lambda block: ((block + 1) * block_bytes - 1) // SECTOR_BYTES)


def _detail(name: str) -> Callable[[Usages, int], Values]:
    return lambda rows, _: rows.devices.details[name].tolist()


FIELDS = {
    field.name: field
    for field in (
        Field("DEV", "device_id", lambda rows, _: rows.devices.ids.tolist(), None),
        *_multiples("MAPPED", Ask.NOTHING, lambda rows: rows.mapped),
        *_multiples("EXCLUSIVE", Ask.EXCLUSIVE, lambda rows: rows.exclusive),
        *_multiples("SHARED", Ask.EXCLUSIVE, lambda rows: rows.shared),
        Field("HIGHEST_BLOCK", "highest_block", lambda rows, _: _highest(rows, int)),
        Field("HIGHEST_SECTOR", "highest_sector", _highest_sectors, in_blocks=False),
        Field("HIGHEST_BYTE", "highest_byte", _highest_bytes, in_blocks=False),
        Field("HIGHEST_MAPPED", "highest_byte", _highest_bytes, is_size=True, in_blocks=False),
        Field("TRANSACTION", "transaction_id", _detail("transaction_id"), None),
        Field("CREATE_TIME", "creation_time", _detail("creation_time"), None),
        Field("SNAP_TIME", "snap_time", _detail("snapshotted_time"), None),
        Field("NEW", "new_blocks", lambda rows, _: rows.new.tolist(), Ask.TIMES),
        Field("RUNS", "nr_runs", lambda rows, _: rows.runs.tolist(), Ask.RUNS),
        Field("NAME", "name", lambda rows, _: [None] * len(rows), None),
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

    def values(rows: Usages, _: int) -> Values:
        return [names.get(device_id) for device_id in rows.devices.ids.tolist()]

    name = FIELDS["NAME"]._replace(values=values)
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


def in_order(rows: Usages, field: Field, block_bytes: int, *, descending: bool) -> Usages:
    """Return the rows by a field's values; those without a value come last, equals as they were."""
    values = field.values(rows, block_bytes)
    places = [place for place, value in enumerate(values) if value is not None]
    places.sort(key=values.__getitem__, reverse=descending)
    without = [place for place, value in enumerate(values) if value is None]
    return rows[np.array(places + without, dtype=np.int64)]
