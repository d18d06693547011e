"""Damaged nodes of a pool that are read as what they held; see `damaged_nodes`."""

from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.books import reached
from thinmeta.analyse.recover.damaged_nodes import Mended, Spans, mended
from thinmeta.analyse.recover.lost_nodes import MappingForest, Owner
from thinmeta.analyse.recover.orphans import last_keys
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.situation import Situation
from thinmeta.analyse.recover.sums import sums_of_mappings
from thinmeta.analyse.recover.trees import Trees, find_trees
from thinmeta.device.blocks import Fault
from thinmeta.model.device_table import read_device_table
from thinmeta.model.pool import Pool
from thinmeta.schemas.btree_node import INTERNAL_NODE
from thinmeta.schemas.checksum import Rows
from thinmeta.schemas.node_layout import headers_of
from thinmeta.walk.ragged import Places

_MOST_NODES = 256
"""Damaged nodes that are looked at: a second or two."""

_MOST_ROUNDS = 8
"""A tree has no more levels in which one damaged node can be below another."""


class MendedNode(NamedTuple):
    """A damaged node that is read as what it held, for one of the devices that have it.

    Attributes:
        block: where it is.
        what: what was wrong with it.
        proof: what says what it held.
        owner: the device.
        first_key: the first origin block that is mapped below it.
        last_key: the last.
        nr_mappings: how many are.
    """

    block: int
    what: str
    proof: str
    owner: Owner
    first_key: int
    last_key: int
    nr_mappings: int


class Spots(NamedTuple):
    """Blocks where nodes should be that are not there.

    Attributes:
        of_lists: in the trees of devices.
        of_mappings: in mapping trees.
    """

    of_lists: frozenset[int]
    of_mappings: frozenset[int]


def with_mended(reading: Reading) -> tuple[Reading, dict[int, Mended]]:
    """Return a pool whose damaged nodes are read as what they held, and which they are."""
    contents: dict[int, Mended] = {}
    for _ in range(_MOST_ROUNDS):
        new = _mended_nodes(reading)
        if not new:
            break
        contents |= new
        reading = reading.instead({block: each.row for block, each in new.items()})
    return reading, contents


def described(reading: Reading, contents: dict[int, Mended]) -> tuple[MendedNode, ...]:
    """Return what hangs below mended nodes, once all that can be is there again."""
    if not contents:
        return ()
    situation = Situation.of(*reading)
    trees, sums, lasts = situation.trees, situation.sums, last_keys(situation.trees)
    forest = MappingForest(trees, sums, situation.owners, [])
    found = []
    for block, content in sorted(contents.items()):
        place = trees.place_of(block)
        if place is None:
            continue
        is_list = trees.kinds[place] != BlockClass.MAPPINGS
        listed = _listed(trees, place) if is_list else range(0)
        for owner in sorted(situation.owners if is_list else forest.owners_of(place)):
            top = trees.place_of(owner.root) if is_list else place
            if top is not None and (not is_list or owner.device_id in listed):
                keys = int(trees.nodes.first[top]), int(lasts[top])
                nr_mappings = int(sums.nr_mappings[top])
                found.append(MendedNode(block, *content[1:], owner, *keys, nr_mappings))
    return tuple(found)


def _listed(trees: Trees, place: int) -> range:
    """Return the range of device ids that are listed below a node."""
    places = np.array([place], dtype=np.int64)
    while trees.heights[places].any():
        links = trees.links_of(places)
        places = trees.children[links[trees.is_sound[links]]]
    return range(int(trees.nodes.first[place]), int(trees.nodes.last[places].max(initial=0)) + 1)


def _mended_nodes(reading: Reading) -> dict[int, Mended]:
    """Return what damaged nodes of trees in use held, where their checksums tell."""
    situation, found = Situation.of(reading.pool, reading.found), reading.found
    spots = _spots(situation)
    wanted = sorted(spots.of_lists | spots.of_mappings)
    is_damaged = (BlockClass.BAD, BlockClass.UNKNOWN)
    blocks = [
        each for each in wanted if each < len(found.classes) and found.classes[each] in is_damaged
    ][:_MOST_NODES]
    if not blocks:
        return {}
    batch = situation.pool.source.device.read(np.array(blocks, dtype=np.uint64))
    trees = situation.trees
    missing = np.isin(trees.nodes.blocks, situation.books.missing()[0].astype(np.uint64))
    tried = mended(batch.rows, Spans(trees, last_keys(trees), missing))
    rows = {
        block: each
        for block, each, fault in zip(blocks, tried, batch.faults.tolist(), strict=True)
        if each is not None and fault == Fault.NONE and _is_node(block, each.row, spots)
    }
    while rows:
        left = {block: rows[block] for block in _fitting(reading, rows)}
        if left.keys() == rows.keys():
            break
        rows = left
    return rows


def _spots(situation: Situation) -> Spots:
    """Return where nodes are missing of the trees that the superblocks lead to."""
    trees = situation.trees
    is_internal = trees.nodes.classes == BlockClass.INTERNAL
    tops = [
        int(root)
        for each in situation.superblocks
        for root in (each.data_mapping_root, each.device_details_root)
    ]
    lists = reached(trees, tops, is_internal)
    roots = [owner.root for owner in situation.owners]
    mappings = reached(trees, roots, is_internal)
    return Spots(
        frozenset(_not_there(trees, tops, np.flatnonzero(lists & is_internal))),
        frozenset(_not_there(trees, roots, np.flatnonzero(mappings & is_internal))),
    )


def _not_there(trees: Trees, tops: list[int], places: Places) -> list[int]:
    links = trees.links_of(places)
    lost: list[int] = trees.targets[links[~trees.is_there[links]]].tolist()
    return lost + [each for each in tops if trees.place_of(each) is None]


def _is_node(block: int, row: Rows, spots: Spots) -> bool:
    """Tell whether a block says of itself that it is what was lost."""
    header = headers_of(row[np.newaxis])[0]
    is_internal = bool(header["flags"] == INTERNAL_NODE)
    return header["blocknr"] == block and (is_internal or block in spots.of_lists)


def _fitting(reading: Reading, rows: dict[int, Mended]) -> list[int]:
    """Return which mended nodes fit to what is below them."""
    new = reading.instead({block: each.row for block, each in rows.items()})
    trees = find_trees(new.found)
    fitting = []
    for block in rows:
        place = trees.place_of(block)
        if place is None or trees.kinds[place] == BlockClass.INTERNAL:
            continue
        links = trees.links_of(np.array([place], dtype=np.int64))
        fits = bool((trees.is_sound[links] | ~trees.is_there[links]).all())
        if trees.nodes.classes[place] == BlockClass.DETAILS:
            fits = do_details_agree(new.pool, trees)
        if fits:
            fitting.append(block)
    return fitting


def do_details_agree(pool: Pool, trees: Trees) -> bool:
    """Tell whether each device that is whole has as many mappings as its details say."""
    sums = sums_of_mappings(trees)
    for device in read_device_table(pool.source, pool.live_superblock).devices:
        place = trees.place_of(device.mapping_root or 0)
        is_whole = place is not None and not sums.nr_lost[place]
        if is_whole and sums.nr_mappings[place] != device.mapped_blocks:
            return False
    return True
