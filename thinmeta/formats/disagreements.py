"""Where the pool and those who name its devices disagree, as text and as JSON lines."""

from collections.abc import Iterator, Sequence

from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import text_line
from thinmeta.names.disagreements import Disagreement


def disagreements_text(found: Sequence[Disagreement], whose: str) -> Iterator[bytes]:
    """Return what does not fit, a line each, under a heading; nothing if all fits.

    Args:
        found: what does not fit.
        whose: of whom the names are: `Docker`.
    """
    if found:
        yield b"\n"
        yield text_line(f"The pool and {whose} disagree:")
    for each in found:
        yield text_line(f"  {each.what}")


def disagreements_json(found: Sequence[Disagreement]) -> Iterator[bytes]:
    """Return an object for each thing that does not fit."""
    for each in found:
        yield json_line(
            type="disagreement",
            kind=each.kind.value,
            device_id=each.device_id,
            name=each.name,
            what=each.what,
        )
