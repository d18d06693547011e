"""A metadata device that was read once, to be asked about its blocks."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.block.references import (
    BitmapLinks,
    Pointer,
    bitmap_links,
    pointers_of,
)
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.books import Books, balance
from thinmeta.analyse.recover.scan import Scan, scan
from thinmeta.analyse.recover.trees import Trees
from thinmeta.device.blocks import BlockDevice
from thinmeta.errors import NotThereError
from thinmeta.model.pool import open_pool
from thinmeta.units import OnProgress
from thinmeta.walk.nodes import Mask
from thinmeta.walk.ragged import Places

UNKNOWN_COUNT = -1


@dataclass(frozen=True, eq=False)
class ScannedBlocks:
    """What one pass over a metadata device found, and who refers to what on it.

    Attributes:
        device: the metadata.
        scan: its blocks by class, its states.
    """

    device: BlockDevice
    scan: Scan

    @classmethod
    def of(cls, device: BlockDevice, on_progress: OnProgress = lambda *_: None) -> Self:
        """Read every block once.

        Args:
            device: the metadata; no superblock is needed.
            on_progress: told of blocks that were read.
        """
        return cls(device, scan(device, on_progress))

    def refuse_missing(self, *blocks: int) -> None:
        """Make sure that there are such blocks.

        Raises:
            NotThereError: one is past the end of the metadata.
        """
        device = self.device
        if (last := max(blocks)) >= device.nr_blocks:
            raise NotThereError(
                f"{device.name}: there is no block {last}: the metadata has only "
                f"{device.nr_blocks} blocks"
            )

    def is_unreadable(self, block: int) -> bool:
        """Tell whether a block cannot be read."""
        return bool(self.scan.classes[block] == BlockClass.UNREADABLE)

    @property
    def trees(self) -> Trees:
        """All sound nodes."""
        return self.scan.lists.trees

    @cached_property
    def owners(self) -> Places:
        """The node that each link of the trees stands in, a place among the nodes."""
        starts = self.trees.starts
        return np.repeat(np.arange(len(self.trees.nodes)), np.diff(starts))

    @cached_property
    def is_link(self) -> Mask:
        """Which links are no mappings of a leaf that could only be a list of devices."""
        trees = self.trees
        unsure = trees.nodes.may_hold_roots.copy()
        listed = [each.mapping_root for each in self.scan.candidates if each.mapping_root]
        places = [trees.place_of(block) for block in listed]
        unsure[[place for place in places if place is not None]] = False
        found: Mask = ~unsure[self.owners]
        return found

    @cached_property
    def pointers(self) -> tuple[Pointer, ...]:
        """What the superblocks name."""
        return tuple(pointers_of(self.scan.superblocks))

    @cached_property
    def bitmap_links(self) -> BitmapLinks:
        """What leads to bitmaps."""
        nodes = self.trees.nodes
        is_leaf = (self.trees.kinds == BlockClass.BITMAP_INDEX) & (self.trees.heights == 0)
        return bitmap_links(self.device, self.scan.classes, nodes.blocks[is_leaf])

    @cached_property
    def books(self) -> Books | None:
        """What is counted and what is there; None without a sound superblock."""
        if self.scan.live_superblock is None:
            return None
        return balance(open_pool(self.device, ignore_unsupported=True), self.trees)

    @cached_property
    def ref_counts(self) -> npt.NDArray[np.int64]:
        """How many references each block has, as the metadata space map says; -1: not known."""
        counts = np.full(self.device.nr_blocks, UNKNOWN_COUNT, dtype=np.int64)
        if self.books is None:
            return counts
        known = self.books.counted[: len(counts)]
        counts[: len(known)] = known
        for damage in self.books.damages:
            if damage.key_name == "block":  # else it is not of the counts
                first, last = damage.first_key or 0, damage.last_key
                counts[first : None if last is None else last + 1] = UNKNOWN_COUNT
        return counts
