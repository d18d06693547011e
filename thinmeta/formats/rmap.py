"""Who maps which data blocks: thin_rmap's lines, JSON lines, or CSV."""

from collections.abc import Iterable, Iterator

from thinmeta.analyse.rmap import ReverseRuns
from thinmeta.formats.lines import Lines
from thinmeta.formats.style import Buffer

_SHAPES = {
    "text": (
        "data {data_begin}..{data_end} -> thin({device_id}) {origin_begin}..{origin_end}\n",
        b"",
    ),
    "json": (
        '{{"type": "run", "data_begin": {data_begin}, "length": {length},'
        ' "device_id": {device_id}, "origin_begin": {origin_begin}}}\n',
        b"",
    ),
    "csv": (
        "{data_begin},{length},{device_id},{origin_begin}\n",
        b"data_begin,length,device_id,origin_begin\n",
    ),
}


def rmap_lines(pieces: Iterable[ReverseRuns], format_name: str) -> Iterator[Buffer]:
    """Return a line a run; ranges of text are half-open.

    Args:
        pieces: the runs in order.
        format_name: `text`, `json` or `csv`.

    Returns:
        Parts of the text, each valid until the next is asked for.
    """
    shape, header = _SHAPES[format_name]
    lines = Lines(shape)
    yield header
    for runs in pieces:
        columns = {
            "data_begin": runs.data_begin,
            "data_end": runs.data_begin + runs.length,
            "length": runs.length,
            "device_id": runs.device_id,
            "origin_begin": runs.origin_begin,
            "origin_end": runs.origin_begin + runs.length,
        }
        for text in lines.render(columns, len(runs)):
            yield text.data
