"""What is different in two metadata blocks, as text and as JSON lines; see `docs/block.md`."""

from collections.abc import Iterator, Sequence

from thinmeta.analyse.block.block_diff import MISSING, BlockDifference, values_by_key
from thinmeta.analyse.block.content import BlockContent
from thinmeta.formats.block import SHOWN, field_text, rows_of, table_lines, what_it_is
from thinmeta.formats.json_text import json_line


def difference_text(found: BlockDifference, *, show_all: bool) -> Iterator[bytes]:
    """Return for people what is different in two blocks."""
    left, right = found.left, found.right
    for each in (left, right):
        yield f"{f'block {each.block}':<18}{what_it_is(each)}\n".encode()
    known = "cannot be compared" if found.nr_bytes is None else f"{found.nr_bytes} differ"
    yield f"{'bytes':<18}{known}\n".encode()
    if not found.is_comparable:
        yield b"They are of different kinds, so their entries are not compared.\n"
    titles = ["FIELD", str(left.block), str(right.block)]
    rows = [
        [name, field_text(name, one), field_text(name, other)] for name, one, other in found.fields
    ]
    yield f"\nFields that differ: {len(rows) or 'none'}\n".encode()
    yield from table_lines(titles, rows, len(rows), frozenset({0}))
    if not found.is_comparable:
        return
    yield f"\nEntries that differ: {len(found.keys) or 'none'}; alike: {found.nr_same}\n".encode()
    shown = None if show_all else SHOWN
    names = [name for name in values_by_key(left.content) if name != "key"]
    rows = [
        [str(key), _values_text(names, one), _values_text(names, other)]
        for key, one, other in _entry_pairs(found, shown)
    ]
    titles[0] = "KEY"
    yield from table_lines(titles, rows, len(found.keys), frozenset({1, 2}))


def _values_text(names: list[str], values: Sequence[int] | None) -> str:
    if values is None:
        return "-"
    return " ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _entry_pairs(
    found: BlockDifference, shown: int | None
) -> Iterator[tuple[int, Sequence[int] | None, Sequence[int] | None]]:
    """Return each key that is not alike, with what either block has for it."""
    sides = [_values_at(each.content) for each in (found.left, found.right)]
    for key, *places in rows_of(
        found.keys[:shown], found.left_entries[:shown], found.right_entries[:shown]
    ):
        one, other = (
            None if place == MISSING else values[place]
            for values, place in zip(sides, places, strict=True)
        )
        yield key, one, other


def _values_at(content: BlockContent) -> list[tuple[int, ...]]:
    columns = {name: each for name, each in values_by_key(content).items() if name != "key"}
    return list(rows_of(*columns.values()))


def difference_json(found: BlockDifference) -> Iterator[bytes]:
    """Return an object for both blocks, and one for each entry that is different."""
    yield json_line(
        type="difference",
        left=found.left.block,
        right=found.right.block,
        comparable=found.is_comparable,
        nr_bytes=found.nr_bytes,
        nr_same=found.nr_same,
        fields=[
            {"name": name, "left": _plain(one), "right": _plain(other)}
            for name, one, other in found.fields
        ],
    )
    names = [name for name in values_by_key(found.left.content) if name != "key"]
    for key, one, other in _entry_pairs(found, None):
        sides = {"left": one, "right": other}
        yield json_line(
            type="entry",
            key=key,
            **{
                side: None if values is None else dict(zip(names, values, strict=True))
                for side, values in sides.items()
            },
        )


def _plain(value: int | bytes | None) -> int | str | None:
    return value.hex() if isinstance(value, bytes) else value
