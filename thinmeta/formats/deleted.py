"""Devices that a pool has no more, as text for people and as JSON lines.

`docs/deleted.md` documents both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from thinmeta.analyse.deleted import DeletedDevice, PastDevice
from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.analyse.removed_names import Resolved
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import command_text, printable
from thinmeta.formats.scan import state_text
from thinmeta.formats.sizes import size_text
from thinmeta.names.catalogue import NamedDevice

_COLUMNS = (
    *("DEV", "CREATED", "SIZE", "MAPPED", "SHARED", "FREE", "HELD", "TAKEN", "LOST", "STATE"),
    "NAME",
)
_SHARED = (Fate.KEPT, Fate.SHARED)
_LEFT = frozenset({9, 10})

_CAUTION = (
    "SHARED blocks belong to another device, too, which may have written them in place; FREE and\n"
    "HELD ones are likely as they were. But that no device has a block now does not say that it\n"
    "was not written in between, or discarded.\n"
)


def deleted_text(found: Sequence[DeletedDevice], metadata: Sequence[str]) -> Iterator[bytes]:
    """Return a table for people, and what to type next.

    Args:
        found: the devices, the best kept first.
        metadata: the words that name the metadata, for the commands to type next.
    """
    yield f"Deleted devices, best kept first: {len(found) or 'none'}\n".encode()
    rows = [_COLUMNS, *map(_row, found)] if found else []
    for line in aligned(rows, _LEFT):
        yield f"{line.rstrip()}\n".encode()
    for each in (each.past.fuller for each in found if each.past and each.past.fuller):
        yield (
            f"device {each.found.device_id}: state {_state_of(each)}, in which it had "
            f"{each.found.mapped_blocks} blocks, has {each.found.nr_mappings} of them\n"
        ).encode()
    best = next((each for each in found if each.past is not None), None)
    if best is None or best.past is None:
        return
    yield f"\n{_CAUTION}\n".encode()
    name = best.names[0].name if best.names else None
    spec = best.past.spec(name).text
    salvage = [] if best.past.found.is_whole else ["--salvage"]
    for what, command in (
        ("its contents", ("extract", spec, "-o", "FILE", *salvage)),
        ("what is lost of it", ("fate", spec, "--verbose", *salvage)),
        ("back in the pool", ("undelete", spec, "-o", "NEW_METADATA", *salvage)),
    ):
        yield f"{what:<20}{command_text(*command, *metadata)}\n".encode()


def _state_of(past: PastDevice) -> str:
    return state_text(past.state) or f"-:{past.state.details_root}"


def found_note(found: Resolved, fates: Fates) -> str:
    """Return what to say where a device was found in an older state by its name."""
    assert found.past is not None  # what it was found in
    counts = fates.counts
    nr_lost = counts[Fate.TAKEN] + counts[Fate.PAST_END] + counts[Fate.UNKNOWN]
    return (
        f"{found.known}; reading state {found.past.state.roots}, the newest that has all of it: "
        f"of its {found.past.found.mapped_blocks} blocks others have taken {nr_lost} since, "
        f"{sum(counts[each] for each in _SHARED)} are shared, {counts[Fate.FREE]} free, and "
        "nobody can tell whether these were written in between" + _unreadable_note(found)
    )


def _unreadable_note(found: Resolved) -> str:
    if not found.nr_unreadable:
        return ""
    return (
        f"; blocks of the metadata that cannot be read: {found.nr_unreadable}, so a newer state "
        "may be missing"
    )


def _row(deleted: DeletedDevice) -> list[str]:
    created = deleted.transaction_id
    name = deleted.names[0].name if deleted.names else ""
    size = size_of(deleted.names)
    past, fates = deleted.past, deleted.fates
    counts = ["-"] * 6
    if past is not None and fates is not None:
        numbers = [
            past.found.mapped_blocks or 0,
            sum(fates.counts[each] for each in _SHARED),
            fates.counts[Fate.FREE],
            fates.counts[Fate.HELD],
            fates.counts[Fate.TAKEN] + fates.counts[Fate.PAST_END],
            fates.counts[Fate.UNKNOWN] + deleted.nr_missing,
        ]
        counts = list(map(str, numbers))
    return [
        str(deleted.device_id),
        "-" if created is None else str(created),
        "-" if size is None else size_text(size),
        *counts,
        "-" if past is None else str(past.state.roots),
        printable(name),
    ]


def size_of(names: Sequence[NamedDevice]) -> int | None:
    """Return the size that the first who knows it says."""
    return next((each.size for each in names if each.size is not None), None)


def deleted_json(found: Sequence[DeletedDevice]) -> Iterator[bytes]:
    """Return an object a device, and the end."""
    for each in found:
        yield json_line(
            type="deleted",
            device_id=each.device_id,
            name=each.names[0].name if each.names else None,
            names=[named.name for named in each.names],
            kind=each.names[0].kind.value if each.names else None,
            text_version=next((named.version for named in each.names if named.version), None),
            size=size_of(each.names),
            transaction_id=each.transaction_id,
            **_past_fields(each),
        )
    yield json_line(type="end")


def _past_fields(deleted: DeletedDevice) -> dict[str, Any]:
    past, fates = deleted.past, deleted.fates
    found = None if past is None else past.found
    fuller = None if past is None else past.fuller
    counts = None if fates is None else fates.counts
    return {
        "creation_time": None if found is None else found.creation_time,
        "snap_time": None if found is None else found.snap_time,
        "state": None if past is None else str(past.state.roots),
        "state_whole": None if past is None else past.state.is_whole,
        "whole": None if found is None else found.is_whole,
        "mapped_blocks": None if found is None else found.mapped_blocks,
        "nr_mappings": None if found is None else found.nr_mappings,
        "fuller_state": None if fuller is None else _state_of(fuller),
        "fuller_mapped_blocks": None if fuller is None else fuller.found.mapped_blocks,
        "fuller_nr_mappings": None if fuller is None else fuller.found.nr_mappings,
        "complete": None if fates is None else fates.is_complete,
        **{
            f"{fate.name.lower()}_blocks": None if counts is None else counts[fate] for fate in Fate
        },
    }
