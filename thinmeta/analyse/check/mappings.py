"""The mapping trees of all devices, live and in the metadata snapshot: whether all can be read."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.check.device_trees import MappingTree
from thinmeta.analyse.check.findings import Finding, Part, Severity
from thinmeta.analyse.check.repeats import Repeat, Repeats
from thinmeta.analyse.check.tree_walker import TreeWalker, WalkedTrees, is_among, lost_leaves
from thinmeta.device.blocks import Blocks
from thinmeta.schemas import block_time
from thinmeta.units import MetadataBlock
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.nodes import MAPPINGS, Entries, Mask
from thinmeta.walk.ragged import is_new

_REPEATED = "mapped more than once by the same device, so a write to one place changes the other"


class _Beyond(NamedTuple):
    """Mappings of one leaf that lead past the end of the data device."""

    block: int
    first_key: int
    last_key: int
    nr_mappings: int


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


def is_repeat(finding: Finding) -> bool:
    """Tell whether a finding is of a data block that one device maps twice."""
    return finding.what == _REPEATED


def _repeat_finding(repeat: Repeat) -> Finding:
    return Finding(
        Severity.FATAL,
        Part.MAPPINGS,
        _REPEATED,
        first_key=repeat.first,
        last_key=repeat.last,
        key_name="data block",
    )


def _wrong_totals(walked: WalkedTrees, trees: list[MappingTree]) -> Iterator[Finding]:
    is_damaged = walked.damaged_trees()
    live = {tree._replace(in_snapshot=True) for tree in trees if not tree.in_snapshot}
    for place, count in enumerate(walked.entries_by_tree().tolist()):
        tree = trees[place]
        if tree.mapped_blocks is None or count == tree.mapped_blocks or tree in live:
            continue
        missing = tree.mapped_blocks - count
        what = f"has {count} mappings, but its details say {tree.mapped_blocks}"
        if is_damaged[place]:
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
        yield finding._replace(device_ids=like.device_ids, in_snapshot=like.in_snapshot)


def _with_devices(finding: Finding, trees: list[MappingTree]) -> Finding:
    """Name the devices that a finding hits: those of the snapshot only if no live one is."""
    live = [tree.device_id for tree in trees if not tree.in_snapshot]
    hit = live or [tree.device_id for tree in trees]
    return finding._replace(
        device_ids=tuple(sorted(set(hit))),
        in_snapshot=bool(trees) and not live,
    )
