"""The summary of `diff`, for people and for programs."""

from typing import Any

from thinmeta.analyse.diff import Relation, Summary
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line
from thinmeta.formats.sizes import size_text
from thinmeta.model.device_spec import ChosenDevice

_RELATIONS = {
    Relation.IDENTICAL: "Both map the same blocks to the same data.",
    Relation.DESCENDANT: "{right} comes from {left}, which has stood still since.",
    Relation.DIVERGED: "{left} and {right} share data; both have changed since they parted.",
    Relation.UNRELATED: "{left} and {right} share no data.",
}
_INCOMPLETE = "A part of {left} or of {right} is lost: there may be more of each kind."
_CAUSES = {"added": "allocated on demand", "changed": "copied on write", "removed": "discarded"}


def summary_text(left: ChosenDevice, right: ChosenDevice, summary: Summary) -> bytes:
    """Return what changed from LEFT to RIGHT in blocks and bytes, a line a kind."""
    block_bytes = right.pool.data_block_bytes()
    caused = _CAUSES if summary.relation is Relation.DESCENDANT else {}
    relation = _INCOMPLETE if summary.relation is None else _RELATIONS[summary.relation]
    lines = [relation.format(left=_called(left), right=_called(right)), ""]
    for word, blocks in _counts(summary).items():
        size = size_text(blocks * block_bytes)
        cause = caused.get(word, "") if blocks else ""
        lines.append(f"{word:8} {blocks:>12} blocks  {size:>12}  {cause}".rstrip())
    return b"".join(map(text_line, [*lines, ""]))


def summary_json(left: ChosenDevice, right: ChosenDevice, summary: Summary) -> bytes:
    """Return the summary as one object."""
    block_bytes = right.pool.data_block_bytes()
    return json_line(
        type="diff",
        left=_described(left),
        right=_described(right),
        data_block_bytes=block_bytes,
        complete=summary.relation is not None,
        relation=summary.relation and summary.relation.value,
        **{f"{word}_blocks": blocks for word, blocks in _counts(summary).items()},
        **{f"{word}_bytes": blocks * block_bytes for word, blocks in _counts(summary).items()},
    )


def _counts(summary: Summary) -> dict[str, int]:
    return {
        "added": summary.added,
        "changed": summary.changed,
        "removed": summary.removed,
        "same": summary.same,
        **({"unknown": summary.unknown} if summary.unknown else {}),
    }


def _called(chosen: ChosenDevice) -> str:
    if chosen.known_as is not None:
        state = f"@{chosen.pool.state}" if "@" in chosen.name else ""
        return f"device {chosen.device_id}{state} ({chosen.known_as})"
    return f"device {chosen.name}" if chosen.device is not None else chosen.name


def _described(chosen: ChosenDevice) -> dict[str, Any]:
    device = chosen.device
    return {
        "name": chosen.name,
        "known_as": chosen.known_as,
        "device_id": device.device_id if device else None,
        "mapping_root": chosen.mapping_root,
        "mapped_blocks": device.mapped_blocks if device else None,
        "creation_time": device.creation_time if device else None,
        "snap_time": device.snap_time if device else None,
    }
