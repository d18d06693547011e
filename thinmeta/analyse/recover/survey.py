"""The one pass over a metadata device: every block's class, and what each node says.

Of leaves only sums are kept. Entries that lead to other nodes are kept, and those of
device details, since all that follows is done from memory.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass, Classes, classify
from thinmeta.analyse.recover.node_facts import DetailRows, Links, NodeFacts, read_facts
from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks, page_aligned

OnProgress = Callable[[int, int], None]
"""Told how many blocks more were read, of how many in all."""

_BLOCKS_AT_ONCE = 1024


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
    for blocks, batch in _pieces(device):
        found = classify(blocks, batch)
        parts.append(read_facts(blocks, batch.rows, found))
        classes[int(blocks[0]) : int(blocks[-1]) + 1] = found
        on_progress(len(blocks), device.nr_blocks)
    return Survey(
        classes,
        NodeFacts.joined([part.nodes for part in parts]),
        Links.joined([part.links for part in parts]),
        DetailRows.joined([part.details for part in parts]),
    )


def _pieces(device: BlockDevice) -> Iterator[tuple[Blocks, BlockBatch]]:
    """Return all blocks, piece by piece; the next is read while one is looked at."""

    def read(begin: int) -> tuple[Blocks, BlockBatch]:
        blocks = np.arange(begin, min(begin + _BLOCKS_AT_ONCE, device.nr_blocks), dtype=np.uint64)
        return blocks, device.read(blocks)

    ahead: list[Future[tuple[Blocks, BlockBatch]]] = []
    with ThreadPoolExecutor(1) as thread:
        for begin in range(0, device.nr_blocks, _BLOCKS_AT_ONCE):
            ahead.append(thread.submit(read, begin))
            if len(ahead) > 1:
                yield ahead.pop(0).result()
        yield from (piece.result() for piece in ahead)
