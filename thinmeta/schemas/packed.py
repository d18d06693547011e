"""Metadata blocks in a pack file: which are stored, and as which instructions.

What the checksum tells to be a superblock, a node, a bitmap or an index is stored. Of
a node the keys and block numbers are numbers for `pack_encoder`; its header, other
values and all other blocks are stored as they are.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import Blocks, Rows
from thinmeta.device.checksum import checksums
from thinmeta.device.pack_encoder import encoded, literal, shifted
from thinmeta.device.pack_steps import SHIFT
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.columns import CHILD, KEY, NODE_HEADER
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR
from thinmeta.units import METADATA_BLOCK_BYTES

_SALTS = np.array(
    [SUPERBLOCK_CSUM_XOR, BTREE_CSUM_XOR, BITMAP_CSUM_XOR, INDEX_CSUM_XOR], dtype=np.uint32
)
_WHOLE = literal(METADATA_BLOCK_BYTES)

Part = bytes | memoryview


def salts_of(rows: Rows) -> npt.NDArray[np.uint32]:
    """Return by which salt each block's checksum is right, 0 where by none.

    Args:
        rows: blocks, shape `(n, 4096)`.
    """
    salts = np.zeros(len(rows), dtype=np.uint32)
    used = np.flatnonzero(rows.view(np.uint64).any(axis=1))
    some = rows if len(used) == len(rows) else rows[used]
    found = checksums(some) ^ some[:, :4].copy().view("<u4")[:, 0]
    salts[used] = np.where((found[:, np.newaxis] == _SALTS).any(axis=1), found, 0)
    return salts


def packed_blocks(blocks: Blocks, rows: Rows) -> bytes:
    """Return blocks and their numbers as `pack_machine` takes them.

    Args:
        blocks: their numbers, shape `(n,)`.
        rows: what they hold, shape `(n, 4096)`; any bytes do.
    """
    headers = rows[:, : NODE_HEADER.itemsize].copy().view(NODE_HEADER)[:, 0]
    codes: dict[int, list[Part]] = {}
    for places, layout in _alike(headers):
        codes.update(zip(places.tolist(), _nodes(rows[places], layout), strict=True))
    parts: list[Part] = []
    for place, number in enumerate(blocks.tolist()):
        parts.append(number.to_bytes(8, "little"))
        parts.extend(codes.get(place) or (_WHOLE, rows[place].data))
    return b"".join(parts)


class _Layout(NamedTuple):
    is_leaf: bool
    max_entries: int
    value_size: int


def _alike(headers: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[np.intp], _Layout]]:
    """Return the places of what looks like nodes, those of one layout together."""
    flags, rooms, sizes = (
        headers[name].astype(np.uint64) for name in ("flags", "max_entries", "value_size")
    )
    room = np.uint64(METADATA_BLOCK_BYTES - NODE_HEADER.itemsize)
    fits = (rooms > 0) & (rooms <= room) & (sizes <= room)
    fits &= rooms * (np.uint64(KEY.itemsize) + sizes) <= room
    fits &= (flags == INTERNAL_NODE) & (sizes == CHILD.itemsize) | (flags == LEAF_NODE)
    layouts = flags << np.uint64(32) | rooms << np.uint64(16) | sizes
    for layout in sorted(set(layouts[fits].tolist())):
        is_leaf = layout >> 32 == LEAF_NODE
        places = np.flatnonzero(fits & (layouts == layout))
        yield places, _Layout(is_leaf, layout >> 16 & 0xFFFF, layout & 0xFFFF)


def _nodes(rows: Rows, layout: _Layout) -> Iterator[list[Part]]:
    """Return the instructions for each of some nodes of one layout."""
    keys_end = NODE_HEADER.itemsize + layout.max_entries * KEY.itemsize
    values_end = keys_end + layout.max_entries * layout.value_size
    keys = rows[:, NODE_HEADER.itemsize : keys_end].view(KEY)
    lists, before_values = [keys], b""
    if layout.value_size == CHILD.itemsize:
        values = rows[:, keys_end:values_end].view(CHILD)
        if layout.is_leaf:
            before_values = shifted(layout.max_entries)
            lists += [values >> np.uint64(SHIFT), values & np.uint64((1 << SHIFT) - 1)]
        else:
            lists.append(values)
        keys_end = values_end
    code, bounds = encoded(np.stack(lists, axis=1).reshape(-1, layout.max_entries))
    header, rest = literal(NODE_HEADER.itemsize), literal(METADATA_BLOCK_BYTES - keys_end)
    for place, row in enumerate(rows):
        begin, middle, end = (bounds[len(lists) * place + more] for more in (0, 1, len(lists)))
        yield [
            *(header, row[: NODE_HEADER.itemsize].data),
            *(code[begin:middle], before_values, code[middle:end]),
            *(rest, row[keys_end:].data),
        ]
