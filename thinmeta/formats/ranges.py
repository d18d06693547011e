"""How `diff` writes its ranges: as XML, as text, as JSON lines, as CSV.

Every style has a shape of line for each kind of change, in the order of `Change`
but for the first: that one must have all the numbers (see `Lines`).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from thinmeta.formats.lines import Lines
from thinmeta.formats.style import Buffer
from thinmeta.units import LAST_KEY
from thinmeta.walk.changes import Change, ChangeRanges

_ORDER = (Change.CHANGED, Change.SAME, Change.ADDED, Change.REMOVED, Change.UNKNOWN)
_SHAPE_OF = np.array([_ORDER.index(change) for change in Change], dtype=np.uint8)

WORDS = {
    Change.SAME: "same",
    Change.CHANGED: "changed",
    Change.ADDED: "added",
    Change.REMOVED: "removed",
    Change.UNKNOWN: "unknown",
}


class RangeLines:
    """Writes each range as a line by itself."""

    def __init__(self, shapes: dict[Change, str]) -> None:
        """Take the line of each kind; its numbers are begin, end, left, right and length."""
        self._shapes = [shapes[change] for change in _ORDER]
        self._lines = Lines(*self._shapes)

    def render(self, parts: Iterable[ChangeRanges]) -> Iterator[Buffer]:
        """Return the text, each part of it valid until the next is asked for."""
        for ranges in parts:
            yield from self._text(ranges, _SHAPE_OF[ranges.change])

    def _text(self, ranges: ChangeRanges, shapes: np.typing.NDArray[np.uint8]) -> Iterator[Buffer]:
        columns = {
            "begin": ranges.begin,
            "end": ranges.begin + ranges.length,
            "left": ranges.left,
            "right": ranges.right,
            "length": ranges.length,
        }
        number = len(ranges)
        is_at_the_end = number > 0 and columns["end"][-1] == 0  # 2^64, which no column holds
        number -= is_at_the_end
        for text in self._lines.render(columns, number, shapes):
            yield text.data
        if is_at_the_end:
            last = {name: int(column[-1]) for name, column in columns.items()}
            yield self._shapes[shapes[-1]].format_map(last | {"end": LAST_KEY + 1}).encode()


def text_lines(*, with_data: bool) -> RangeLines:
    """Return the lines for people, with or without the data blocks."""
    blocks = {change: f"{word:8} {{begin}}..{{end}}" for change, word in WORDS.items()}
    data = dict.fromkeys(Change, "")
    if with_data:
        data |= {
            Change.SAME: "  data {right}",
            Change.CHANGED: "  data {left} -> {right}",
            Change.ADDED: "  data {right}",
            Change.REMOVED: "  data {left}",
        }
    return RangeLines(
        {change: f"{blocks[change]}{data[change]}  length {{length}}\n" for change in Change}
    )


def json_range_lines() -> RangeLines:
    """Return the lines for programs: an object each, null where a side maps nothing."""
    return RangeLines(
        {
            change: f'{{{{"type": "range", "change": "{word}", "origin_begin": {{begin}},'
            f' "left_data_begin": {_or_nothing("left", change, Change.ADDED, "null")},'
            f' "right_data_begin": {_or_nothing("right", change, Change.REMOVED, "null")},'
            ' "length": {length}}}\n'
            for change, word in WORDS.items()
        }
    )


CSV_HEADER = b"change,origin_begin,left_data_begin,right_data_begin,length\n"


def csv_range_lines() -> RangeLines:
    """Return the lines below `CSV_HEADER`, empty where a side maps nothing."""
    return RangeLines(
        {
            change: f"{word},{{begin}},{_or_nothing('left', change, Change.ADDED, '')},"
            f"{_or_nothing('right', change, Change.REMOVED, '')},{{length}}\n"
            for change, word in WORDS.items()
        }
    )


def _or_nothing(column: str, change: Change, without: Change, nothing: str) -> str:
    return nothing if change in (without, Change.UNKNOWN) else f"{{{column}}}"
