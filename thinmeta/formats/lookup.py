"""How `lookup` writes its answers: as text for people, as JSON lines, as CSV."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from thinmeta.analyse.lookup import Hole, Lookup, Mapping, PathNode
from thinmeta.analyse.sharers import Answer, Sharer, Sharers
from thinmeta.formats.csv_table import csv_lines
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.units import LAST_KEY, SECTOR_BYTES

CSV_COLUMNS = (
    "device",
    "origin_block",
    "offset",
    "data_block",
    "time",
    "data_sector",
    "data_byte",
    "byte",
    "breaks_sharing",
    "sharers",
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a mapped position is on the data device.

    Attributes:
        data_sector: the data block's first sector of 512 bytes.
        data_byte: the data block's first byte.
        byte: the byte asked for.
    """

    data_sector: int
    data_byte: int
    byte: int

    @classmethod
    def of(cls, chosen: ChosenDevice, mapping: Mapping, offset: int) -> "_Place | None":
        """Return the place; None where the superblock is lost, and with it the size of blocks."""
        sectors = chosen.pool.superblock.data_block_sectors
        if not sectors:
            return None
        sector = mapping.data_block * sectors
        return cls(sector, sector * SECTOR_BYTES, sector * SECTOR_BYTES + offset)


def lookup_text(
    chosen: ChosenDevice, answers: Iterable[Answer], *, with_path: bool
) -> Iterator[bytes]:
    """Return a paragraph for each block."""
    for answer in answers:
        lines = list(_answer_lines(chosen, answer))
        if with_path:
            lines += [f"  {_node_text(node)}" for node in answer.lookup.path]
        yield b"".join(map(text_line, lines))


def lookup_json(
    chosen: ChosenDevice, answers: Iterable[Answer], *, with_path: bool
) -> Iterator[bytes]:
    """Return an object for each block."""
    for answer in answers:
        lookup = answer.lookup
        path = {"path": [_node_object(node) for node in lookup.path]} if with_path else {}
        yield json_line(
            type="lookup",
            device=chosen.name,
            device_id=chosen.device.device_id if chosen.device else None,
            origin_block=lookup.position.origin_block,
            offset=lookup.position.offset,
            mapped=None if lookup.lost else lookup.mapping is not None,
            **_mapping_fields(chosen, lookup),
            breaks_sharing=lookup.breaks_sharing,
            sharers=[_sharer_object(sharer) for sharer in answer.sharers.found],
            hole=_hole_object(lookup.hole) if lookup.hole else None,
            lost=str(lookup.lost) if lookup.lost else None,
            **path,
        )


def lookup_csv(chosen: ChosenDevice, answers: Iterable[Answer]) -> Iterator[bytes]:
    """Return a header and a line for each block; what is not mapped has no data block."""
    rows = (
        (
            chosen.name,
            answer.lookup.position.origin_block,
            answer.lookup.position.offset,
            *_mapping_fields(chosen, answer.lookup).values(),
            _truth(answer.lookup.breaks_sharing),
            " ".join(_sharer_text(sharer, answer.lookup) for sharer in answer.sharers.found),
        )
        for answer in answers
    )
    return csv_lines(CSV_COLUMNS, rows)


def _answer_lines(chosen: ChosenDevice, answer: Answer) -> Iterator[str]:
    lookup = answer.lookup
    position = lookup.position
    name = f"device {chosen.name}" if chosen.device is not None else chosen.name
    where = f"{name}, block {position.origin_block}"
    if position.offset:
        where += f" + {position.offset} bytes"
    if lookup.lost is not None:
        yield f"{where}: not known, the metadata is damaged"
        return
    mapping = lookup.mapping
    if mapping is None:
        yield f"{where}: not mapped"
        if lookup.hole is not None:
            yield from _hole_lines(lookup.hole)
        return
    place = _Place.of(chosen, mapping, position.offset)
    yield f"{where}: data block {mapping.data_block}"
    if place is not None:
        yield f"  on the data device: sector {place.data_sector}, byte {place.data_byte}"
    if place is not None and position.offset:
        yield f"  the byte asked for: {place.byte}"
    if chosen.device is None:
        yield f"  mapped at time {mapping.time}"
    elif lookup.breaks_sharing:
        yield (
            f"  mapped at time {mapping.time}, before the device's snap time "
            f"{chosen.device.snap_time}: a write goes to a copy"
        )
    else:
        yield f"  mapped at time {mapping.time}: a write goes to this block"
    yield from _sharers_lines(answer.sharers, lookup)


def _hole_lines(hole: Hole) -> Iterator[str]:
    if hole.before is None and hole.after is None:
        yield "  no block of the device is mapped"
        return
    begin = hole.before.origin_block + 1 if hole.before else 0
    end = hole.after.origin_block - 1 if hole.after else "the last"
    yield f"  blocks {begin} to {end} are not mapped"
    for side, mapping in (("before", hole.before), ("after", hole.after)):
        if mapping is not None:
            yield (
                f"  {side} them: block {mapping.origin_block}, data block {mapping.data_block}, "
                f"time {mapping.time}"
            )


def _sharers_lines(sharers: Sharers, lookup: Lookup) -> Iterator[str]:
    others = ", ".join(_sharer_text(sharer, lookup) for sharer in sharers.found)
    yield f"  also mapped by: {others or 'none'}"
    if sharers.lost:
        yield "  further devices may map it: the metadata is damaged"


def _sharer_text(sharer: Sharer, lookup: Lookup) -> str:
    """Return the device, and its block where that is another one."""
    if sharer.origin_block == lookup.position.origin_block:
        return str(sharer.device_id)
    return f"{sharer.device_id}:{sharer.origin_block}"


def _node_text(node: PathNode) -> str:
    kind = f"node of level {node.level}" if node.level else "leaf"
    last = "the last" if node.last_key == LAST_KEY else node.last_key
    return (
        f"{kind} at metadata block {node.block}: blocks {node.first_key} to {last}, "
        f"{node.nr_entries} entries"
    )


def _mapping_fields(chosen: ChosenDevice, lookup: Lookup) -> dict[str, int | None]:
    if lookup.mapping is None:
        return dict.fromkeys(("data_block", "time", "data_sector", "data_byte", "byte"))
    place = _Place.of(chosen, lookup.mapping, lookup.position.offset)
    return {
        "data_block": lookup.mapping.data_block,
        "time": lookup.mapping.time,
        "data_sector": None if place is None else place.data_sector,
        "data_byte": None if place is None else place.data_byte,
        "byte": None if place is None else place.byte,
    }


def _sharer_object(sharer: Sharer) -> dict[str, int]:
    return {
        "device_id": sharer.device_id,
        "origin_block": sharer.origin_block,
        "time": sharer.time,
    }


def _hole_object(hole: Hole) -> dict[str, Any]:
    return {
        "origin_begin": hole.before.origin_block + 1 if hole.before else 0,
        "origin_end": hole.after.origin_block if hole.after else None,
        "before": _end_object(hole.before),
        "after": _end_object(hole.after),
    }


def _end_object(mapping: Mapping | None) -> dict[str, int] | None:
    if mapping is None:
        return None
    return {
        "origin_block": mapping.origin_block,
        "data_block": mapping.data_block,
        "time": mapping.time,
    }


def _node_object(node: PathNode) -> dict[str, int]:
    return {
        "metadata_block": node.block,
        "level": node.level,
        "first_key": node.first_key,
        "last_key": node.last_key,
        "nr_entries": node.nr_entries,
    }


def _truth(value: bool | None) -> str | None:  # noqa: FBT001  # a value, not a switch
    return None if value is None else str(value).lower()
