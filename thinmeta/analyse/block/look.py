"""All that is known of one metadata block."""

from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.block.content import BlockContent, content_of
from thinmeta.analyse.block.other_versions import Versions, versions_of
from thinmeta.analyse.block.referrers import Ways, ways_to
from thinmeta.analyse.block.scanned_blocks import UNKNOWN_COUNT, ScannedBlocks
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.device.blocks import Fault
from thinmeta.units import MetadataBlock


@dataclass(frozen=True, slots=True, eq=False)
class BlockReport:
    """A metadata block, and its place among the others.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     block = pool.block(pool.superblock.data_mapping_root)
    >>> block.block_class.name, block.height, block.content.entries["key"].tolist()
    ('DEVICE_ROOTS', 0, [1, 3, 5, 7, 8])
    >>> block.ref_count, block.ways.nr_in_use, block.ways.is_reachable
    (1, 1, True)

    Attributes:
        block: where it stands.
        block_class: what it is, as `thinmeta scan` tells blocks apart.
        height: how far above the leaves, if it is a node; None if it is none, or nothing
            below it is left.
        ref_count: how often it is in use, as the metadata space map says; None where that
            is damaged, or counts fewer blocks.
        content: its fields and entries.
        ways: who refers to it, and from which states it can be reached.
        versions: blocks that are, or may be, other versions of it.
    """

    block: MetadataBlock
    block_class: BlockClass
    height: int | None
    ref_count: int | None
    content: BlockContent
    ways: Ways
    versions: Versions


def look_at(whole: ScannedBlocks, block: int) -> BlockReport:
    """Return all that is known of a block.

    Raises:
        NotThereError: the metadata has no such block.
    """
    whole.refuse_missing(block)
    device = whole.device
    found = BlockClass(int(whole.scan.classes[block]))
    ways = ways_to(whole, block)
    batch = device.read(np.array([block], dtype=np.uint64))
    fault = Fault(int(batch.faults[0]))
    content = content_of(block, batch.rows[0], fault, found, ways.expected)
    place = whole.trees.place_of(block)
    height = None if place is None else int(whole.trees.heights[place])
    count = int(whole.ref_counts[block])
    return BlockReport(
        block=MetadataBlock(block),
        block_class=found,
        height=None if height is None or height < 0 else height,
        ref_count=None if count == UNKNOWN_COUNT else count,
        content=content,
        ways=ways,
        versions=versions_of(whole, block, content, ways),
    )
