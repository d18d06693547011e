"""What of a volume cannot be read, as JSON lines."""

from thinmeta.formats.json_text import json_line
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

_SOURCES = {
    Source.DATA: "data",
    Source.PAST_END: "data",
    Source.ORIGIN: "origin",
    Source.LOST: None,
}


def unreadable_json(unreadable: Unreadable, device_id: int | None) -> bytes:
    """Return the object of a part of a device that cannot be read."""
    is_somewhere = unreadable.source is not Source.LOST
    return json_line(
        type="unreadable",
        device_id=device_id,
        begin=unreadable.begin,
        length=unreadable.length,
        origin_block=unreadable.block,
        source=_SOURCES[unreadable.source],
        file=unreadable.name if is_somewhere else None,
        byte=unreadable.place if is_somewhere else None,
        data_block=unreadable.data_block,
        reason=unreadable.why,
    )
