"""The one pass over a metadata device: every block's class, and what each node says.

Of leaves only sums are kept. Entries that lead to other nodes are kept, and those of
device details, since all that follows is done from memory.
"""

from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass, Classes, classify
from thinmeta.analyse.recover.node_facts import DetailRows, Links, NodeFacts, read_facts
from thinmeta.device.blocks import BlockDevice, page_aligned
from thinmeta.device.sweep import sweep
from thinmeta.units import OnProgress


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
    classes = np.full(device.nr_blocks, BlockClass.UNKNOWN, dtype=np.uint8)
    parts = [read_facts(np.empty(0, dtype=np.uint64), page_aligned(0), classes[:0])]
    for blocks, batch in sweep(device, device.nr_blocks, on_progress, ahead=True):
        found = classify(blocks, batch)
        parts.append(read_facts(blocks, batch.rows, found))
        classes[int(blocks[0]) : int(blocks[-1]) + 1] = found
    return Survey(
        classes,
        NodeFacts.joined([part.nodes for part in parts]),
        Links.joined([part.links for part in parts]),
        DetailRows.joined([part.details for part in parts]),
    )
