"""Metadata blocks in a pack file: which are stored, and as which instructions.

What the checksum tells to be a superblock, a node, a bitmap or an index is stored. Of
a node the keys and block numbers are numbers for `encoder`; its header, other
values and all other blocks are stored as they are.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks
from thinmeta.device.pack.encoder import Code, encoded, literal, shifted
from thinmeta.device.pack.steps import Bytes, Counts
from thinmeta.schemas.btree_node import INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.checksum import Rows
from thinmeta.schemas.columns import CHILD, KEY
from thinmeta.schemas.node_layout import (
    ENTRIES_BYTES,
    HEADER_BYTES,
    copied_headers,
    keys_of,
    values_begin,
    values_end,
    values_of,
)
from thinmeta.schemas.pack_file import NUMBER, SHIFT
from thinmeta.units import METADATA_BLOCK_BYTES

_WHOLE = literal(METADATA_BLOCK_BYTES)

_ROWS_AT_ONCE = 256
"""Few enough for a cache of the processor."""


def packed_blocks(blocks: Blocks, rows: Rows) -> bytes:
    """Return blocks and their numbers as `Machine.run` takes them.

    Args:
        blocks: their numbers, shape `(n,)`.
        rows: what they hold, shape `(n, 4096)`; any bytes do.
    """
    parts: list[memoryview] = []
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        end = begin + _ROWS_AT_ONCE
        parts += _packed(blocks[begin:end], rows[begin:end])
    return b"".join(parts)


def _packed(blocks: Blocks, rows: Rows) -> Iterator[memoryview]:
    """Return the same in parts: blocks of one kind are packed together, and stand in order."""
    headers = copied_headers(rows)
    kinds = np.zeros(len(rows), dtype=np.int64)
    within = np.zeros(len(rows), dtype=np.int64)
    codes: list[Code] = []
    for places, layout in _alike(headers):
        some = rows if len(places) == len(rows) else rows[places]
        codes.append(_nodes(blocks[places], some, layout))
        kinds[places], within[places] = len(codes), np.arange(len(places))
    others = np.flatnonzero(kinds == 0)
    within[others] = np.arange(len(others))
    codes.insert(0, _whole(blocks[others], rows[others]))
    cuts = np.flatnonzero(np.diff(kinds)) + 1
    for begin, end in pairwise([0, *cuts.tolist(), len(rows)]):
        code, bounds = codes[kinds[begin]]
        first = within[begin]
        yield code[bounds[first] : bounds[first + end - begin]].data


def _whole(blocks: Blocks, rows: Rows) -> Code:
    """Return blocks as they are."""
    code = _fixed(_little_endian(blocks), _WHOLE, rows)
    return Code(code.reshape(-1), np.arange(len(rows) + 1) * code.shape[1])


class _PackLayout(NamedTuple):
    is_leaf: bool
    max_entries: int
    value_size: int


def _alike(headers: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[np.intp], _PackLayout]]:
    """Return the places of what looks like nodes, those of one layout together."""
    flags, rooms, sizes = (
        headers[name].astype(np.uint64) for name in ("flags", "max_entries", "value_size")
    )
    room = np.uint64(ENTRIES_BYTES)
    fits = (rooms > 0) & (rooms <= room) & (sizes <= room)
    fits &= rooms * (np.uint64(KEY.itemsize) + sizes) <= room
    fits &= (flags == INTERNAL_NODE) & (sizes == CHILD.itemsize) | (flags == LEAF_NODE)
    layouts = flags << np.uint64(32) | rooms << np.uint64(16) | sizes
    for layout in sorted(set(layouts[fits].tolist())):
        is_leaf = layout >> 32 == LEAF_NODE
        places = np.flatnonzero(fits & (layouts == layout))
        yield places, _PackLayout(is_leaf, layout >> 16 & 0xFFFF, layout & 0xFFFF)


def _nodes(blocks: Blocks, rows: Rows, layout: _PackLayout) -> Code:
    """Return the instructions for some nodes of one layout."""
    done = values_begin(layout.max_entries)
    has_numbers = layout.value_size == CHILD.itemsize
    nr_lists = (3 if layout.is_leaf else 2) if has_numbers else 1
    lists = np.empty((len(rows), nr_lists, layout.max_entries), dtype=np.uint64)
    lists[:, 0] = keys_of(rows, layout.max_entries)
    before_values = b""
    if has_numbers:
        values = values_of(rows, layout.max_entries, CHILD)
        done = values_end(layout.max_entries, CHILD)
        if layout.is_leaf:
            before_values = shifted(layout.max_entries)
            np.right_shift(values, np.uint64(SHIFT), out=lists[:, 1])
            np.bitwise_and(values, np.uint64((1 << SHIFT) - 1), out=lists[:, 2])
        else:
            lists[:, 1] = values
    found = encoded(lists.reshape(-1, layout.max_entries))
    header = rows[:, :HEADER_BYTES]
    return _joined(
        _fixed(_little_endian(blocks), literal(HEADER_BYTES), header),
        np.diff(found.bounds).reshape(len(rows), nr_lists),
        found.code,
        before_values,
        _fixed(literal(METADATA_BLOCK_BYTES - done), rows[:, done:]),
    )


def _joined(begins: Rows, sizes: Counts, code: Bytes, between: bytes, ends: Rows) -> Code:
    """Return for each row its beginning, its first list, `between`, its other lists, its end.

    Args:
        begins: shape `(n, any)`.
        sizes: of the instructions of each list, shape `(n, lists)`.
        code: the instructions of all lists.
        between: the same for all.
        ends: shape `(n, any)`.
    """
    lengths = np.empty((len(sizes), 5), dtype=np.int64)
    lengths[:, 0], lengths[:, 2], lengths[:, 4] = begins.shape[1], len(between), ends.shape[1]
    lengths[:, 1], lengths[:, 3] = sizes[:, 0], sizes[:, 1:].sum(axis=1)
    stops = np.cumsum(lengths)
    starts = (stops - lengths.reshape(-1)).reshape(lengths.shape)
    joined = np.empty(stops[-1], dtype=np.uint8)
    for column, fixed in ((0, begins), (2, np.frombuffer(between, np.uint8)), (4, ends)):
        joined[starts[:, column, np.newaxis] + np.arange(fixed.shape[-1])] = fixed
    moved = lengths[:, 1::2].reshape(-1)
    shifts = starts[:, 1::2].reshape(-1) - (np.cumsum(moved) - moved)
    joined[np.arange(len(code)) + np.repeat(shifts, moved)] = code
    return Code(joined, np.append(starts[:, 0], len(joined)))


def _fixed(*parts: Rows | bytes) -> Rows:
    """Return rows that begin one part after another; bytes are the same in each."""
    nr_rows = max(len(part) for part in parts if not isinstance(part, bytes))
    some = [
        np.broadcast_to(np.frombuffer(part, np.uint8), (nr_rows, len(part)))
        if isinstance(part, bytes)
        else part
        for part in parts
    ]
    return np.hstack(some)


def _little_endian(numbers: Blocks) -> Rows:
    return numbers.astype(NUMBER).view(np.uint8).reshape(-1, NUMBER.itemsize)
