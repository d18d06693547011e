"""Where on a whole disk metadata begins, as text for people and as JSON lines.

`docs/scan.md` documents both.
"""

from collections.abc import Iterator, Sequence

from thinmeta.analyse.recover.whole_disk import MetadataPlace
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import command_text

_COLUMNS = ("BYTE", "BLOCKS", "NUMBERS", "SUPERBLOCK")


def places_text(
    places: Sequence[MetadataPlace], disk: str, offset: int, words: Sequence[str]
) -> Iterator[bytes]:
    """Return a table for people, and what to type next.

    Args:
        places: where metadata begins, from `offset` on.
        disk: the path of the disk.
        offset: where the search began on that, in bytes.
        words: further words that a command needs to read the disk.
    """
    yield f"Metadata on a larger disk, by the byte where it begins: {len(places)}\n".encode()
    rows = [_COLUMNS, *(_row(place, offset) for place in places)]
    for line in aligned(rows, frozenset({3})):
        yield f"{line.rstrip()}\n".encode()
    yield b"\n"
    for place in places:
        command = "scan" if place.transaction_id is None else "ls"
        if place.begin + offset >= 0:
            where = f"{disk}@{place.begin + offset}"
            yield f"{command_text(command, '-p', where, *words)}\n".encode()


def _row(place: MetadataPlace, offset: int) -> tuple[str, ...]:
    what = "not there"
    if place.transaction_id is not None:
        what = f"transaction {place.transaction_id}, data blocks of {place.data_block_sectors}s"
    numbers = f"{place.lowest}..{place.highest}"
    return str(place.begin + offset), str(place.nr_blocks), numbers, what


def places_json(places: Sequence[MetadataPlace], offset: int) -> Iterator[bytes]:
    """Return an object for each place, and the end; `offset` as for the text."""
    for place in places:
        yield json_line(type="place", **place._replace(begin=place.begin + offset)._asdict())
    yield json_line(type="end")
