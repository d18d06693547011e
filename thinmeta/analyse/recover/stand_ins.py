"""Devices of which nothing is left, as an older state still has them.

A tree of an older state stands in for one that is lost where nothing speaks against it: by the
newest details its device is what it was, created and snapshotted when it was and with as many
mappings, and the newest data space map counts each of its data blocks for it, beside all leaves
that are in use.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.put_in import list_of_devices
from thinmeta.analyse.recover.scan import Scan
from thinmeta.device.blocks import Blocks
from thinmeta.errors import Damage, DamagedMetadataError
from thinmeta.model.device_table import read_roots
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.state import State
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas import block_time
from thinmeta.schemas.checksum import Rows
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS
from thinmeta.walk.ragged import distinct, tallied
from thinmeta.walk.space_map import BLOCKS_AT_ONCE

_MOST_STATES = 1000
"""States that are looked at: there may be very many, and the best come first."""


class StandIn(NamedTuple):
    """A device whose mapping tree is that of an older state.

    Attributes:
        device: as that state has it.
        state: that state.
    """

    device: FoundDevice
    state: Candidate


def emptied_devices(pool: Pool) -> dict[DeviceId, ThinDevice]:
    """Return the devices that have mappings by their details, and whose mapping tree is lost.

    It is where its root is not what it should be, or where nobody knows which block that is.
    """
    trees = MappingTrees.of(pool)
    forest = trees.forest
    is_lost = forest.heights == 0
    is_lost[is_lost] = forest.levels[0].nodes.codes[forest.roots[is_lost]] != 0
    lost = set(trees.ids[is_lost].tolist())
    return {
        each.device_id: each
        for each in pool.device_table.devices
        if each.mapped_blocks and (each.mapping_root is None or each.device_id in lost)
    }


def find_stand_ins(pool: Pool, scan: Scan, wanted: Mapping[DeviceId, ThinDevice]) -> list[StandIn]:
    """Return the trees that stand in for those of some devices, by ascending id.

    Args:
        pool: in the live state, of which all is there that can be proven.
        scan: of its metadata.
        wanted: devices whose mapping trees are lost.
    """
    found: dict[DeviceId, StandIn] = {}
    free: _FreeCounts | None = None
    for device, state in _alike(scan, wanted):
        if device.device_id in found or device.mapping_root is None:
            continue
        free = free or _FreeCounts(pool)
        if free.take(device.mapping_root):
            found[device.device_id] = StandIn(device, state)
    return [found[each] for each in sorted(found)]


def list_with_stand_ins(pool: Pool, scan: Scan, found: list[StandIn]) -> dict[int, Rows]:
    """Return the leaves of the list of devices that lead to the trees that stand in, by block.

    Where that list is lost, it is made anew if it fits into a leaf.
    """
    live = pool.live_superblock
    roots = {
        each.device.device_id: each.device.mapping_root
        for each in found
        if each.device.mapping_root is not None
    }
    lists = scan.lists
    leaves = lists.leaves(live.data_mapping_root)
    rows: dict[int, Rows] = {}
    for leaf in leaves.tolist():
        links = lists.trees.links_of(np.array([leaf]))
        listed = dict(
            zip(lists.trees.keys[links].tolist(), lists.trees.targets[links].tolist(), strict=True)
        )
        if listed.keys() & roots.keys():
            changed = {key: roots.get(DeviceId(key)) or root for key, root in listed.items()}
            block = int(lists.trees.nodes.blocks[leaf])
            rows[block] = list_of_devices(block, changed)
    if not len(leaves) and live.data_mapping_root < pool.source.device.nr_blocks:
        left = read_roots(pool.source, live, lambda _: None)
        known: dict[int, int] = dict([*left.items(), *roots.items()])
        if len(known) <= max_entries_of(CHILD):
            rows[live.data_mapping_root] = list_of_devices(live.data_mapping_root, known)
    return rows


def _alike(
    scan: Scan, wanted: Mapping[DeviceId, ThinDevice]
) -> Iterator[tuple[FoundDevice, Candidate]]:
    """Return older whole states of devices that have the same details, the best first."""
    states = (each for each in scan.candidates if each.is_pair and not each.is_live)
    for state in islice(states, _MOST_STATES):
        for device in scan.devices(state):
            now = wanted.get(device.device_id)
            if now is not None and device.is_whole and _details(device) == _details(now):
                yield device, state


def _details(device: FoundDevice | ThinDevice) -> tuple[int | None, ...]:
    return (
        device.mapped_blocks,
        device.transaction_id,
        device.creation_time,
        device.snap_time,
    )


class _FreeCounts:
    """What the data space map counts beside the leaves that are in use."""

    def __init__(self, pool: Pool) -> None:
        """Count what the leaves map that are in use."""
        root = pool.live_superblock.data_space_map
        self._source = pool.source
        self._damages: list[Damage] = []
        self._stored = RefCounts(pool.source, root, self._damages.append, is_metadata=False)
        self._mapped = BlockCounts(root.nr_blocks)
        self._leaves: set[int] = set()
        self._add(MappingTrees.of(pool).forest)
        if pool.live_superblock.held_root:
            try:
                held = pool.in_state(State.SNAP)
            except DamagedMetadataError as error:
                self._damages.append(error.damage)
            else:
                self._add(MappingTrees.of(held).forest)

    def take(self, root: MetadataBlock) -> bool:
        """Tell whether all that a tree maps is counted for it; then it is in use, too."""
        forest = grow(self._source, np.array([root], dtype=np.uint64), MAPPINGS)
        leaves = self._new_leaves(forest)
        parts = [np.empty(0, dtype=np.uint64)]
        for piece in leaf_pieces(self._source, leaves, MAPPINGS):
            if piece.codes.any():
                return False
            parts.append(block_time.data_block(piece.entries.values))
        blocks = np.concatenate(parts)
        if forest.nr_bad or not self._are_counted(blocks):
            return False
        self._mapped.add(blocks)
        self._leaves.update(leaves.blocks.tolist())
        return True

    def _add(self, forest: Forest) -> None:
        leaves = self._new_leaves(forest)
        for piece in leaf_pieces(self._source, leaves, MAPPINGS):
            self._mapped.add(block_time.data_block(piece.entries.values))
        self._leaves.update(leaves.blocks.tolist())

    def _new_leaves(self, forest: Forest) -> NodeList:
        """Return the leaves that were not counted yet, each once: so the space map counts them."""
        nodes = forest.levels[0].nodes
        blocks = distinct(np.sort(nodes.blocks[nodes.codes == 0]))
        blocks = np.array([each for each in blocks.tolist() if each not in self._leaves], np.uint64)
        return NodeList.roots(blocks, np.zeros(len(blocks), dtype=np.uint8))

    def _are_counted(self, blocks: Blocks) -> bool:
        """Tell whether each of `blocks` is counted for each time that it is among them."""
        wanted, times = tallied(blocks)
        if len(wanted) and int(wanted[-1]) >= self._stored.root.nr_blocks:
            return False
        numbers = wanted // np.uint64(BLOCKS_AT_ONCE)
        for number in distinct(numbers).tolist():
            here = numbers == number
            first, last = int(wanted[here][0]), int(wanted[here][-1])
            counts = self._stored.read(first, last + 1).astype(np.int64)
            begin = number * BLOCKS_AT_ONCE
            if (window := self._mapped.window(number)) is not None:
                counts -= window[first - begin : last + 1 - begin].astype(np.int64)
            at = (wanted[here] - np.uint64(first)).astype(np.int64)
            if self._damages or (counts[at] < times[here]).any():
                return False
        return True
