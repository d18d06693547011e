"""Two blocks side by side, by what their fields and entries say."""

from typing import NamedTuple

import numpy as np

from thinmeta.analyse.block.content import BlockContent
from thinmeta.analyse.block.look import BlockReport
from thinmeta.schemas.described import Structure
from thinmeta.walk.columnar import Columns
from thinmeta.walk.ragged import Places, distinct

MISSING = -1
_PLACES = {"entry", "key", "key_offset", "value_offset", "length"}
"""Columns of entries that are no part of a value."""


class FieldChange(NamedTuple):
    """A field that two blocks do not have alike; None is that of a block that has it not."""

    name: str
    left: int | bytes | None
    right: int | bytes | None


class BlockDifference(NamedTuple):
    """What is different in two blocks.

    Attributes:
        left: one block.
        right: the other.
        is_comparable: whether both are of one kind, so that entries can be compared.
        nr_bytes: bytes that are different; None where one cannot be read.
        fields: of either, those that are different.
        nr_same: entries that both have alike.
        keys: of the entries that are different, shape `(n,)`, ascending. Of a bitmap and of the
            metadata space map's index it is the number of the entry.
        left_entries: which entry of the left block each is, or -1.
        right_entries: likewise.
    """

    left: BlockReport
    right: BlockReport
    is_comparable: bool
    nr_bytes: int | None
    fields: tuple[FieldChange, ...]
    nr_same: int
    keys: Places
    left_entries: Places
    right_entries: Places


def block_difference(left: BlockReport, right: BlockReport) -> BlockDifference:
    """Compare two blocks; entries by their keys."""
    one, other = left.content, right.content
    is_comparable = one.structure is not None and (one.structure, one.value_kind) == (
        other.structure,
        other.value_kind,
    )
    nr_bytes = None
    if one.row is not None and other.row is not None:
        nr_bytes = int(np.count_nonzero(one.row != other.row))
    keys = at_left = at_right = np.empty(0, dtype=np.int64)
    nr_same = 0
    if is_comparable:
        entries = values_by_key(one), values_by_key(other)
        if all(each for each in entries):
            keys, at_left, at_right, nr_same = _compared(*entries)
    return BlockDifference(
        left,
        right,
        is_comparable,
        nr_bytes,
        tuple(_changes(one, other)),
        nr_same,
        keys,
        at_left,
        at_right,
    )


def values_by_key(content: BlockContent) -> Columns:
    """Return the entries of a block as `key` and the fields of its values, one a row."""
    entries = content.entries
    if content.structure is Structure.BITMAP:
        counts = np.repeat(entries["count"], entries["length"])
        return {"key": np.arange(len(counts)), "count": counts}
    keys = entries.get("key", entries.get("entry"))
    values = {name: column for name, column in entries.items() if name not in _PLACES}
    return {} if keys is None else {"key": keys, **values}


def _changes(one: BlockContent, other: BlockContent) -> list[FieldChange]:
    left = {field.name: field.value for field in one.fields if field.name}
    right = {field.name: field.value for field in other.fields if field.name}
    return [
        FieldChange(name, left.get(name), right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    ]


def _compared(left: Columns, right: Columns) -> tuple[Places, Places, Places, int]:
    """Return keys and entries that are different, and how many are not."""
    keys = distinct(np.concatenate([left["key"], right["key"]]))
    at_left, at_right = _first_entries(keys, left), _first_entries(keys, right)
    is_same = (at_left != MISSING) & (at_right != MISSING)
    for name in left:
        if name != "key":
            both = np.flatnonzero(is_same)
            is_same[both] = left[name][at_left[both]] == right[name][at_right[both]]
    differs = ~is_same
    return keys[differs], at_left[differs], at_right[differs], int(np.count_nonzero(is_same))


def _first_entries(keys: Places, entries: Columns) -> Places:
    """Return which entry has each key, the first where a damaged node repeats it."""
    found = np.full(len(keys), MISSING, dtype=np.int64)
    places = np.searchsorted(keys, entries["key"])
    found[places[::-1]] = np.arange(len(places) - 1, -1, -1)
    return found
