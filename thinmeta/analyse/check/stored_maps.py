"""The two space maps: whether they can be read, and what they store.

Source: `sm_ll_lookup_bitmap()`, drivers/md/persistent-data/dm-space-map-common.c; the
index block, `metadata_ll_load_ie()` there (Linux v6.6).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.check.findings import Finding, Part, Severity
from thinmeta.analyse.check.tree_walker import TreeWalker, lost_leaves
from thinmeta.device.blocks import Blocks
from thinmeta.errors import Damage
from thinmeta.model.superblock import SpaceMapRoot
from thinmeta.schemas.columns import INDEX_ENTRY
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK, MAX_METADATA_BITMAPS
from thinmeta.units import MAX_METADATA_BLOCKS
from thinmeta.walk.nodes import BITMAP_INDEX, REF_COUNTS, Entries, Keys
from thinmeta.walk.space_map import IndexEntries, metadata_index


class StoredMap(NamedTuple):
    """A space map whose index was read.

    Attributes:
        part: which of the two.
        root: where it is.
        numbers: of the bitmaps that the index has, ascending, shape `(n,)`.
        entries: the index entries of these bitmaps.
        index_lost: whether a part of the index is lost.
        nr_large: counts of 3 and more in the ref count tree.
        tree_lost: whether a part of the ref count tree is lost.
    """

    part: Part
    root: SpaceMapRoot
    numbers: Keys
    entries: IndexEntries
    index_lost: bool
    nr_large: int
    tree_lost: bool

    @property
    def nr_bitmaps(self) -> int:
        """How many bitmaps there should be."""
        return -(-self.root.nr_blocks // ENTRIES_PER_BLOCK)

    @property
    def key_name(self) -> str:
        """What it counts."""
        return "data block" if self.part is Part.DATA_SPACE_MAP else "metadata block"


def read_data_space_map(walker: TreeWalker, root: SpaceMapRoot) -> StoredMap:
    """Check the trees of the data space map and count what they refer to."""
    part = Part.DATA_SPACE_MAP
    keys = [np.empty(0, dtype=np.uint64)]
    values = [np.empty(0, dtype=INDEX_ENTRY)]

    def gather(blocks: Blocks, entries: Entries) -> None:  # noqa: ARG001
        keys.append(entries.keys)
        values.append(entries.values)

    at = np.array([root.bitmap_root], dtype=np.uint64)
    walker.references.add(at)
    walked = walker.walk(at, BITMAP_INDEX, part, gather)
    lost = [finding for finding, _ in lost_leaves(walked, part)]
    walker.progress.add(lost)
    numbers, entries = np.concatenate(keys), np.concatenate(values)
    order = np.argsort(numbers, kind="stable")
    large = _check_ref_count_tree(walker, root, part)
    return _with_bitmaps(
        walker, StoredMap(part, root, numbers[order], entries[order], bool(lost), *large)
    )


def read_metadata_space_map(walker: TreeWalker, root: SpaceMapRoot) -> StoredMap:
    """Check index block and ref count tree of the metadata space map; count their references."""
    part = Part.METADATA_SPACE_MAP
    lost: list[Damage] = []
    walker.references.add(np.array([root.bitmap_root], dtype=np.uint64))
    if root.nr_blocks > MAX_METADATA_BLOCKS:
        what = f"claims {root.nr_blocks} blocks; its index has room for {MAX_METADATA_BLOCKS}"
        walker.progress.add([Finding(Severity.FATAL, part, what)])
    nr_bitmaps = min(-(-root.nr_blocks // ENTRIES_PER_BLOCK), MAX_METADATA_BITMAPS)
    entries = metadata_index(walker.source, root.bitmap_root, 0, nr_bitmaps, lost.append)
    for damage in lost:
        walker.progress.add(
            [
                Finding(
                    Severity.FATAL,
                    part,
                    damage.what,
                    lost="which metadata blocks are in use",
                    block=damage.block,
                )
            ]
        )
        walker.progress.lost_references = True
    numbers = np.arange(0 if lost else nr_bitmaps, dtype=np.uint64)
    large = _check_ref_count_tree(walker, root, part)
    return _with_bitmaps(
        walker, StoredMap(part, root, numbers, entries[: len(numbers)], bool(lost), *large)
    )


def _check_ref_count_tree(walker: TreeWalker, root: SpaceMapRoot, part: Part) -> tuple[int, bool]:
    """Return how many counts the tree has, and whether some are lost."""
    at = np.array([root.ref_count_root], dtype=np.uint64)
    walker.references.add(at)
    walked = walker.walk(at, REF_COUNTS, part, lambda blocks, entries: None)  # noqa: ARG005
    lost = [finding for finding, _ in lost_leaves(walked, part)]
    walker.progress.add(lost)
    return int(walked.entries_by_tree()[0]), bool(lost)


def _with_bitmaps(walker: TreeWalker, stored: StoredMap) -> StoredMap:
    walker.references.add(np.ascontiguousarray(stored.entries["blocknr"]))
    walker.progress.add(_missing_bitmaps(stored))
    return stored


def _missing_bitmaps(stored: StoredMap) -> Iterator[Finding]:
    """Tell of bitmaps that the index lacks, and of those past the end that it has."""
    inside = [number for number in stored.numbers.tolist() if number < stored.nr_bitmaps]
    extra = len(stored.numbers) - len(inside)
    if extra:
        yield Finding(
            Severity.NOT_FATAL,
            stored.part,
            f"the index has {extra} bitmaps past the end of the {stored.root.nr_blocks} blocks",
        )
    if stored.index_lost or stored.part is Part.METADATA_SPACE_MAP:
        return
    before = -1
    for number in [*inside, stored.nr_bitmaps]:
        if number > before + 1:
            yield Finding(
                Severity.FATAL,
                stored.part,
                f"the index has no bitmaps {before + 1}..{number - 1}",
                lost="which of these blocks are in use",
                first_key=(before + 1) * ENTRIES_PER_BLOCK,
                last_key=min(number * ENTRIES_PER_BLOCK, stored.root.nr_blocks) - 1,
                key_name=stored.key_name,
            )
        before = number
