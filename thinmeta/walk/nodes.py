"""B-tree nodes, many at once: the invariants they must keep, and their entries.

Only what makes a node *unsafe* to follow is asked here, and a `max_entries` that is no
multiple of 3: the kernel reads such a node, but never writes one, and as the values begin
after `max_entries` keys, other bytes are read for them. That a node is less than a third
full is merely irregular; `check` tells of it.

Source: `node_check()`, drivers/md/persistent-data/dm-btree-spine.c (Linux v6.6).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.device.blocks import BlockDevice, Blocks, Fault
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.checksum import Rows, salts_of
from thinmeta.schemas.columns import (
    BLOCK_TIME,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    KEY,
    REF_COUNT,
)
from thinmeta.schemas.node_layout import ENTRIES_BYTES, copied_headers, keys_of, values_of
from thinmeta.walk.ragged import beginnings, distinct, ragged, starts_of

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
Headers = npt.NDArray[Any]


class TreeKind(NamedTuple):
    """A kind of tree: what its leaves hold, and what its keys are called."""

    values: np.dtype[Any]
    key_name: str


MAPPINGS = TreeKind(BLOCK_TIME, "origin block")
DEVICE_ROOTS = TreeKind(CHILD, "device id")
DETAILS = TreeKind(DEVICE_DETAILS, "device id")
BITMAP_INDEX = TreeKind(INDEX_ENTRY, "bitmap")
REF_COUNTS = TreeKind(REF_COUNT, "block")


class Metadata(NamedTuple):
    """Where a reader reads.

    Attributes:
        device: the metadata device or image.
        nr_blocks: how many of its blocks the metadata space map says are metadata.
        nr_data_blocks: leave out mappings to data blocks from this one on; None: leave
            none out, which is what everything but salvage does.
        doubts_leaves: do not believe a leaf that holds what an internal node does, whose
            flags were changed. Only salvage doubts it; a dump shows it.
        gaps: key ranges of which nobody knows what is below, `(n, 2)` by internal node;
            see `walk.gaps`.
    """

    device: BlockDevice
    nr_blocks: int
    nr_data_blocks: int | None = None
    doubts_leaves: bool = False
    gaps: Mapping[int, Keys] = MappingProxyType({})


class Nodes(NamedTuple):
    """Nodes as they were read; shapes are `(n,)`, `rows` is `(n, 4096)`."""

    blocks: Blocks
    rows: Rows
    headers: Headers
    faults: Codes
    limit: int
    is_internal: Mask
    """True where an internal node is expected, False where a leaf is."""
    value_size: npt.NDArray[np.uint32]


def most_entries(value_size: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Return the room that the kernel makes in a node for values of each size.

    Source: `calc_max_entries()`, drivers/md/persistent-data/dm-btree.c (Linux v6.6).
    """
    room = _room(value_size)
    return room - room % 3


def _room(value_size: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    return np.uint64(ENTRIES_BYTES) // (value_size.astype(np.uint64) + np.uint64(KEY.itemsize))


def _overflows(nodes: Nodes) -> Mask:
    return nodes.headers["max_entries"] > _room(nodes.value_size)


_PAST_END, _READ_ERROR = int(Fault.PAST_END), int(Fault.READ_ERROR)

# What is wrong, and in which nodes; the first that applies is reported.
INVARIANTS: tuple[tuple[str, Callable[[Nodes], Mask]], ...] = (
    ("is past the end of the metadata", lambda n: n.blocks >= n.limit),
    ("is past the end of the file, which is truncated", lambda n: n.faults == _PAST_END),
    ("cannot be read", lambda n: n.faults == _READ_ERROR),
    (
        "has a wrong checksum",
        lambda n: salts_of(n.rows) != BTREE_CSUM_XOR,
    ),
    ("was written for another block", lambda n: n.headers["blocknr"] != n.blocks),
    (
        "is neither an internal node nor a leaf",
        lambda n: (n.headers["flags"] != INTERNAL_NODE) & ~_is_leaf(n),
    ),
    ("is a leaf where an internal node belongs", lambda n: n.is_internal & _is_leaf(n)),
    ("is an internal node where a leaf belongs", lambda n: ~n.is_internal & ~_is_leaf(n)),
    ("has values of another size", lambda n: n.headers["value_size"] != n.value_size),
    ("has room for more entries than a block holds", _overflows),
    (
        "has room for a number of entries that is no multiple of 3",
        lambda n: n.headers["max_entries"] % 3 != 0,
    ),
    (
        "has more entries than room for them",
        lambda n: n.headers["nr_entries"] > n.headers["max_entries"],
    ),
    (
        "is an internal node without entries",
        lambda n: n.is_internal & (n.headers["nr_entries"] == 0),
    ),
)

_MORE = (
    "has keys out of order",
    "has keys outside its parent's range",
    "is reached twice in the same tree",
    "maps a data block twice, as an internal node does that is taken for a leaf",
    "is lost, and with it which node belongs here",
)
REASONS: tuple[str, ...] = ("is sound", *(what for what, _ in INVARIANTS), *_MORE)
"""What each code of `Codes` means; 0 is a sound node."""

KEYS_OUT_OF_ORDER, KEYS_OUT_OF_RANGE, REACHED_TWICE, HOLDS_CHILDREN, UNKNOWN_CHILD = range(
    len(REASONS) - len(_MORE), len(REASONS)
)


def _is_leaf(nodes: Nodes) -> Mask:
    return nodes.headers["flags"] == LEAF_NODE  # type: ignore[no-any-return]


def read_nodes(
    source: Metadata, blocks: Blocks, kind: TreeKind, *, internal: bool | None
) -> tuple[Nodes, Codes]:
    """Read nodes and check all that a node by itself can show.

    Args:
        source: where to read.
        blocks: node places, shape `(n,)`, in any order.
        kind: the tree they belong to.
        internal: whether they must be internal nodes; None takes either.

    Returns:
        The nodes, and a code for each: an index of `REASONS`.
    """
    batch = source.device.read(blocks)
    headers = copied_headers(batch.rows)
    if internal is None:
        is_internal = headers["flags"] == INTERNAL_NODE
    else:
        is_internal = np.full(len(blocks), internal)
    sizes = np.where(is_internal, CHILD.itemsize, kind.values.itemsize).astype(np.uint32)
    nodes = Nodes(blocks, batch.rows, headers, batch.faults, source.nr_blocks, is_internal, sizes)
    codes = np.zeros(len(blocks), dtype=np.uint8)
    for code, (_, broken) in enumerate(INVARIANTS, 1):
        found = broken(nodes)
        if found.any():
            codes[found & (codes == 0)] = code
    return nodes, codes


class Entries(NamedTuple):
    """The entries of nodes, one node after the other.

    Attributes:
        keys: shape `(m,)`, dtype uint64.
        values: shape `(m,)`, the dtype of the tree's values.
        starts: shape `(n + 1,)`: where each node's entries begin; the last is `m`.
    """

    keys: Keys
    values: npt.NDArray[Any]
    starts: npt.NDArray[np.int64]


def checked_entries(
    nodes: Nodes, codes: Codes, low: Keys, last: Keys, values: np.dtype[Any]
) -> Entries:
    """Return the entries of the sound nodes; adds to `codes` what the keys show.

    Args:
        nodes: of one level, whose values all have dtype `values`.
        codes: of the same nodes; set where keys are out of order or out of range.
        low: the lowest key that the parent allows, shape `(n,)`.
        last: the highest such key, shape `(n,)`.
        values: the dtype of a value.

    Returns:
        The entries; a node with a code has none.
    """
    counts = np.where(codes == 0, nodes.headers["nr_entries"], 0).astype(np.int64)
    entries = _entries(nodes, counts, values)
    full = np.flatnonzero(counts)
    keys, starts = entries.keys, entries.starts
    outside = (keys[starts[full]] < low[full]) | (keys[starts[full + 1] - 1] > last[full])
    codes[full[outside]] = KEYS_OUT_OF_RANGE
    descends = keys[1:] <= keys[:-1]
    if descends.any():
        # Between two nodes a step down is no fault of either: each is within its range.
        wrong = np.flatnonzero(descends) + 1
        wrong = wrong[starts[np.searchsorted(starts, wrong)] != wrong]
        codes[np.searchsorted(starts, wrong, side="right") - 1] = KEYS_OUT_OF_ORDER
    if codes[full].any():
        return _entries(nodes, np.where(codes == 0, counts, 0), values)
    return entries


def _entries(nodes: Nodes, counts: npt.NDArray[np.int64], values: np.dtype[Any]) -> Entries:
    starts = starts_of(counts)
    sound = np.flatnonzero(counts)
    max_entries = nodes.headers["max_entries"][sound]
    if len(sound) == len(counts) and (max_entries == max_entries[:1]).all():
        keys, data = _entries_alike(
            nodes.rows, counts, int(max_entries[0]) if len(max_entries) else 0, values
        )
        return Entries(keys, data, starts)
    keys = np.empty(starts[-1], dtype=np.uint64)
    data = np.empty(starts[-1], dtype=values)
    for number in distinct(max_entries).tolist():
        alike = sound[max_entries == number]
        places = ragged(starts[alike], counts[alike])
        keys[places], data[places] = _entries_alike(
            nodes.rows[alike], counts[alike], number, values
        )
    return Entries(keys, data, starts)


def _entries_alike(
    rows: Rows, counts: npt.NDArray[np.int64], max_entries: int, values: np.dtype[Any]
) -> tuple[Keys, npt.NDArray[Any]]:
    """Return keys and values of nodes that have the same `max_entries`."""
    keys, data = keys_of(rows, max_entries), values_of(rows, max_entries, values)
    return beginnings(keys, counts), beginnings(data, counts)
