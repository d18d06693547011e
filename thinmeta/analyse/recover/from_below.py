"""Lost nodes above the leaves, put together again from what hung below them.

A node that is lost takes with it nothing but the list of its children, and these are all still
on disk, counted. See `books` for how they are found, `proof` for whose they are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from thinmeta.analyse.recover.mending import MendedNode, described, with_mended
from thinmeta.analyse.recover.proof import Claim, MissingChild
from thinmeta.analyse.recover.put_in import MOST_ROUNDS, with_claims, with_roots
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.situation import Situation
from thinmeta.analyse.recover.survey import Survey, survey
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.units import OnProgress


class Rebuilt(NamedTuple):
    """A pool in which lost nodes are there again.

    Attributes:
        pool: reads what was proven in the place of what was lost.
        claims: what that is, of nodes of mapping trees.
        roots: the mapping trees of devices whose list is lost, by their ids.
        mended: nodes that were damaged, and are read as what they held.
    """

    pool: Pool
    claims: tuple[Claim, ...] = ()
    roots: Mapping[int, MissingChild] = MappingProxyType({})
    mended: tuple[MendedNode, ...] = ()


def rebuilt(pool: Pool, on_progress: OnProgress = lambda *_: None) -> Rebuilt:
    """Put together what can be proven of the lost nodes of a pool.

    Args:
        pool: in the live state, or in that of its metadata snapshot.
        on_progress: told of blocks that were scanned.
    """
    return rebuilt_from(pool, survey(pool.source.device, on_progress))


def rebuilt_from(pool: Pool, found: Survey) -> Rebuilt:
    """Put together what can be proven, given what one pass over the device found."""
    reading, contents = with_mended(Reading(pool, found))
    nr_blocks = pool.source.device.nr_blocks
    roots = {}
    if pool.live_superblock.data_mapping_root < nr_blocks:
        roots = Situation.of(*reading).roots()
    if roots:
        reading = with_roots(reading, roots)
    claims: list[Claim] = []
    for _ in range(MOST_ROUNDS):
        # What leads past the end is wrong itself: nothing can be read there.
        new = [claim for claim in Situation.of(*reading).claims() if claim.node.block < nr_blocks]
        exact = [claim for claim in new if claim.is_exact]
        last = exact or new
        claims += last
        if not last:
            break
        reading = with_claims(reading, last)
        if not exact:
            break
    return Rebuilt(reading.pool, tuple(claims), roots, described(reading, contents))


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
