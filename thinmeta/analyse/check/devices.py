"""The trees of devices and of their mappings, live and in the metadata snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.check.counting import BlockCounts
from thinmeta.analyse.check.findings import Finding, Part, Severity
from thinmeta.analyse.check.repeats import Repeat, Repeats
from thinmeta.analyse.check.trees import TreeWalker, WalkedTrees, is_among, lost_leaves
from thinmeta.device.blocks import Blocks
from thinmeta.errors import raise_damage
from thinmeta.model.device_table import DeviceTable, read_device_table
from thinmeta.model.superblock import Superblock
from thinmeta.schemas import block_time
from thinmeta.units import MAX_DEVICE_ID, DeviceId, MetadataBlock
from thinmeta.walk.nodes import DETAILS, DEVICE_ROOTS, MAPPINGS, Entries, Mask
from thinmeta.walk.ragged import is_new


@dataclass(frozen=True, slots=True)
class CheckedState:
    """A state of the pool whose devices are checked."""

    superblock: Superblock
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class MappingTree:
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


class _Beyond(NamedTuple):
    """Mappings of one leaf that lead past the end of the data device."""

    block: int
    first_key: int
    last_key: int
    nr_mappings: int


def check_device_trees(walker: TreeWalker, states: list[CheckedState]) -> list[MappingTree]:
    """Check details trees and trees of devices, and whether they hold the same ids.

    Args:
        walker: counts what the trees refer to.
        states: live, and then the metadata snapshot; or one of them.

    Returns:
        All mapping trees that the trees know.
    """
    details = [state.superblock.device_details_root for state in states]
    devices = [state.superblock.data_mapping_root for state in states]

    def refer(blocks: Blocks, entries: Entries) -> None:  # noqa: ARG001
        walker.references.add(entries.values)

    for part, kind, roots, on_entries in (
        (Part.DETAILS, DETAILS, details, lambda blocks, entries: None),  # noqa: ARG005
        (Part.DEVICES, DEVICE_ROOTS, devices, refer),
    ):
        at = np.array(roots, dtype=np.uint64)
        walker.references.add(at)
        walked = walker.walk(at, kind, part, on_entries)
        for finding, trees in lost_leaves(walked, part):
            in_snapshot = all(states[tree].is_snapshot for tree in trees)
            walker.progress.add([replace(finding, in_snapshot=in_snapshot)])
    found: list[MappingTree] = []
    for state in states:
        table = read_device_table(walker.source, state.superblock, raise_damage)
        walker.progress.add(_disagreements(table, state))
        walker.progress.add(_later_snap_times(table, state))
        walker.progress.add(_unusable_ids(table, state))
        found += _mapping_trees(table, state)
    return found


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
    for device_id, root in table.unlisted.items():
        yield MappingTree(device_id, state.is_snapshot, root, None)


def check_mappings(
    walker: TreeWalker, trees: list[MappingTree], mapped: BlockCounts, nr_data_blocks: int
) -> int:
    """Check all mapping trees together, so that what they share is read once.

    Args:
        walker: counts the metadata blocks that the trees refer to.
        trees: of all devices, live and in the metadata snapshot.
        mapped: counts the data blocks that the leaves' mappings refer to.
        nr_data_blocks: the data device's size.

    Returns:
        How many mappings of live devices can be read; of those in the snapshot, if
        only that is checked.
    """
    beyond: list[_Beyond] = []

    def add(blocks: Blocks, entries: Entries) -> None:
        data_blocks = block_time.data_block(entries.values)
        mapped.add(data_blocks)
        if len(data_blocks) and int(data_blocks.max()) >= nr_data_blocks:
            beyond.extend(_beyond(blocks, entries, data_blocks >= nr_data_blocks))

    roots = np.array([tree.root for tree in trees], dtype=np.uint64)
    walked = walker.walk(roots, MAPPINGS, Part.MAPPINGS, add)
    walker.progress.add(_with_owners(lost_leaves(walked, Part.MAPPINGS), trees))
    walker.progress.add(_beyond_findings(walked, trees, beyond))
    walker.progress.add(
        _with_devices(_repeat_finding(repeat), [trees[place] for place in repeat.trees])
        for repeat in Repeats(walker.source, walked, mapped).found()
    )
    walker.progress.add(_wrong_totals(walked, trees))
    counted = walked.entries_by_tree().tolist()
    only_snapshot = all(tree.in_snapshot for tree in trees)
    return sum(
        count
        for tree, count in zip(trees, counted, strict=True)
        if tree.in_snapshot == only_snapshot
    )


def _beyond(blocks: Blocks, entries: Entries, is_beyond: Mask) -> list[_Beyond]:
    """Return the mappings in question, by leaf."""
    places = np.flatnonzero(is_beyond)
    leaves = np.searchsorted(entries.starts, places, side="right") - 1
    begins = np.flatnonzero(is_new(leaves))
    ends = np.append(begins[1:], len(places))
    columns = (
        blocks[leaves[begins]],
        entries.keys[places[begins]],
        entries.keys[places[ends - 1]],
        ends - begins,
    )
    return list(map(_Beyond, *(column.tolist() for column in columns)))


def _beyond_findings(
    walked: WalkedTrees, trees: list[MappingTree], beyond: list[_Beyond]
) -> Iterator[Finding]:
    if not beyond:
        return
    leaves = walked.forest.levels[0].nodes
    blocks = np.array([each.block for each in beyond], dtype=np.uint64)  # ascending
    bad = is_among(leaves.blocks, blocks) & (walked.codes == 0)
    owners: dict[int, list[int]] = {}
    for place, places in walked.trees_of(bad).items():
        owners.setdefault(int(leaves.blocks[place]), []).extend(places)
    for block, first, last, number in beyond:
        finding = Finding(
            Severity.FATAL,
            Part.MAPPINGS,
            f"{number} mapping{' leads' if number == 1 else 's lead'} past the data device's end",
            lost="their data",
            block=MetadataBlock(block),
            first_key=first,
            last_key=last,
            key_name=MAPPINGS.key_name,
        )
        yield _with_devices(finding, [trees[place] for place in owners.get(block, [])])


def _repeat_finding(repeat: Repeat) -> Finding:
    return Finding(
        Severity.FATAL,
        Part.MAPPINGS,
        "mapped more than once by the same device, so a write to one place changes the other",
        first_key=repeat.first,
        last_key=repeat.last,
        key_name="data block",
    )


def _wrong_totals(walked: WalkedTrees, trees: list[MappingTree]) -> Iterator[Finding]:
    spoiled = walked.spoiled_trees()
    live = {replace(tree, in_snapshot=True) for tree in trees if not tree.in_snapshot}
    for place, count in enumerate(walked.entries_by_tree().tolist()):
        tree = trees[place]
        if tree.mapped_blocks is None or count == tree.mapped_blocks or tree in live:
            continue
        missing = tree.mapped_blocks - count
        what = f"has {count} mappings, but its details say {tree.mapped_blocks}"
        if spoiled[place]:
            what = f"only {count} of its {tree.mapped_blocks} mappings can be read"
        finding = Finding(
            Severity.FATAL,
            Part.MAPPINGS,
            what,
            lost=f"{missing} mappings" if missing > 0 else None,
        )
        yield _with_devices(finding, [tree])


def _with_owners(
    lost: Iterator[tuple[Finding, list[int]]], trees: list[MappingTree]
) -> Iterator[Finding]:
    """Name the devices that findings hit; those of one list of trees are told in one tuple."""
    known: dict[int, Finding] = {}
    for finding, places in lost:
        if id(places) not in known:
            known[id(places)] = _with_devices(finding, [trees[place] for place in places])
        like = known[id(places)]
        yield replace(finding, device_ids=like.device_ids, in_snapshot=like.in_snapshot)


def _with_devices(finding: Finding, trees: list[MappingTree]) -> Finding:
    """Name the devices that a finding hits: those of the snapshot only if no live one is."""
    live = [tree.device_id for tree in trees if not tree.in_snapshot]
    hit = live or [tree.device_id for tree in trees]
    return replace(
        finding,
        device_ids=tuple(sorted(set(hit))),
        in_snapshot=bool(trees) and not live,
    )
