"""What a B-tree node says by itself, for many nodes at once; of leaves only sums."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass, Classes
from thinmeta.device.blocks import Blocks
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.checksum import Rows
from thinmeta.schemas.columns import (
    BLOCK_TIME,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    REF_COUNT,
)
from thinmeta.schemas.node_layout import headers_of, keys_of, most_entries, values_of
from thinmeta.units import LAST_KEY, MAX_METADATA_BLOCKS
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Headers, Keys, Mask
from thinmeta.walk.ragged import Places, distinct

_MAX_DEVICE_ID = 2**24 - 1
_NO_BLOCK = 2**32 - 1

Counts = npt.NDArray[np.int64]

_VALUES = {
    BlockClass.INTERNAL: CHILD,
    BlockClass.MAPPINGS: BLOCK_TIME,
    BlockClass.DETAILS: DEVICE_DETAILS,
    BlockClass.BITMAP_INDEX: INDEX_ENTRY,
    BlockClass.REF_COUNTS: REF_COUNT,
}
"""What nodes can hold; device roots look like mappings at first."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeFacts(Columnar):
    """Sound nodes; every array has shape `(n,)`.

    Attributes:
        blocks: where they are, ascending, dtype uint64.
        classes: `BlockClass`: what a leaf holds; `INTERNAL` for every internal node.
        may_hold_roots: leaves of one mapping that may be of one device root instead.
        nr_entries: keys in use, dtype int64.
        first: the lowest key, dtype uint64; the highest that there is if there are none.
        last: the highest key, dtype uint64; 0 if there are none.
        time: the newest time of a leaf's mappings, dtype int64.
        nr_newest: how many of them have it, dtype int64.
        highest: their highest data block, dtype int64; -1 without mappings.
    """

    blocks: Blocks
    classes: Classes
    may_hold_roots: Mask
    nr_entries: Counts
    first: Keys
    last: Keys
    time: Counts
    nr_newest: Counts
    highest: Counts

    @classmethod
    def blank(cls, blocks: Blocks, classes: Classes, nr_entries: Counts) -> "NodeFacts":
        """Return nodes of whose entries nothing is known yet."""
        return cls(
            blocks=blocks,
            classes=classes,
            may_hold_roots=np.zeros(len(blocks), dtype=np.bool_),
            nr_entries=nr_entries,
            first=np.full(len(blocks), LAST_KEY, dtype=np.uint64),
            last=np.zeros(len(blocks), dtype=np.uint64),
            time=np.zeros(len(blocks), dtype=np.int64),
            nr_newest=np.zeros(len(blocks), dtype=np.int64),
            highest=np.full(len(blocks), -1, dtype=np.int64),
        )

    @property
    def has_links(self) -> Mask:
        """Whose entries are among the links."""
        is_branch: Mask = (self.classes == BlockClass.INTERNAL) | (
            self.classes == BlockClass.DEVICE_ROOTS
        )
        return is_branch | self.may_hold_roots


@dataclass(frozen=True, slots=True, eq=False)
class Links(Columnar):
    """Entries that lead to other blocks: those of a node together, nodes ascending by block.

    Attributes:
        keys: dtype uint64.
        targets: blocks, dtype uint32; the highest number where no metadata has the block.
    """

    keys: Keys
    targets: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class DetailRows(Columnar):
    """Entries of leaves of device details, ordered like `Links`.

    Attributes:
        device_ids: dtype uint64.
        details: dtype `DEVICE_DETAILS`.
    """

    device_ids: Keys
    details: npt.NDArray[Any]


class Found(NamedTuple):
    """What the nodes of one piece of a device say."""

    nodes: NodeFacts
    links: Links
    details: DetailRows


def read_facts(blocks: Blocks, rows: Rows, classes: Classes) -> Found:
    """Read all nodes of a piece.

    Args:
        blocks: their numbers, ascending, shape `(n,)`.
        rows: the blocks, shape `(n, 4096)`.
        classes: all nodes are `INTERNAL`; set to `BAD` where one cannot be believed.
    """
    places = np.flatnonzero(classes == BlockClass.INTERNAL)
    headers = headers_of(rows)[places]
    kinds = _kinds(headers)
    nodes = NodeFacts.blank(blocks[places], kinds, headers["nr_entries"].astype(np.int64))
    links, details = [], []
    shapes = kinds.astype(np.int64) << 16 | headers["max_entries"]
    for shape in distinct(shapes[kinds != BlockClass.BAD]).tolist():
        kind, max_entries = BlockClass(shape >> 16), shape & 0xFFFF
        group = np.flatnonzero(shapes == shape)
        entries = _entries_of(
            rows, places[group], nodes.nr_entries[group], max_entries, _VALUES[kind]
        )
        _set_keys(nodes, group, entries)
        if kind is BlockClass.MAPPINGS:
            _set_mappings(nodes, group, entries)
        if kind is BlockClass.DETAILS:
            details.append((group, entries))
        elif kind in (BlockClass.INTERNAL, BlockClass.MAPPINGS):
            links.append((group, entries))
    is_bad = nodes.classes == BlockClass.BAD
    classes[places[is_bad]] = BlockClass.BAD
    return Found(
        nodes[~is_bad],
        _links(*_kept(links, nodes.has_links, CHILD)),
        DetailRows(*_kept(details, nodes.classes == BlockClass.DETAILS, DEVICE_DETAILS)),
    )


def _links(keys: Keys, targets: Blocks) -> Links:
    return Links(keys, np.minimum(targets, _NO_BLOCK).astype(np.uint32))


def _kinds(headers: Headers) -> Classes:
    """Tell nodes apart by their headers: `BAD`, `INTERNAL`, or what a leaf holds."""
    kinds = np.full(len(headers), BlockClass.BAD, dtype=np.uint8)
    for kind, values in _VALUES.items():
        flag = INTERNAL_NODE if kind is BlockClass.INTERNAL else LEAF_NODE
        kinds[
            (headers["flags"] == flag)
            & (headers["value_size"] == values.itemsize)
            & (headers["max_entries"] <= most_entries(values))
            & (headers["max_entries"] % 3 == 0)
            & (headers["nr_entries"] <= headers["max_entries"])
        ] = kind
    kinds[(kinds == BlockClass.INTERNAL) & (headers["nr_entries"] == 0)] = BlockClass.BAD
    return kinds


class _NodeEntries(NamedTuple):
    """Keys and values of nodes of one shape, each of shape `(n, m)`.

    Attributes:
        where: which rows of `keys` and `values` are of these nodes; the others mean nothing.
        counts: how many entries each node has.
        keys: those of a row that are not in use mean nothing.
        values: likewise.
        in_use: which are in use; None if all are.
    """

    where: Places
    counts: Counts
    keys: npt.NDArray[Any]
    values: npt.NDArray[Any]
    in_use: Mask | None


def _entries_of(
    rows: Rows, where: Places, counts: Counts, max_entries: int, values: np.dtype[Any]
) -> _NodeEntries:
    """Return the entries of the nodes in the rows `where`."""
    if 2 * len(where) < len(rows):  # else to copy them takes longer than to look at all
        rows, where = rows[where], np.arange(len(where))
    width = int(counts.max(initial=0))
    in_use: Mask | None = None
    if (counts != width).any():
        lengths = np.zeros(len(rows), dtype=np.int64)
        lengths[where] = counts
        in_use = np.arange(width) < lengths[:, np.newaxis]
    return _NodeEntries(
        where,
        counts,
        keys_of(rows, max_entries)[:, :width],
        values_of(rows, max_entries, values)[:, :width],
        in_use,
    )


def _set_keys(nodes: NodeFacts, group: Places, entries: _NodeEntries) -> None:
    """Set the lowest and highest keys; a node with keys out of order is `BAD`."""
    descends: Mask = entries.keys[:, 1:] <= entries.keys[:, :-1]
    if entries.in_use is not None:
        descends &= entries.in_use[:, 1:]
    if descends.any():
        is_bad = np.logical_or.reduce(descends, axis=1)[entries.where]
        nodes.classes[group[is_bad]] = BlockClass.BAD
    filled = np.flatnonzero(entries.counts)
    if len(filled):
        rows = entries.where[filled]
        nodes.first[group[filled]] = entries.keys[rows, 0]
        nodes.last[group[filled]] = entries.keys[rows, entries.counts[filled] - 1]


def _set_mappings(nodes: NodeFacts, group: Places, entries: _NodeEntries) -> None:
    """Set times and data blocks; find the leaves that hold device roots.

    A mapping to data block 1 is a higher number than any metadata block has, and a
    device maps data block 0 once. So two low numbers in a leaf are roots of devices.
    """
    if not entries.values.size:
        return
    words = entries.values
    if entries.in_use is not None:
        words = np.where(entries.in_use, words, np.uint64(0))
    times = words.astype(np.uint32)
    times &= np.uint32(block_time.MAX_TIME)
    newest = times.max(axis=1)
    is_newest = times == newest[:, np.newaxis]
    if entries.in_use is not None:
        is_newest &= entries.in_use
    nr_newest = np.add.reduce(is_newest.view(np.uint8), axis=1, dtype=np.uint8)
    highest = words.max(axis=1)[entries.where]
    filled = entries.counts > 0
    nodes.time[group] = newest[entries.where]
    nodes.nr_newest[group] = nr_newest[entries.where]
    nodes.highest[group[filled]] = block_time.data_block(highest[filled])

    low = np.flatnonzero(filled & (highest < MAX_METADATA_BLOCKS))
    nr_above_0 = np.count_nonzero(words[entries.where[low]], axis=1)
    roots = low[
        (nr_above_0 == entries.counts[low])
        & (nodes.last[group[low]] <= _MAX_DEVICE_ID)
        & (nodes.classes[group[low]] != BlockClass.BAD)
    ]
    is_one = entries.counts[roots] == 1
    nodes.may_hold_roots[group[roots[is_one]]] = True
    nodes.classes[group[roots[~is_one]]] = BlockClass.DEVICE_ROOTS


def _kept(
    groups: list[tuple[Places, _NodeEntries]], wanted: Mask, values: np.dtype[Any]
) -> tuple[Keys, npt.NDArray[Any]]:
    """Return the entries of the wanted nodes, in the order of the nodes."""
    owners = [np.empty(0, dtype=np.int64)]
    keys = [np.empty(0, dtype=np.uint64)]
    data = [np.empty(0, dtype=values)]
    for group, entries in groups:
        some = np.flatnonzero(wanted[group])
        rows = entries.where[some]
        in_use = slice(None) if entries.in_use is None else entries.in_use[rows]
        owners.append(np.repeat(group[some], entries.counts[some]))
        keys.append(entries.keys[rows][in_use].ravel())
        data.append(entries.values[rows][in_use].ravel())
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(keys)[order], np.concatenate(data)[order]
