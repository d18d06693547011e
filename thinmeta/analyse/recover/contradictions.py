"""Nodes whose checksums are right, and that do not fit to each other.

A key that is wrong, though the checksum is right, hides all that is below it: the node that is
there holds other keys than its parent says. The parent still names all its children, so they
can be asked which keys they have. If it names a wrong child, it is taken for lost, and so is a
node that is not what its parent asks for.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.damaged_nodes import Mended
from thinmeta.analyse.recover.lost_nodes import Owner
from thinmeta.analyse.recover.situation import Situation
from thinmeta.analyse.recover.trees import Trees
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.checksum import put_checksums
from thinmeta.schemas.node_layout import headers_of, keys_of
from thinmeta.units import LAST_KEY
from thinmeta.walk.nodes import Keys, Mask

_MOST_NODES = 256
"""Nodes whose keys are put right at once."""

_MOST_STRANGERS = 8
"""Nodes that are taken for lost one after the other: each costs what the work costs."""


class Held(NamedTuple):
    """What leaves hold below nodes of mapping trees, whatever keys those say; by place.

    Attributes:
        firsts: the lowest key.
        lasts: the highest; lower than the lowest where there are none.
        are_children: which links lead to a node of the height that is asked for, by link.
    """

    firsts: Keys
    lasts: Keys
    are_children: Mask


def held_below(trees: Trees) -> Held:
    """Look at the leaves below each node, by all its links."""
    firsts, lasts = trees.nodes.first.copy(), trees.nodes.last.copy()
    are_children = np.zeros(len(trees.keys), dtype=np.bool_)
    for parents in trees.above_leaves(BlockClass.MAPPINGS):
        links = trees.links_of(parents)
        owners = np.repeat(parents, trees.starts[parents + 1] - trees.starts[parents])
        below = trees.children[links]
        is_child = trees.is_there[links] & (trees.kinds[below] == BlockClass.MAPPINGS)
        is_child &= trees.heights[below] == trees.heights[owners] - 1
        are_children[links] = is_child
        firsts[parents], lasts[parents] = LAST_KEY, 0
        np.minimum.at(firsts, owners[is_child], firsts[below[is_child]])
        np.maximum.at(lasts, owners[is_child], lasts[below[is_child]])
    return Held(firsts, lasts, are_children)


def with_keys_of_children(situation: Situation) -> dict[int, Mended]:
    """Return nodes whose keys are not those of their children, with keys that are."""
    trees = situation.trees
    held = held_below(trees)
    new_keys, is_wrong = _right_keys(trees, held)
    owners = np.repeat(np.arange(len(trees.nodes)), np.diff(trees.starts))
    places = np.unique(owners[is_wrong & situation.books.in_use[owners]])[:_MOST_NODES]
    if not len(places):
        return {}
    blocks = trees.nodes.blocks[places]
    rows = situation.pool.source.device.read(blocks).rows
    found = {}
    for place, block, row in zip(places.tolist(), blocks.tolist(), rows, strict=True):
        links = slice(int(trees.starts[place]), int(trees.starts[place + 1]))
        changed = row[np.newaxis].copy()
        room = int(headers_of(changed)[0]["max_entries"])
        keys_of(changed, room)[0, : links.stop - links.start] = new_keys[links]
        put_checksums(changed, BTREE_CSUM_XOR)
        nr_wrong, nr_keys = int(is_wrong[links].sum()), links.stop - links.start
        verb = "is" if nr_wrong == 1 else "are"
        found[block] = Mended(
            changed[0],
            f"{nr_wrong} of the {nr_keys} keys of the B-tree node {verb} wrong",
            "what its children hold",
        )
    return found


def _right_keys(trees: Trees, held: Held) -> tuple[Keys, Mask]:
    """Return the keys that links should have, and which have others."""
    keys, is_wrong = trees.keys.copy(), np.zeros(len(trees.keys), dtype=np.bool_)
    own_first = trees.nodes.first.copy()
    for parents in trees.above_leaves(BlockClass.MAPPINGS):
        links = trees.links_of(parents)
        below = trees.children[links]
        is_child = held.are_children[links] & (held.firsts[below] <= held.lasts[below])
        first = np.minimum(own_first[below], held.firsts[below])
        wrong = is_child & (keys[links] > first)
        follows = np.zeros(len(links), dtype=np.bool_)
        begins = np.cumsum(trees.starts[parents + 1] - trees.starts[parents])[:-1]
        follows[1:] = is_child[1:] & is_child[:-1]
        follows[begins] = False
        wrong[1:] |= follows[1:] & (keys[links][1:] <= held.lasts[below][:-1])
        keys[links[wrong]] = held.firsts[below[wrong]]
        is_wrong[links] = wrong
        own_first[parents] = keys[trees.starts[parents]]
    return keys, is_wrong


def parents_of_strangers(situation: Situation) -> list[int]:
    """Return nodes of mapping trees that refer to a block that has too many references.

    Where they are too many, none.
    """
    trees, books = situation.trees, situation.books
    targets = trees.targets.astype(np.int64)
    is_strange = books.leads & (targets >= len(books.counted))
    within = np.flatnonzero(books.leads & ~is_strange)
    is_strange[within] = (books.referred > books.counted)[targets[within]]
    owners = np.repeat(np.arange(len(trees.nodes)), np.diff(trees.starts))[is_strange]
    is_mapping = (trees.kinds[owners] == BlockClass.MAPPINGS) & (trees.heights[owners] > 0)
    found: list[int] = trees.nodes.blocks[np.unique(owners[is_mapping])].tolist()
    return found if len(found) <= _MOST_STRANGERS else []


def is_settled(situation: Situation, blocks: Iterable[int]) -> bool:
    """Tell whether all is there of the devices that have some nodes, and nothing contradicts.

    Args:
        situation: what is known of the pool.
        blocks: where the nodes are.
    """
    forest = situation.forest()
    if not situation.books.are_whole or not forest.fits:
        return False
    places = [situation.trees.place_of(block) for block in blocks]
    owners = {owner for place in places if place is not None for owner in forest.owners_of(place)}
    lost = frozenset[Owner]().union(*(node.owners for node in forest.lost))
    return None not in places and all(
        owner.stored == forest.nr_left[owner]
        and not forest.nr_lost_leaves[owner]
        and owner not in lost
        for owner in owners
    )
