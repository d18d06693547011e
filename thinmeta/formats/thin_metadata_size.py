"""Sizes as thin_metadata_size takes and prints them, and what metadata can hold, for people."""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from thinmeta.analyse.metadata_size import Capacity
from thinmeta.formats.json_text import json_line
from thinmeta.formats.sizes import size_text
from thinmeta.units import METADATA_BLOCK_BYTES, SECTOR_BYTES

_PREFIXES = ("k", "m", "g", "t", "p", "e")
_LONG = ("kilo", "mega", "giga", "tera", "peta", "exa")
_LONG_1024 = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi")
_PRINTED_1_1 = {"tebibytes": "terabytes"}
_PRINTED_0_9 = {"exbibytes": "ebibytes"}
_LEAST_PLAIN = 0.01


class SizeUnit(NamedTuple):
    """A unit of sizes.

    Attributes:
        letter: its short name.
        name: its long one, plural.
        size: bytes.
    """

    letter: str
    name: str
    size: int


def _units() -> Iterator[tuple[str, SizeUnit]]:
    """Return each spelling of a unit, and the unit."""
    unit = SizeUnit("b", "bytes", 1)
    yield from (("b", unit), ("byte", unit))
    unit = SizeUnit("s", "sectors", SECTOR_BYTES)
    yield from (("s", unit), ("sector", unit))
    for power, (letter, long, long_1024) in enumerate(
        zip(_PREFIXES, _LONG, _LONG_1024, strict=True), 1
    ):
        unit = SizeUnit(letter, f"{long_1024}bytes", 1024**power)
        yield from ((letter, unit), (f"{letter.upper()}iB", unit), (f"{long_1024}byte", unit))
        unit = SizeUnit(letter.upper(), f"{long}bytes", 1000**power)
        prefix = "k" if letter == "k" else letter.upper()
        yield from ((letter.upper(), unit), (f"{prefix}B", unit), (f"{long}byte", unit))


UNITS = dict(_units())
"""By how they are spelled: `k` is 1024 bytes, `K` 1000."""

SECTORS = UNITS["s"]


class TypedSize(NamedTuple):
    """A size as it was typed."""

    number: int
    unit: SizeUnit

    @property
    def size(self) -> int:
        """Return it in bytes."""
        return self.number * self.unit.size

    @classmethod
    def parse(cls, text: str) -> "TypedSize":
        """Read a number with or without a unit; without it is sectors.

        >>> TypedSize.parse("64k").size, TypedSize.parse("64K").size, TypedSize.parse("128").size
        (65536, 64000, 65536)

        Raises:
            ValueError: it is none.
        """
        match = re.fullmatch(r"(?a)(\d+)([A-Za-z]*)", text)
        unit = UNITS.get(match[2] or "s") if match else None
        if match is None or unit is None:
            raise ValueError(
                f"{text!r} is no size: a number of sectors, or one with a unit: b, s, "
                "k, m, g, t, p, e (powers of 1024), K, M, G, T, P, E (powers of 1000)"
            )
        found = cls(int(match[1]), unit)
        if found.size >= SECTOR_BYTES << 64:
            raise ValueError(f"{text!r} is more than any device has")
        return found


def unit_of(text: str) -> SizeUnit:
    """Return the unit of that name.

    Raises:
        ValueError: there is none.
    """
    if text not in UNITS:
        raise ValueError(f"{text!r} is no unit: b, s, k, m, g, t, p, e, K, M, G, T, P, E")
    return UNITS[text]


def number_1_1(size: int, unit: SizeUnit) -> str:
    """Return bytes in a unit as 1.1.0 prints it.

    >>> number_1_1(549494784, UNITS["m"]), number_1_1(549494784, UNITS["g"])
    ('524.04', '0.5117568969726563')
    """
    if size % unit.size == 0:
        return str(size // unit.size)
    value = size / unit.size
    if value >= 1:
        return f"{value:.2f}"
    # As few digits as tell the number from its neighbours; a half is rounded up, not to even.
    least = Decimal(repr(value)).as_tuple().exponent
    return format(Decimal(value).quantize(Decimal((0, (1,), int(least))), ROUND_HALF_UP), "f")


def number_0_9(size: int, unit: SizeUnit) -> str:
    """Return bytes in a unit as 0.9.0 prints it.

    >>> number_0_9(549490688, UNITS["g"]), number_0_9(549490688, UNITS["t"])
    ('0.51', '5.00e-04')
    """
    if size % unit.size == 0:
        return str(size // unit.size)
    value = size / unit.size
    return f"{value:.2f}" if value >= _LEAST_PLAIN else f"{value:.2e}"


def size_1_1(nr_blocks: int, unit: SizeUnit, numeric: str | None) -> bytes:
    """Return what thin_metadata_size 1.1.0 prints.

    Args:
        nr_blocks: blocks of metadata.
        unit: to print them in.
        numeric: None prints the number and the unit's name; "plain" the number alone,
            "short" and "long" the unit's name right behind it.
    """
    number = number_1_1(nr_blocks * METADATA_BLOCK_BYTES, unit)
    name = _PRINTED_1_1.get(unit.name, unit.name)
    return f"{number}{_behind(unit, name, numeric)}\n".encode()


def size_0_9(
    nr_blocks: int, unit: SizeUnit, numeric: str | None, typed: tuple[TypedSize, TypedSize, str]
) -> bytes:
    """Return what thin_metadata_size 0.9.0 prints.

    Args:
        nr_blocks: blocks of metadata.
        unit: to print them in.
        numeric: as of `size_1_1`.
        typed: the size of a block, that of the pool, and the number of devices.
    """
    number = number_0_9(nr_blocks * METADATA_BLOCK_BYTES, unit)
    name = _PRINTED_0_9.get(unit.name, unit.name)
    if numeric is not None:
        return f"{number}{_behind(unit, name, numeric)}\n".encode()
    block, pool = (f"{each.number}{each.unit.name}" for each in typed[:2])
    return (
        f"thin_metadata_size - {number} {name} estimated metadata area size for "
        f'"--block-size={block} --pool-size={pool} --max-thins={typed[2]}"\n'
    ).encode()


def size_json(nr_blocks: int) -> bytes:
    """Return the same as JSON."""
    return json_line(
        type="metadata_size",
        nr_blocks=nr_blocks,
        size_bytes=nr_blocks * METADATA_BLOCK_BYTES,
    )


def capacity_text(found: Capacity, block_bytes: int | None) -> bytes:
    """Return what metadata can hold, in words.

    Args:
        found: what it can hold.
        block_bytes: the size of a data block, if it is known.
    """
    most = found.nr_mappings_at_most
    rows = [
        ("metadata", size_text(found.nr_blocks * METADATA_BLOCK_BYTES)),
        ("mappings, leaves half full", str(found.nr_mappings)),
        ("mappings at most", str(most)),
    ]
    if block_bytes is not None:
        rows += [
            ("data, leaves half full", size_text(found.nr_mappings * block_bytes)),
            ("data at most", size_text(most * block_bytes)),
        ]
    return "".join(f"{what:<27}{much}\n" for what, much in rows).encode()


def capacity_json(found: Capacity, block_bytes: int | None) -> bytes:
    """Return the same as JSON."""
    return json_line(
        type="metadata_capacity",
        **found._asdict(),
        data_bytes=None if block_bytes is None else found.nr_mappings * block_bytes,
        data_bytes_at_most=(
            None if block_bytes is None else found.nr_mappings_at_most * block_bytes
        ),
    )


def _behind(unit: SizeUnit, name: str, numeric: str | None) -> str:
    """Return what stands behind the number."""
    return {None: f" {name}", "plain": "", "short": unit.letter, "long": name}[numeric]
