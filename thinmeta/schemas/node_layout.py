"""Where the keys and the values of nodes stand, for many nodes at once.

After the header stand `max_entries` keys, then as many values. Nothing here is checked: who
asks knows that the nodes have room for so many.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.schemas.checksum import Rows
from thinmeta.schemas.columns import CHILD, KEY, NODE_HEADER
from thinmeta.units import METADATA_BLOCK_BYTES

HEADER_BYTES = NODE_HEADER.itemsize
ENTRIES_BYTES = METADATA_BLOCK_BYTES - HEADER_BYTES


def most_entries(values: np.dtype[Any]) -> int:
    """Return how many entries fit into a block."""
    return ENTRIES_BYTES // (KEY.itemsize + values.itemsize)


def max_entries_of(values: np.dtype[Any]) -> int:
    """Return how many entries a node has room for; a node of a third of it may stand alone.

    >>> max_entries_of(CHILD)
    252

    Source: `calc_max_entries()`, drivers/md/persistent-data/dm-btree.c (Linux v6.6).
    """
    return most_entries(values) // 3 * 3


def headers_of(rows: Rows) -> npt.NDArray[Any]:
    """Return the headers of blocks, as a view; all kinds of blocks begin alike.

    Args:
        rows: blocks, shape `(n, 4096)`.

    Returns:
        Shape `(n,)`.
    """
    headers: npt.NDArray[Any] = rows[:, :HEADER_BYTES].view(NODE_HEADER)[:, 0]
    return headers


def copied_headers(rows: Rows) -> npt.NDArray[Any]:
    """Return them side by side: fields a page apart drive each other out of the cache."""
    headers: npt.NDArray[Any] = rows[:, :HEADER_BYTES].copy().view(NODE_HEADER)[:, 0]
    return headers


def values_begin(max_entries: int) -> int:
    """Return at which byte of a node with room for `max_entries` entries its values begin.

    >>> values_begin(252)
    2048
    """
    return HEADER_BYTES + max_entries * KEY.itemsize


def values_end(max_entries: int, values: np.dtype[Any]) -> int:
    """Return at which byte its values end."""
    return values_begin(max_entries) + max_entries * values.itemsize


def keys_of(rows: Rows, max_entries: int) -> npt.NDArray[np.uint64]:
    """Return the keys of nodes with room for `max_entries` entries, used or not, as a view."""
    keys: npt.NDArray[np.uint64] = rows[:, HEADER_BYTES : values_begin(max_entries)].view(KEY)
    return keys


def values_of(rows: Rows, max_entries: int, values: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values of nodes with room for `max_entries` entries, used or not, as a view."""
    return rows[:, values_begin(max_entries) : values_end(max_entries, values)].view(values)


def first_children(rows: Rows, max_entries: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Return the first child of each of some internal nodes.

    Args:
        rows: the nodes, shape `(n, 4096)`.
        max_entries: for how many entries each has room, shape `(n,)`.
    """
    words = rows.view(CHILD)
    children: npt.NDArray[np.uint64] = words[
        np.arange(len(words)), HEADER_BYTES // CHILD.itemsize + max_entries
    ]
    return children
