"""The one pass over a metadata device: every block's class, and what each node says.

Of leaves only sums are kept. Entries that lead to other nodes are kept, and those of
device details, since all that follows is done from memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass, Classes, classify
from thinmeta.analyse.recover.node_facts import DetailRows, Links, NodeFacts, read_facts
from thinmeta.device.blocks import BlockDevice, Blocks, page_aligned
from thinmeta.device.sweep import sweep
from thinmeta.schemas.checksum import Rows
from thinmeta.units import OnProgress
from thinmeta.walk.ragged import ragged, starts_of


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What one pass over a device found.

    Attributes:
        classes: `BlockClass` of each block, shape `(nr_blocks,)`.
        nodes: sound nodes, ascending by block.
        links: entries of the nodes that have links.
        details: entries of the leaves of device details.
    """

    classes: Classes
    nodes: NodeFacts
    links: Links
    details: DetailRows


def survey(device: BlockDevice, on_progress: OnProgress) -> Survey:
    """Read every block once, in order, and keep what the trees are made of."""
    classes = np.full(device.nr_blocks, BlockClass.ZERO, dtype=np.uint8)  # as holes are
    parts = [read_facts(np.empty(0, dtype=np.uint64), page_aligned(0), classes[:0])]
    for blocks, batch in sweep(device, device.nr_blocks, on_progress, ahead=True, only_stored=True):
        found = classify(blocks, batch)
        parts.append(read_facts(blocks, batch.rows, found))
        classes[int(blocks[0]) : int(blocks[-1]) + 1] = found
    return Survey(
        classes,
        NodeFacts.joined([part.nodes for part in parts]),
        Links.joined([part.links for part in parts]),
        DetailRows.joined([part.details for part in parts]),
    )


def with_blocks(found: Survey, blocks: Blocks, rows: Rows) -> Survey:
    """Return a survey in which some blocks, none of them a sound node, hold something else.

    Args:
        found: what one pass over the device found.
        blocks: which, ascending, shape `(n,)`.
        rows: what they hold, shape `(n, 4096)`.
    """
    classes = found.classes.copy()
    new = np.full(len(blocks), BlockClass.INTERNAL, dtype=np.uint8)
    read = read_facts(blocks, rows, new)
    classes[blocks.astype(np.int64)] = new
    nodes = NodeFacts.joined([found.nodes, read.nodes])
    order = np.argsort(nodes.blocks, kind="stable")
    nr_links = np.where(nodes.has_links, nodes.nr_entries, 0)
    nr_details = np.where(nodes.classes == BlockClass.DETAILS, nodes.nr_entries, 0)
    links, details = (
        ragged(starts_of(counts)[:-1][order], counts[order]) for counts in (nr_links, nr_details)
    )
    return Survey(
        classes,
        nodes[order],
        Links.joined([found.links, read.links])[links],
        DetailRows.joined([found.details, read.details])[details],
    )


def without_blocks(found: Survey, blocks: Iterable[int]) -> Survey:
    """Return a survey in which some blocks, whatever they are, are no nodes."""
    nodes = found.nodes
    lost = np.array(sorted(blocks), dtype=np.uint64)
    kept = np.flatnonzero(~np.isin(nodes.blocks, lost))
    nr_links = np.where(nodes.has_links, nodes.nr_entries, 0)
    nr_details = np.where(nodes.classes == BlockClass.DETAILS, nodes.nr_entries, 0)
    links, details = (
        ragged(starts_of(counts)[:-1][kept], counts[kept]) for counts in (nr_links, nr_details)
    )
    classes = found.classes.copy()
    classes[lost.astype(np.int64)] = BlockClass.BAD
    return Survey(classes, nodes[kept], found.links[links], found.details[details])
