"""Lost nodes above the leaves, put together again from what hung below them.

A node that is lost takes with it nothing but the list of its children, and these are all still
on disk, counted. See `books` for how they are found, `proof` for whose they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from thinmeta.analyse.recover.proof import Claim, MissingChild
from thinmeta.analyse.recover.situation import Situation
from thinmeta.analyse.recover.survey import Survey, survey, with_blocks
from thinmeta.builder.store import made_nodes
from thinmeta.device.blocks import Blocks
from thinmeta.device.rebuilt_blocks import RebuiltBlocks
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR
from thinmeta.schemas.checksum import Rows, put_checksums
from thinmeta.units import OnProgress

_MOST_ROUNDS = 8
"""A tree has no more levels in which one lost node can be below another."""


class Rebuilt(NamedTuple):
    """A pool in which lost nodes are there again.

    Attributes:
        pool: reads what was proven in the place of what was lost.
        claims: what that is, of nodes of mapping trees.
        roots: the mapping trees of devices whose list is lost, by their ids.
    """

    pool: Pool
    claims: tuple[Claim, ...] = ()
    roots: Mapping[int, MissingChild] = MappingProxyType({})


def rebuilt(pool: Pool, on_progress: OnProgress = lambda *_: None) -> Rebuilt:
    """Put together what can be proven of the lost nodes of a pool.

    Args:
        pool: in the live state, or in that of its metadata snapshot.
        on_progress: told of blocks that were scanned.
    """
    return rebuilt_from(pool, survey(pool.source.device, on_progress))


def rebuilt_from(pool: Pool, found: Survey) -> Rebuilt:
    """Put together what can be proven, given what one pass over the device found."""
    block = int(pool.live_superblock.data_mapping_root)
    nr_blocks = pool.source.device.nr_blocks
    roots = Situation.of(pool, found).roots() if block < nr_blocks else {}
    if roots:
        ids = sorted(roots)
        rows = {block: _made(block, ids, [roots[each].block for each in ids], internal=False)}
        pool = _read_instead(pool, [], rows)
        found = with_blocks(found, *_columns(rows))
    claims: list[Claim] = []
    for _ in range(_MOST_ROUNDS):
        # What leads past the end is wrong itself: nothing can be read there.
        new = [
            claim for claim in Situation.of(pool, found).claims() if claim.node.block < nr_blocks
        ]
        exact = [claim for claim in new if claim.is_exact]
        last = exact or new
        claims += last
        if not last:
            break
        rows = {claim.node.block: _node_of(claim) for claim in last}
        pool = _read_instead(pool, last, rows)
        if not exact:
            break
        found = with_blocks(found, *_columns(rows))
    return Rebuilt(pool, tuple(claims), roots)


def rebuilt_where_lost(pool: Pool, on_progress: OnProgress = lambda *_: None) -> Rebuilt:
    """Put together what can be proven, if a node above the leaves is lost; see `rebuilt`.

    Nothing is scanned where none is, nor for a past state, whose blocks are not counted.
    """
    if isinstance(pool.state, Roots) or pool.superblock_damage is not None:
        return Rebuilt(pool)
    is_lost = bool(pool.device_table.lost)
    if not is_lost and not MappingTrees.of(pool).forest.levels[0].nodes.codes.any():
        return Rebuilt(pool)
    return rebuilt(pool, on_progress)


def _columns(rows: Mapping[int, Rows]) -> tuple[Blocks, Rows]:
    blocks = sorted(rows)
    return np.array(blocks, dtype=np.uint64), np.stack([rows[block] for block in blocks])


def _read_instead(pool: Pool, claims: list[Claim], rows: Mapping[int, Rows]) -> Pool:
    device = pool.source.device
    gaps = {
        claim.node.block: np.array(claim.gaps, dtype=np.uint64) for claim in claims if claim.gaps
    }
    source = pool.source._replace(
        device=RebuiltBlocks(device, rows), gaps={**pool.source.gaps, **gaps}
    )
    return replace(pool, source=source, known_devices=None)


def _node_of(claim: Claim) -> Rows:
    """Return the node as it may have been written."""
    keys, children = zip(*((child.first_key, child.block) for child in claim.children), strict=True)
    return _made(claim.node.block, keys, children, internal=True)


def _made(block: int, keys: Sequence[int], children: Sequence[int], *, internal: bool) -> Rows:
    """Return a node that leads to other nodes, shape `(4096,)`."""
    rows = made_nodes(
        np.array([block], dtype=np.uint64),
        np.array(keys, dtype=np.uint64),
        np.array(children, dtype=np.uint64),
        np.array([len(keys)]),
        internal=internal,
    )
    put_checksums(rows, BTREE_CSUM_XOR)
    row: Rows = rows[0]
    return row
