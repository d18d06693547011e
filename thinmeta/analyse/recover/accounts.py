"""Whether all that is missing is what was lost, so that none of it is a leak.

A node that is counted and belongs to nobody looks like a child of a lost node. It gives itself away
where the devices' sums close. Where leaves are lost as well, they do not: nobody knows how many
mappings those held. The data space map does, since it counts each of them.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from thinmeta.analyse.recover.lost_nodes import Owner
from thinmeta.analyse.recover.proof import MissingChild, OwnerSum
from thinmeta.analyse.recover.trees import Trees
from thinmeta.errors import Damage
from thinmeta.model.pool import Pool
from thinmeta.model.ref_counts import RefCounts
from thinmeta.schemas import block_time
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.walk.block_counts import BlockCounts
from thinmeta.walk.leaves import leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS
from thinmeta.walk.ragged import Places, distinct
from thinmeta.walk.space_map import BLOCKS_AT_ONCE, data_index


def is_all_lost(
    owners: Collection[frozenset[Owner]],
    children: Sequence[MissingChild],
    sums: Mapping[Owner, OwnerSum],
    nr_in_lost_leaves: int,
) -> bool:
    """Tell whether what is missing of devices is what is missing of the books, no more, no less.

    Each mapping that is missing counts once for each device that it is missing of. So the
    devices are weighed, such that each lost node counts once whichever devices have it.

    Args:
        owners: of each lost node, and of each lost leaf.
        children: all that are missing.
        sums: what is missing of each owner.
        nr_in_lost_leaves: how many mappings were in leaves that are lost.

    Returns:
        False also where there are no such weights, or where details are lost.
    """
    rows = sorted(frozenset[Owner]().union(*owners))
    missing = [sums[owner].missing for owner in rows]
    if None in missing or not rows:
        return False
    holds = np.array([[owner in each for owner in rows] for each in set(owners)], dtype=np.float64)
    weights = np.linalg.lstsq(holds, np.ones(len(holds)), rcond=None)[0]
    if not np.allclose(holds @ weights, 1):
        return False
    of_devices = float(weights @ np.array(missing, dtype=np.float64))
    of_books = sum(child.nr_mappings * child.times for child in children) + nr_in_lost_leaves
    return abs(of_devices - of_books) < 0.5  # both are whole numbers


def nr_in_lost_leaves(pool: Pool, trees: Trees, leaves: Places) -> int | None:
    """Return how many references to data blocks are counted that no sound leaf has.

    Args:
        pool: of which the live superblock is sound.
        trees: all sound nodes.
        leaves: of mappings, by their places: all that are in use.

    Returns:
        None where the data space map is damaged, or counts a block less often than leaves do.
    """
    damages: list[Damage] = []
    root = pool.live_superblock.data_space_map
    mapped = BlockCounts(root.nr_blocks)
    nodes = NodeList.roots(trees.nodes.blocks[leaves], np.zeros(len(leaves), dtype=np.uint8))
    nr_unseen = 0
    for piece in leaf_pieces(pool.source, nodes, MAPPINGS):
        nr_unseen += len(piece.entries.values)
        mapped.add(block_time.data_block(piece.entries.values))
    stored = RefCounts(pool.source, root, damages.append, is_metadata=False)
    nr_bitmaps = min(-(-root.nr_blocks // ENTRIES_PER_BLOCK), pool.source.device.nr_blocks)
    index = data_index(pool.source, root.bitmap_root, 0, nr_bitmaps, damages.append)
    in_use = np.flatnonzero(index["nr_free"] < ENTRIES_PER_BLOCK)
    total = nr_allocated = 0
    for number in distinct(in_use * ENTRIES_PER_BLOCK // BLOCKS_AT_ONCE).tolist():
        first = number * BLOCKS_AT_ONCE
        here = in_use[in_use * ENTRIES_PER_BLOCK // BLOCKS_AT_ONCE == number] * ENTRIES_PER_BLOCK
        begin, end = int(here[0]), min(int(here[-1]) + ENTRIES_PER_BLOCK, root.nr_blocks)
        counts = stored.read(begin, end).astype(np.int64)
        nr_allocated += int(np.count_nonzero(counts))
        window = mapped.window(number)
        if window is not None:
            here_mapped = window[begin - first : end - first].astype(np.int64)
            nr_unseen -= int(here_mapped.sum())
            counts -= here_mapped
        if damages or (counts < 0).any():
            return None
        total += int(counts.sum())
    is_whole = nr_allocated == root.nr_allocated and not nr_unseen and not damages
    return total if is_whole else None
