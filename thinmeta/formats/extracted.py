"""What became of all volumes that were written: a table for people, or JSON lines."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from thinmeta.errors import ExitCode
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import printable, text_line

_COLUMNS = ("DEV", "SIZE", "LOST", "FILE", "RESULT")
_LEFT = frozenset({3, 4})


class ExtractedVolume(NamedTuple):
    """A volume that was written, or was to be.

    Attributes:
        file: its name, without that of the folder.
        device_id: its id.
        name: what it is called; None if nobody says.
        size: in bytes; None where it was not found out.
        lost_bytes: of these, how many could not be read and are zeros.
        exit_code: how the command would have ended for it alone.
        error: why it was not written; None if it was.
    """

    file: str
    device_id: int
    name: str | None
    size: int | None = None
    lost_bytes: int = 0
    exit_code: ExitCode = ExitCode.DONE
    error: str | None = None

    @property
    def result(self) -> str:
        """What became of it, in words."""
        if self.error is not None:
            return f"not written: {printable(self.error)}"
        return "not whole" if self.exit_code else "whole"


def extracted_text(found: Sequence[ExtractedVolume]) -> Iterator[bytes]:
    """Return a line a volume, by device id."""
    rows = [_COLUMNS]
    for each in found:
        size = "-" if each.size is None else str(each.size)
        rows.append((str(each.device_id), size, str(each.lost_bytes), each.file, each.result))
    for line in aligned(rows, _LEFT):
        yield text_line(line.rstrip())


def extracted_json(found: Sequence[ExtractedVolume]) -> Iterator[bytes]:
    """Return an object a volume, and the end."""
    for each in found:
        yield json_line(
            type="extracted",
            file=each.file,
            device_id=each.device_id,
            name=each.name,
            size=each.size,
            lost_bytes=each.lost_bytes,
            written=each.error is None,
            whole=not each.exit_code,
            exit_code=int(each.exit_code),
            error=each.error,
        )
    yield json_line(type="end")
