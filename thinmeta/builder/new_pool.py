"""All of a pool's metadata, from a stream of parts: trees, space maps, superblock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.builder.space_maps import WrittenSpaceMap, write_data_space_map
from thinmeta.builder.store import Store
from thinmeta.builder.tree import NewTree
from thinmeta.schemas import block_time
from thinmeta.schemas.columns import BLOCK_TIME, CHILD, DEVICE_DETAILS, dtype_of
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.schemas.superblock import (
    MAX_THIN_VERSION,
    SUPERBLOCK_CSUM_XOR,
    SUPERBLOCK_LOCATION,
    THIN_SUPERBLOCK_MAGIC,
    Superblock,
)
from thinmeta.units import MAX_DEVICE_ID, METADATA_BLOCK_BYTES, SECTOR_BYTES
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.node_list import NODES_AT_ONCE
from thinmeta.walk.nodes import Keys
from thinmeta.walk.runs import Runs, mappings_of
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    Mark,
    SharedBegin,
    SharedEnd,
    SharedRef,
    StreamHeader,
    StreamPart,
)

SUPERBLOCK = dtype_of(Superblock)


class Miscounted(NamedTuple):
    """A device that has not as many mappings as somebody said; what was counted is written."""

    device_id: int
    said: int
    counted: int


@dataclass(frozen=True, slots=True)
class Built:
    """What has to be known of the trees once they are built.

    Attributes:
        mapping_root: of the tree from device id to mapping tree.
        details_root: of the device details.
        data_space_map: with the number of data blocks.
        nr_devices: how many devices there are.
        nr_mappings: how many mappings all of them have together.
        miscounted: by device id.
        unusable_ids: those that the kernel activates no device with.
    """

    mapping_root: int
    details_root: int
    data_space_map: WrittenSpaceMap
    nr_devices: int
    nr_mappings: int
    miscounted: tuple[Miscounted, ...]
    unusable_ids: tuple[int, ...]


LEAST_SHARED = max_entries_of(BLOCK_TIME) // 2
"""Mappings that are worth a leaf of their own, where devices have others beside them."""

LEAST_IN_LEAF = max_entries_of(BLOCK_TIME) // 3
"""Mappings that a leaf must have, unless it is all of a tree."""


class _Shared(NamedTuple):
    """What several devices share: entries that are too few for a shared leaf, or leaves."""

    keys: Keys
    values: Keys
    blocks: Keys
    nr_entries: int


def build_trees(
    header: StreamHeader,
    parts: Iterable[StreamPart],
    store: Store,
    least_shared: int = LEAST_SHARED,
) -> Built:
    """Write all but the metadata's own space map and the superblock.

    Args:
        header: for the number of data blocks.
        parts: what to build; see `parts`.
        store: where to, with nothing in it yet.
        least_shared: how many mappings stay shared where devices have others beside them;
            fewer are copied to each. `LEAST_IN_LEAF` or more.

    Raises:
        OutputError: no metadata can have so many blocks.
    """
    builder = _Builder(store, least_shared)
    for part in parts:
        builder.add(part)
    return builder.finish(header.nr_data_blocks)


def write_superblock(
    store: Store, header: StreamHeader, built: Built, metadata_space_map: WrittenSpaceMap
) -> None:
    """Write block 0, which makes metadata of all the others."""
    row = np.zeros((1, METADATA_BLOCK_BYTES), dtype=np.uint8)
    superblock = row[:, : SUPERBLOCK.itemsize].view(SUPERBLOCK)[0, 0]
    superblock["blocknr"] = SUPERBLOCK_LOCATION
    superblock["magic"] = THIN_SUPERBLOCK_MAGIC
    superblock["version"] = MAX_THIN_VERSION
    superblock["time"] = header.time
    superblock["trans_id"] = header.transaction_id
    superblock["data_mapping_root"] = built.mapping_root
    superblock["device_details_root"] = built.details_root
    superblock["data_block_size"] = header.data_block_sectors
    superblock["metadata_block_size"] = METADATA_BLOCK_BYTES // SECTOR_BYTES
    superblock["metadata_nr_blocks"] = metadata_space_map.nr_blocks
    for name, root in (("data", built.data_space_map), ("metadata", metadata_space_map)):
        for field, value in root._asdict().items():
            superblock[f"{name}_space_map_root"][field] = value
    store.write(SUPERBLOCK_LOCATION, row, SUPERBLOCK_CSUM_XOR)


class _Builder:
    """The state that goes from part to part."""

    def __init__(self, store: Store, least_shared: int) -> None:
        self._store = store
        self._least_shared = least_shared
        self._counts = BlockCounts()
        self._tree = NewTree(store, BLOCK_TIME)
        self._name: str | int = 0
        self._device = DeviceBegin(0, 0, 0, 0, 0)
        self._shared: dict[str | int, _Shared] = {}
        self._roots: dict[str | int, int] = {}
        # The one reference that is all that the device has so far.
        self._sole: str | int | None = None
        self._devices: list[tuple[DeviceBegin, int, int]] = []

    def add(self, part: StreamPart) -> None:
        done = 0
        for mark, before in zip(part.marks, part.before, strict=True):
            self._add_runs(part.runs[done:before])
            done = before
            self._mark(mark)
        self._add_runs(part.runs[done:])

    def _add_runs(self, runs: Runs) -> None:
        if not len(runs):
            return
        self._add_sole()
        longest = int(runs.length.max())
        self._store.require(longest // max_entries_of(BLOCK_TIME), f"{longest} mappings")
        for keys, values in mappings_of(runs):
            self._tree.add(keys, values)

    def _mark(self, mark: Mark) -> None:
        match mark:
            case SharedBegin(name):
                self._name = name
                self._tree = NewTree(self._store, BLOCK_TIME)
            case SharedEnd():
                self._end_shared()
            case SharedRef(name):
                self._refer(name)
            case DeviceBegin():
                self._device = mark
                self._tree = NewTree(self._store, BLOCK_TIME, self._counts)
            case DeviceEnd():
                if self._sole is None:
                    nr_entries, root = self._tree.nr_entries, self._tree.root()
                else:
                    nr_entries, root = (
                        self._shared[self._sole].nr_entries,
                        self._root_of(self._sole),
                    )
                    self._sole = None
                self._devices.append((self._device, nr_entries, root))

    def _refer(self, name: str | int) -> None:
        """Take what is shared into a device: as its whole tree, if nothing else comes."""
        if not self._shared[name].nr_entries and (self._sole is not None or self._tree.nr_entries):
            return
        self._add_sole()
        if self._tree.nr_entries:
            self._tree_takes(self._tree, self._shared[name])
        else:
            self._sole = name

    def _add_sole(self) -> None:
        if self._sole is not None:
            self._tree_takes(self._tree, self._shared[self._sole])
            self._sole = None

    def _root_of(self, name: str | int) -> int:
        """Return the tree that holds what is shared and nothing else, for who has no more."""
        if name not in self._roots:
            tree = NewTree(self._store, BLOCK_TIME, self._counts)
            self._tree_takes(tree, self._shared[name])
            self._roots[name] = tree.root()
        return self._roots[name]

    @staticmethod
    def _tree_takes(tree: NewTree, shared: _Shared) -> None:
        if len(shared.blocks):
            tree.add_leaves(shared.keys, shared.blocks, shared.nr_entries)
        else:
            tree.add(shared.keys, shared.values)

    def _end_shared(self) -> None:
        """Share what makes a leaf that is full enough; copy what is less, but as a whole tree."""
        tree = self._tree
        none = np.empty(0, dtype=np.uint64)
        if tree.nr_entries < self._least_shared:
            self._shared[self._name] = _Shared(*tree.open_entries(), none, tree.nr_entries)
        else:
            keys, blocks = tree.leaves()
            self._shared[self._name] = _Shared(keys, none, blocks, tree.nr_entries)

    def finish(self, nr_data_blocks: int | None) -> Built:
        devices = sorted(self._devices)
        details = np.zeros(len(devices), dtype=DEVICE_DETAILS)
        details["mapped_blocks"] = [counted for _, counted, _ in devices]
        details["transaction_id"] = [device.transaction_id for device, _, _ in devices]
        details["creation_time"] = [device.creation_time for device, _, _ in devices]
        details["snapshotted_time"] = [device.snap_time for device, _, _ in devices]
        ids = np.array([device.device_id for device, _, _ in devices], dtype=np.uint64)
        roots = np.array([root for _, _, root in devices], dtype=np.uint64)
        self._store.refer_to(roots)
        mapping_root, details_root = self._root(ids, roots.astype(CHILD)), self._root(ids, details)
        self._store.refer_to(np.array([0, mapping_root, details_root], dtype=np.uint64))
        self._count_shared()
        nr_blocks = max(nr_data_blocks or 0, self._counts.highest() + 1)
        return Built(
            mapping_root,
            details_root,
            write_data_space_map(self._store, self._counts, nr_blocks),
            nr_devices=len(devices),
            nr_mappings=sum(counted for _, counted, _ in devices),
            miscounted=tuple(
                Miscounted(device.device_id, device.mapped_blocks, counted)
                for device, counted, _ in devices
                if device.mapped_blocks != counted
            ),
            unusable_ids=tuple(ids[ids > MAX_DEVICE_ID].tolist()),
        )

    def _root(self, keys: Keys, values: npt.NDArray[Any]) -> int:
        tree = NewTree(self._store, values.dtype)
        tree.add(keys, values)
        return tree.root()

    def _count_shared(self) -> None:
        """Count what shared leaves map: once a leaf, and not if nobody refers to it."""
        references = self._store.references(self._store.nr_blocks)
        for shared in self._shared.values():
            used = shared.blocks[references[shared.blocks.astype(np.int64)] > 0]
            for begin in range(0, len(used), NODES_AT_ONCE):
                entries = self._store.read_leaves(used[begin : begin + NODES_AT_ONCE])
                self._counts.add(block_time.data_block(entries.values))
