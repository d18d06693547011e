"""Which mappings below a node another device has, too, as leaves say that map the same block."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.trees import Below, Trees
from thinmeta.schemas import block_time
from thinmeta.walk.leaves import leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Keys, Mask, Metadata
from thinmeta.walk.ragged import Places, distinct, is_new, places_among


class NewestTimes(NamedTuple):
    """Newest times of mappings below nodes, by the nodes' places; -1 where there are none.

    Attributes:
        shared: of those whose block another leaf maps, too.
        own: of the others.
    """

    shared: dict[int, int]
    own: dict[int, int]


def newest_times(
    source: Metadata, trees: Trees, leaves: Places, nodes: Sequence[int]
) -> NewestTimes:
    """Return the newest times of mappings below some nodes.

    Args:
        source: where to read.
        trees: all sound nodes.
        leaves: of mappings, by their places: all that are in use.
        nodes: by their places; what is below them is among the leaves.
    """
    below = _leaves_below(trees, nodes)
    looked_for = _data_blocks(source, trees, np.flatnonzero(below))
    is_mapped, are_shared = np.zeros((2, len(looked_for)), dtype=np.bool_)
    for _, blocks, _ in _mappings(source, trees, leaves):
        places, there = places_among(looked_for, distinct(blocks))
        found = places[there]
        are_shared[found] |= is_mapped[found]
        is_mapped[found] = True
    newest = np.full((2, len(trees.nodes)), -1, dtype=np.int64)
    for leaf, blocks, times in _mappings(source, trees, np.flatnonzero(below)):
        is_shared = are_shared[places_among(looked_for, blocks)[0]]
        newest[0, leaf] = times[is_shared].max(initial=-1)
        newest[1, leaf] = times[~is_shared].max(initial=-1)
    for parents in trees.above_leaves(BlockClass.MAPPINGS):
        for column in newest:
            column[parents] = Below(trees, parents).highest(column, lost=-1)
    return NewestTimes(*({node: int(column[node]) for node in nodes} for column in newest))


def _leaves_below(trees: Trees, nodes: Sequence[int]) -> Mask:
    found = np.zeros(len(trees.nodes), dtype=np.bool_)
    new = np.array(nodes, dtype=np.int64)
    while len(new):
        found[new[trees.heights[new] == 0]] = True
        links = trees.links_of(new[trees.heights[new] > 0])
        new = distinct(trees.children[links[trees.is_sound[links]]])
    return found


def _data_blocks(source: Metadata, trees: Trees, leaves: Places) -> Keys:
    parts = [np.empty(0, dtype=np.uint64)]
    parts += [blocks for _, blocks, _ in _mappings(source, trees, leaves)]
    blocks = np.concatenate(parts)
    del parts  # ten million of them are in memory twice, not four times
    blocks.sort()
    return blocks[is_new(blocks)]


def _mappings(
    source: Metadata, trees: Trees, leaves: Places
) -> Iterator[tuple[int, Keys, npt.NDArray[np.int64]]]:
    """Return each leaf's place, its data blocks and their times."""
    codes = np.zeros(len(leaves), dtype=np.uint8)
    nodes = NodeList.roots(trees.nodes.blocks[leaves], codes)
    for piece in leaf_pieces(source, nodes, MAPPINGS):
        blocks = block_time.data_block(piece.entries.values)
        times = block_time.time(piece.entries.values).astype(np.int64)
        starts = piece.entries.starts.tolist()
        for place, begin, end in zip(
            leaves[piece.places].tolist(), starts[:-1], starts[1:], strict=True
        ):
            yield place, blocks[begin:end], times[begin:end]
