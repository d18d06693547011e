"""What a dump's format has to know: how it writes what is single, and how runs."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from thinmeta.formats.lines import ROWS_AT_ONCE, Column, Lines
from thinmeta.model.superblock import Superblock
from thinmeta.walk.runs import Runs
from thinmeta.walk.stream import DeviceBegin, Mark, StreamPart

_NEWLINE = ord("\n")

Buffer = bytes | memoryview


class DumpHeader(NamedTuple):
    """What a dump says of the pool as a whole, with the overrides that were asked for."""

    superblock: Superblock
    transaction_id: int
    data_block_sectors: int
    nr_data_blocks: int


class Style(Protocol):
    """A format of `dump`."""

    def begin(self, header: DumpHeader) -> bytes:
        """Return what comes before all rows."""

    def mark(self, mark: Mark) -> bytes:
        """Return the text of a mark."""

    def end(self) -> bytes:
        """Return what comes after all rows."""

    @property
    def lines(self) -> Lines:
        """The shapes of a run's line; one that is for runs of any length comes first."""

    def columns(self, runs: Runs, device_ids: Column) -> dict[str, Column]:
        """Return the numbers in the lines of `runs`, each of which belongs to a device."""

    def shapes(self, runs: Runs) -> npt.NDArray[np.uint8] | None:
        """Return which shape each run's line has; None if all have the first."""


def dump(
    header: DumpHeader, parts: Iterable[StreamPart], style: Style, lost: Iterable[bytes] = ()
) -> Iterator[Buffer]:
    """Return the text of a dump in bounded parts; each is valid until the next is asked for.

    `lost` comes after all rows. A part ends with a whole line, so what was returned
    before an error makes sense.
    """
    yield style.begin(header)
    device_id = 0
    for part in parts:
        owners = np.full(len(part.runs), device_id, dtype=np.uint64)
        for mark, before in zip(part.marks, part.before, strict=True):
            if isinstance(mark, DeviceBegin):
                device_id = mark.device_id
                owners[before:] = device_id
        yield from _interleaved(part, owners, style)
    yield from lost
    yield style.end()


def _interleaved(part: StreamPart, owners: Column, style: Style) -> Iterator[Buffer]:
    """Return the text of the runs with that of the marks at their places."""
    texts = style.lines.render(
        style.columns(part.runs, owners), len(part.runs), style.shapes(part.runs)
    )
    marks = iter(zip(part.before, map(style.mark, part.marks), strict=True))
    next_mark = next(marks, None)
    done = 0
    for text in texts:
        nr_rows = min(ROWS_AT_ONCE, len(part.runs) - done)
        if next_mark is None or next_mark[0] >= done + nr_rows:
            yield text.data
            done += nr_rows
            continue
        ends = np.flatnonzero(text == _NEWLINE) + 1
        begin = 0
        while next_mark is not None and next_mark[0] < done + nr_rows:
            if next_mark[0] > done:
                end = int(ends[next_mark[0] - done - 1])
                if end > begin:
                    yield text[begin:end].data
                begin = end
            yield next_mark[1]
            next_mark = next(marks, None)
        yield text[begin:].data
        done += nr_rows
    while next_mark is not None:
        yield next_mark[1]
        next_mark = next(marks, None)
