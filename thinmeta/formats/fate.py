"""What `fate` found: as text, as JSON lines, as CSV."""

from collections.abc import Iterable, Iterator

from thinmeta.analyse.fate_ranges import Fate, FateRanges, Fates
from thinmeta.formats.json_text import json_line
from thinmeta.formats.lines import Lines
from thinmeta.formats.printable import text_line
from thinmeta.formats.sizes import size_text
from thinmeta.formats.style import Buffer
from thinmeta.model.device_spec import ChosenDevice

_MEANINGS = {
    Fate.KEPT: "still mapped by this device, which may have rewritten them in place",
    Fate.SHARED: "still mapped by another device; may have been rewritten in place",
    Fate.TAKEN: "mapped anew by a device since: what they held is lost",
    Fate.HELD: "mapped by no device but in use: by a metadata snapshot, or leaked",
    Fate.FREE: "in use by nobody: likely as they were, unless discarded, or reused and freed",
    Fate.UNKNOWN: "the metadata that would tell is damaged",
    Fate.PAST_END: "past the end of the data device",
}
_ONLY_IF_ANY = (Fate.UNKNOWN, Fate.PAST_END)
_SHAPES = {
    "text": "{word:8} {{origin_begin}}..{{origin_end}}  data {{data_begin}}  length {{length}}\n",
    "json": '{{{{"type": "range", "fate": "{word}", "origin_begin": {{origin_begin}},'
    ' "data_begin": {{data_begin}}, "length": {{length}}}}}}\n',
    "csv": "{word},{{origin_begin}},{{data_begin}},{{length}}\n",
}
CSV_HEADER = b"fate,origin_begin,data_begin,length\n"


def summary_text(chosen: ChosenDevice, found: Fates) -> bytes:
    """Return how many blocks have each fate, a line a fate, and what it means."""
    block_bytes = chosen.pool.data_block_bytes()
    called = chosen.name if chosen.device_id is None else f"device {chosen.name}"
    more = "" if found.is_complete else "; metadata is damaged, there may be more"
    lines = [f"Of the blocks that {called} maps, now are{more}:", ""]
    for fate, blocks in found.counts.items():
        if blocks or fate not in _ONLY_IF_ANY:
            size = size_text(blocks * block_bytes)
            meaning = _MEANINGS[fate] if blocks else ""
            line = f"{fate.name.lower():8} {blocks:>12} blocks  {size:>12}  {meaning}"
            lines.append(line.rstrip())
    return b"".join(map(text_line, lines))


def summary_json(chosen: ChosenDevice, found: Fates) -> bytes:
    """Return the summary as one object."""
    block_bytes = chosen.pool.data_block_bytes()
    counts = {fate.name.lower(): blocks for fate, blocks in found.counts.items()}
    return json_line(
        type="fate",
        name=chosen.name,
        device_id=chosen.device_id,
        mapping_root=chosen.mapping_root,
        data_block_bytes=block_bytes,
        complete=found.is_complete,
        **{f"{word}_blocks": blocks for word, blocks in counts.items()},
        **{f"{word}_bytes": blocks * block_bytes for word, blocks in counts.items()},
    )


def range_lines(pieces: Iterable[FateRanges], format_name: str) -> Iterator[Buffer]:
    """Return a line a range: `text`, `json` or `csv`; each part is valid until the next."""
    lines = Lines(*(_SHAPES[format_name].format(word=fate.name.lower()) for fate in Fate))
    for ranges in pieces:
        columns = {
            "origin_begin": ranges.origin_begin,
            "origin_end": ranges.origin_begin + ranges.length,
            "data_begin": ranges.data_begin,
            "length": ranges.length,
        }
        for text in lines.render(columns, len(ranges), ranges.fate):
            yield text.data
