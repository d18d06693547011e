"""Nodes above the leaves of the two trees that list devices and their details, if they are lost.

Their children are found as those of mapping trees are: they are counted more often than sound
nodes refer to them. Only lists have such leaves, so one lost node has all that are missing. What
is put together counts only if both trees then list the same devices, and each device that is
whole has as many mappings as its details say.
"""

from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.damaged_nodes import Mended
from thinmeta.analyse.recover.mending import do_details_agree
from thinmeta.analyse.recover.put_in import made_node
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.situation import Situation
from thinmeta.analyse.recover.trees import Below, Trees, find_trees
from thinmeta.model.device_table import read_device_table
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import max_entries_of
from thinmeta.units import LAST_KEY
from thinmeta.walk.ragged import Places


class _Lost(NamedTuple):
    """Where a node above the leaves should be: which keys and children it may have."""

    block: int
    low: int
    last: int
    child_height: int | None


def with_lists(reading: Reading) -> tuple[Reading, dict[int, Mended]]:
    """Put in what is proven of lost nodes above the leaves of lists, and return which they are."""
    situation = Situation.of(*reading)
    live = reading.pool.live_superblock
    rows = {}
    if situation.books.are_whole:
        for root, kind in (
            (live.data_mapping_root, BlockClass.DEVICE_ROOTS),
            (live.device_details_root, BlockClass.DETAILS),
        ):
            lost = _lost_nodes(situation.trees, int(root), kind)
            children = _missing(situation, kind)
            is_one = len(lost) == 1 and 0 < lost[0].block < len(reading.found.classes)
            if is_one and _may_have(lost[0], children, situation.trees):
                nodes = situation.trees.nodes
                keys, blocks = nodes.first[children].tolist(), nodes.blocks[children].tolist()
                rows[lost[0].block] = made_node(lost[0].block, keys, blocks, internal=True)
    if not rows:
        return reading, {}
    new = reading.instead(rows)
    table = read_device_table(new.pool.source, live)
    if table.damages() or not do_details_agree(new.pool, find_trees(new.found)):
        return reading, {}
    proof = "the pool's reference counts"
    return new, {
        block: Mended(row, "the B-tree node is lost", proof) for block, row in rows.items()
    }


def _lost_nodes(trees: Trees, root: int, kind: BlockClass) -> list[_Lost]:
    """Return the nodes above the leaves of a list that are not there."""
    top = trees.place_of(root)
    if top is None:
        return [_Lost(root, 0, LAST_KEY, None)]
    found = []
    new = [(top, LAST_KEY)]
    while new:
        place, end = new.pop()
        height = int(trees.heights[place])
        if trees.kinds[place] != kind or height < 1:
            continue
        for link in trees.links_of(np.array([place], dtype=np.int64)).tolist():
            last = min(int(trees.lasts[link]), end)
            if trees.is_sound[link]:
                new.append((int(trees.children[link]), last))
            elif height > 1 and not trees.is_there[link]:
                low = int(trees.keys[link])
                found.append(_Lost(int(trees.targets[link]), low, last, height - 2))
    return found


def _missing(situation: Situation, kind: BlockClass) -> Places:
    """Return the nodes of a list that are missing, by ascending key; none if some are twice."""
    blocks, times = situation.books.missing()
    trees = situation.trees
    places = [trees.place_of(block) for block in blocks.tolist()]
    found = [
        (place, number)
        for place, number in zip(places, times.tolist(), strict=True)
        if place is not None and trees.kinds[place] == kind
    ]
    if any(number > 1 for _, number in found):
        return np.empty(0, dtype=np.int64)
    missing = np.array([place for place, _ in found], dtype=np.int64)
    return missing[np.argsort(trees.nodes.first[missing], kind="stable")]


def _may_have(lost: _Lost, children: Places, trees: Trees) -> bool:
    """Tell whether all children may have been one node's."""
    if not 0 < len(children) <= max_entries_of(CHILD):
        return False
    heights = trees.heights[children]
    lasts = trees.nodes.last.copy()
    for kind in (BlockClass.DEVICE_ROOTS, BlockClass.DETAILS):
        for parents in trees.above_leaves(kind):
            lasts[parents] = Below(trees, parents).highest(lasts)
    firsts, ends = trees.nodes.first[children], lasts[children]
    return bool(
        (heights == heights[0]).all()
        and lost.child_height in (None, int(heights[0]))
        and (firsts[1:] > ends[:-1]).all()
        and lost.low <= int(firsts[0])
        and int(ends[-1]) <= lost.last
    )
