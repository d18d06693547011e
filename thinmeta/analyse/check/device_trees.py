"""The two trees by device id, live and in the metadata snapshot: whether they agree."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.check.findings import Finding, Part, Severity
from thinmeta.analyse.check.kept_entries import KeptEntries
from thinmeta.analyse.check.tree_walker import TreeWalker, lost_leaves
from thinmeta.device.blocks import Blocks
from thinmeta.model.device_table import DeviceTable, DeviceTree, joined_trees
from thinmeta.model.superblock import Superblock
from thinmeta.units import MAX_DEVICE_ID, DeviceId, MetadataBlock
from thinmeta.walk.nodes import DETAILS, DEVICE_ROOTS, Entries, TreeKind


class CheckedState(NamedTuple):
    """A state of the pool whose devices are checked."""

    superblock: Superblock
    is_snapshot: bool


class MappingTree(NamedTuple):
    """A device's mapping tree: whose it is, and how many mappings it should have.

    Attributes:
        device_id: whose.
        in_snapshot: whether it is the device in the metadata snapshot.
        root: where it is.
        mapped_blocks: what the details say; None if the device has none.
    """

    device_id: DeviceId
    in_snapshot: bool
    root: MetadataBlock
    mapped_blocks: int | None


def check_device_trees(walker: TreeWalker, states: list[CheckedState]) -> list[MappingTree]:
    """Check details trees and trees of devices, and whether they hold the same ids.

    Args:
        walker: counts what the trees refer to.
        states: live, and then the metadata snapshot; or one of them.

    Returns:
        All mapping trees that the trees know.
    """
    details_roots = [state.superblock.device_details_root for state in states]
    devices_roots = [state.superblock.data_mapping_root for state in states]
    details = _walk(walker, states, Part.DETAILS, DETAILS, details_roots)
    devices = _walk(walker, states, Part.DEVICES, DEVICE_ROOTS, devices_roots)
    found: list[MappingTree] = []
    for state, of_roots, of_details in zip(states, devices, details, strict=True):
        table = joined_trees(of_roots, of_details)
        walker.progress.add(_disagreements(table, state))
        walker.progress.add(_later_snap_times(table, state))
        walker.progress.add(_unusable_ids(table, state))
        found += _mapping_trees(table, state)
    return found


def _walk(
    walker: TreeWalker,
    states: list[CheckedState],
    part: Part,
    kind: TreeKind,
    roots: list[MetadataBlock],
) -> list[DeviceTree]:
    """Check one tree by device id of each state, and return what it holds."""
    kept = KeptEntries(kind)

    def keep(blocks: Blocks, entries: Entries) -> None:
        kept.add(blocks, entries)
        if kind is DEVICE_ROOTS:
            walker.references.add(entries.values)

    at = np.array(roots, dtype=np.uint64)
    walker.references.add(at)
    walked = walker.walk(at, kind, part, keep)
    for finding, trees in lost_leaves(walked, part):
        in_snapshot = all(states[tree].is_snapshot for tree in trees)
        walker.progress.add([finding._replace(in_snapshot=in_snapshot)])
    return [DeviceTree(*kept.of_tree(walked, tree)) for tree in range(len(states))]


def _disagreements(table: DeviceTable, state: CheckedState) -> Iterator[Finding]:
    for damage in table.disagreements():
        if damage.device_id is None:
            continue
        listed = damage.block is None  # else the damage names the mapping tree's root
        yield Finding(
            Severity.FATAL,
            Part.DETAILS if listed else Part.DEVICES,
            f"only the {'details tree' if listed else 'tree of devices'} has this device",
            lost="its mappings" if listed else "its details",
            block=damage.block,
            device_ids=(damage.device_id,),
            in_snapshot=state.is_snapshot,
        )


def _later_snap_times(table: DeviceTable, state: CheckedState) -> Iterator[Finding]:
    """Tell of devices that were snapshotted in the future.

    Source: `__snapshotted_since()`, drivers/md/dm-thin-metadata.c (Linux v6.6).
    """
    time = state.superblock.time
    snap_times = table.devices.details["snapshotted_time"]
    later = snap_times > time
    if later.any():
        highest = snap_times.max()
        yield Finding(
            Severity.NOT_FATAL,
            Part.DETAILS,
            f"the snap time, {highest}, is later than the superblock's time, {time}: "
            "until that has passed it, each write goes to a copy of its block",
            device_ids=tuple(table.devices.ids[later].tolist()),
            in_snapshot=state.is_snapshot,
        )


def _unusable_ids(table: DeviceTable, state: CheckedState) -> Iterator[Finding]:
    """Tell of ids that fit into the trees, and that the kernel takes from nobody."""
    ids = table.devices.ids
    if len(ids) and ids[-1] > MAX_DEVICE_ID:
        yield Finding(
            Severity.NOT_FATAL,
            Part.DETAILS,
            f"the kernel activates no device with an id above {MAX_DEVICE_ID}",
            device_ids=tuple(ids[ids > MAX_DEVICE_ID].tolist()),
            in_snapshot=state.is_snapshot,
        )


def _mapping_trees(table: DeviceTable, state: CheckedState) -> Iterator[MappingTree]:
    for device in table.devices:
        if device.mapping_root is not None:
            yield MappingTree(
                device.device_id, state.is_snapshot, device.mapping_root, device.mapped_blocks
            )
    for device_id, root in table.without_details.items():
        yield MappingTree(device_id, state.is_snapshot, root, None)
