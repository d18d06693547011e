"""What is known of a metadata block, as text for people; `docs/block.md` documents it."""

from collections.abc import Iterator, Sequence
from typing import Any

from thinmeta.analyse.block.content import BlockContent
from thinmeta.analyse.block.look import BlockReport
from thinmeta.analyse.block.scanned_blocks import UNKNOWN_COUNT
from thinmeta.analyse.recover.block_classes import NODE_CLASSES, BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.scan import LABELS, state_text
from thinmeta.schemas.described import KEY_DOC

SHOWN = 20
"""Rows of each table that are shown unless all are asked for."""

_SHOWN_BYTES = 16
"""Bytes of a field, and of a line of a whole block."""

_PRINTABLE = range(0x20, 0x7F)

_OFFSETS = {"key_offset": "KEY AT", "value_offset": "VALUE AT"}


def block_text(report: BlockReport, *, show_all: bool, raw: bool) -> Iterator[bytes]:
    """Return the text for people.

    Args:
        report: what is known.
        show_all: list all entries, references and versions, not only the first.
        raw: show the bytes, too.
    """
    shown = None if show_all else SHOWN
    for label, value in _summary(report):
        yield f"{label:<18}{value}\n".encode()
    content = report.content
    if content.fields:
        yield b"\n"
        yield from _lines(_field_rows(content, raw=raw), frozenset({2, 3, 4, 5}))
    if content.nr_entries:
        yield b"\n"
        yield from table_lines(
            _entry_titles(content, raw=raw),
            _entry_rows(content, shown, raw=raw),
            content.nr_entries,
            frozenset(),
        )
        yield from _meanings(content)
    yield from _references(report, shown)
    yield from _states(report, shown)
    yield from _versions(report, shown)
    if raw and content.row is not None:
        yield b"\n"
        yield from _dumped(content)


def _summary(report: BlockReport) -> Iterator[tuple[str, str]]:
    content, ways = report.content, report.ways
    yield f"block {report.block}", what_it_is(report)
    if content.stored_checksum is not None and content.right_checksum is not None:
        is_right = content.stored_checksum == content.right_checksum
        says = "right" if is_right else f"wrong: {content.right_checksum:#010x} would be right"
        yield "checksum", f"{content.stored_checksum:#010x}, {says}"
    if content.faults:
        yield "faults", "; ".join(content.faults)
    count = "not known" if report.ref_count is None else str(report.ref_count)
    used = "" if ways.nr_in_use is None else f"; references from blocks in use: {ways.nr_in_use}"
    yield "reference count", count + used
    if ways.pointers_above:
        first, *others = (f"superblock {p.superblock}: {p.field}" for p in ways.pointers_above)
        yield "reachable from", first
        for each in others:
            yield "", each
    elif report.block:
        yield "reachable from", "no superblock"
    if ways.expected is not None and ways.expected.kind != report.block_class:
        yield "is taken for", LABELS[ways.expected.kind]


def what_it_is(report: BlockReport) -> str:
    """Return what a block is, in words."""
    label = LABELS[report.block_class]
    if report.height is None:
        return label
    return f"{label}, {f'a node {report.height} above the leaves' if report.height else 'a leaf'}"


def _field_rows(content: BlockContent, *, raw: bool) -> list[list[str]]:
    rows = [["OFFSET", "SIZE", "FIELD", "VALUE", *(["BYTES"] if raw else []), "MEANING"]]
    for field in content.fields:
        held = [_hex(content.bytes_at(field.offset, field.nr_bytes))] if raw else []
        name, value = field.name or "-", field_text(field.name, field.value)
        rows.append([str(field.offset), str(field.nr_bytes), name, value, *held, field.doc])
    return rows


def field_text(name: str, value: int | bytes | None) -> str:
    """Return the value of a field."""
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:#010x}" if name == "csum" else str(value)


def _hex(held: bytes) -> str:
    more = "..." if len(held) > _SHOWN_BYTES else ""
    return held[:_SHOWN_BYTES].hex() + more


def _entry_titles(content: BlockContent, *, raw: bool) -> list[str]:
    names = [_OFFSETS.get(name, name.upper()) for name in content.entries]
    return names + (["BYTES"] if raw else [])


def _entry_rows(content: BlockContent, shown: int | None, *, raw: bool) -> list[list[str]]:
    columns = [column[:shown].tolist() for column in content.entries.values()]
    rows = [list(map(str, row)) for row in zip(*columns, strict=True)]
    if raw:
        for row, held in zip(rows, _entry_bytes(content, shown), strict=True):
            row.append(held)
    return rows


def _entry_bytes(content: BlockContent, shown: int | None) -> Iterator[str]:
    """Return the bytes of each entry: those of its key, and those of its value."""
    entries, sizes = content.entries, content.entry_bytes
    for place in range(len(entries["entry"][:shown])):
        parts = (
            content.bytes_at(int(entries[name][place]), nr_bytes).hex()
            for name, nr_bytes in sizes.items()
        )
        yield " ".join(parts)


def _meanings(content: BlockContent) -> Iterator[bytes]:
    docs = {} if content.value_kind is None else content.value_kind.docs
    if "key" in content.entries:
        docs = {"key": KEY_DOC, **docs}
    for name, doc in docs.items():
        yield f"{name.upper()}: {doc}\n".encode()


def _references(report: BlockReport, shown: int | None) -> Iterator[bytes]:
    ways = report.ways
    rows = [
        [str(each.superblock), "superblock", each.field, "-", "-", "-"] for each in ways.pointers
    ]
    found = ways.referrers
    some = found if shown is None else found[: max(0, shown - len(rows))]
    for parent, kind, height, entry, key, holds, count in rows_of(
        some.parents,
        some.classes,
        some.heights,
        some.entries,
        some.keys,
        some.holds,
        some.ref_counts,
    ):
        rows.append(
            [
                str(parent),
                _node_text(BlockClass(kind), height),
                f"entry {entry}",
                str(key),
                "?" if count == UNKNOWN_COUNT else "yes" if count else "no",
                "yes" if holds else "no",
            ]
        )
    nr_rows = len(ways.pointers) + len(found)
    yield f"\nReferred to by: {nr_rows or 'none'}\n".encode()
    titles = ["BLOCK", "WHAT", "WHERE", "KEY", "IN USE", "FITS"]
    yield from table_lines(titles, rows[:shown], nr_rows, frozenset({1, 2, 4, 5}))


def _node_text(kind: BlockClass, height: int) -> str:
    above = f", {height} above the leaves" if height > 0 else ", leaf"
    return LABELS[kind] + (
        above if kind in NODE_CLASSES and kind is not BlockClass.INTERNAL else ""
    )


def _states(report: BlockReport, shown: int | None) -> Iterator[bytes]:
    found = report.ways.states
    yield f"\nStates that lead to it: {len(found) or 'none'}\n".encode()
    rows = [
        [_state_name(each.state), _some(each.device_ids.tolist(), shown), _live(each.state)]
        for each in found[:shown]
    ]
    yield from table_lines(["STATE", "DEVICES", ""], rows, len(found), frozenset({0, 1, 2}))


def _state_name(state: Candidate) -> str:
    return state_text(state) or f"-:{state.details_root}"


def _live(state: Candidate) -> str:
    return "live" if state.is_live else ""


def _some(numbers: Sequence[int], shown: int | None) -> str:
    more = "" if shown is None or len(numbers) <= shown else f" and {len(numbers) - shown} more"
    return ", ".join(map(str, numbers[:shown])) + more or "-"


def _versions(report: BlockReport, shown: int | None) -> Iterator[bytes]:
    found = report.versions
    yield f"\nOther versions of it: {len(found) or 'none'}\n".encode()
    some = found[:shown] if shown is not None else found
    rows = [
        [
            str(block),
            "-" if same < 0 else str(same),
            "-" if entries < 0 else str(entries),
            str(time),
            "?" if count == UNKNOWN_COUNT else "yes" if count else "no",
        ]
        for block, same, entries, time, count in rows_of(
            some.blocks, some.nr_same, some.nr_entries, some.times, some.ref_counts
        )
    ]
    yield from table_lines(
        ["BLOCK", "same entries", "entries", "time", "IN USE"], rows, len(found), frozenset({4})
    )


def rows_of(*columns: Any) -> Iterator[tuple[Any, ...]]:
    """Return the rows of columns."""
    return zip(*(column.tolist() for column in columns), strict=True)


def table_lines(
    titles: list[str], shown: list[list[str]], nr_rows: int, left: frozenset[int]
) -> Iterator[bytes]:
    """Return a table, and how many of its rows are not shown."""
    if shown:
        yield from _lines([titles, *shown], left)
    if nr_rows > len(shown):
        yield f"... and {nr_rows - len(shown)} more, which --all shows\n".encode()


def _lines(rows: list[list[str]], left: frozenset[int]) -> Iterator[bytes]:
    for line in aligned(rows, left):
        yield f"{line.rstrip()}\n".encode()


def _dumped(content: BlockContent) -> Iterator[bytes]:
    """Return all bytes of a block; of lines that are equal the first, and `*` for the others."""
    nr_bytes = 0 if content.row is None else len(content.row)
    before, is_repeated = None, False
    for offset in range(0, nr_bytes, _SHOWN_BYTES):
        held = content.bytes_at(offset, _SHOWN_BYTES)
        if held != before:
            text = "".join(chr(each) if each in _PRINTABLE else "." for each in held)
            yield f"{offset:8}  {held[:8].hex(' ')}  {held[8:].hex(' ')}  {text}\n".encode()
        elif not is_repeated:
            yield b"*\n"
        is_repeated = held == before
        before = held
