"""What is known of a metadata block, as JSON lines; `docs/block.md` documents them."""

from collections.abc import Iterator
from typing import Any

from thinmeta.analyse.block.look import BlockReport
from thinmeta.analyse.block.other_versions import NOT_COMPARED
from thinmeta.analyse.block.scanned_blocks import UNKNOWN_COUNT
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.formats.block import rows_of
from thinmeta.formats.json_text import json_line
from thinmeta.formats.scan import state_text
from thinmeta.schemas.described import SchemaField

JSON_END = json_line(type="end")
"""Without it the output is not complete."""


def block_json(report: BlockReport, *, raw: bool) -> Iterator[bytes]:
    """Return an object for the block, and one for each reference, state and version."""
    content, ways = report.content, report.ways
    more = {"bytes": None if content.row is None else content.row.tobytes().hex()} if raw else {}
    yield json_line(
        type="block",
        block=report.block,
        **{"class": report.block_class.name.lower()},
        height=report.height,
        structure=None if content.structure is None else content.structure.struct_name,
        stored_checksum=content.stored_checksum,
        right_checksum=content.right_checksum,
        faults=content.faults,
        ref_count=report.ref_count,
        nr_references_in_use=ways.nr_in_use,
        reachable=ways.is_reachable or not report.block,
        expected=None if ways.expected is None else ways.expected.kind.name.lower(),
        fields=[_field_object(field) for field in content.fields],
        entries=[
            dict(zip(content.entries, row, strict=True))
            for row in rows_of(*content.entries.values())
        ],
        **more,
    )
    for pointer in ways.pointers:
        yield _reference(report, pointer.superblock, "superblock", field=pointer.field)
    found = ways.referrers
    for parent, kind, height, entry, key, holds, count in rows_of(
        *(found.parents, found.classes, found.heights, found.entries, found.keys, found.holds),
        found.ref_counts,
    ):
        yield _reference(
            *(report, parent, BlockClass(kind).name.lower()),
            height=height if height >= 0 else None,
            entry=entry,
            key=key,
            fits=holds,
            ref_count=_known(count, UNKNOWN_COUNT),
        )
    for each in ways.states:
        yield json_line(
            type="state",
            block=report.block,
            state=state_text(each.state),
            details_root=each.state.details_root,
            live=each.state.is_live,
            device_ids=each.device_ids.tolist(),
        )
    versions = report.versions
    for other, same, nr_entries, time, count in rows_of(
        versions.blocks, versions.nr_same, versions.nr_entries, versions.times, versions.ref_counts
    ):
        yield json_line(
            type="version",
            block=report.block,
            other=other,
            nr_same=_known(same, NOT_COMPARED),
            nr_entries=_known(nr_entries, NOT_COMPARED),
            time=time,
            ref_count=_known(count, UNKNOWN_COUNT),
        )


def _known(number: int, unknown: int) -> int | None:
    return None if number == unknown else number


def _reference(report: BlockReport, parent: int, kind: str, **others: Any) -> bytes:
    where = dict.fromkeys(("height", "field", "entry", "key", "fits", "ref_count"))
    return json_line(
        type="reference",
        block=report.block,
        referrer=parent,
        **{"class": kind},
        **{**where, **others},
    )


def _field_object(field: SchemaField) -> dict[str, Any]:
    value = field.value.hex() if isinstance(field.value, bytes) else field.value
    return {
        "offset": field.offset,
        "size": field.nr_bytes,
        "name": field.name or None,
        "value": value,
        "meaning": field.doc,
    }
