"""Lost nodes above the leaves, put together again from what hung below them.

A node that is lost takes with it nothing but the list of its children, and these are all still
on disk, counted. See `books` for how they are found, `proof` for whose they are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from thinmeta.analyse.recover.contradictions import (
    is_settled,
    parents_of_strangers,
    with_keys_of_children,
)
from thinmeta.analyse.recover.damaged_nodes import Mended
from thinmeta.analyse.recover.guesses import guessed_from, pairs_of
from thinmeta.analyse.recover.likely_children import Undecided
from thinmeta.analyse.recover.lost_lists import with_lists
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


class Likely(NamedTuple):
    """What is not proven of what was put together.

    Attributes:
        children: the blocks of nodes and of children that they likely had.
        device_ids: devices whose list is lost that likely have the tree that they are given.
        undecided: sound subtrees that nobody likely had.
    """

    children: frozenset[tuple[int, int]] = frozenset()
    device_ids: frozenset[int] = frozenset()
    undecided: tuple[Undecided, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether anything was put in that is not proven."""
        return bool(self.children or self.device_ids)


_NOTHING_LIKELY = Likely()


class Rebuilt(NamedTuple):
    """A pool in which lost nodes are there again.

    Attributes:
        pool: reads what was proven in the place of what was lost.
        claims: what that is, of nodes of mapping trees.
        roots: the mapping trees of devices whose list is lost, by their ids.
        mended: nodes that were damaged, and are read as what they held.
        doubted: nodes with right checksums that were taken for lost.
        likely: what of claims and roots is not proven, and what is not likely either.
    """

    pool: Pool
    claims: tuple[Claim, ...] = ()
    roots: Mapping[int, MissingChild] = MappingProxyType({})
    mended: tuple[MendedNode, ...] = ()
    doubted: frozenset[int] = frozenset()
    likely: Likely = _NOTHING_LIKELY


def rebuilt(
    pool: Pool, on_progress: OnProgress = lambda *_: None, *, likely: bool = False
) -> Rebuilt:
    """Put together what can be proven of the lost nodes of a pool.

    Args:
        pool: in the live state, or in that of its metadata snapshot.
        on_progress: told of blocks that were scanned.
        likely: put in what is likely, too.
    """
    return rebuilt_from(pool, survey(pool.source.device, on_progress), likely=likely)


def rebuilt_from(pool: Pool, found: Survey, *, likely: bool = False) -> Rebuilt:
    """Put together what can be proven, given what one pass over the device found."""
    mended, contents = with_mended(Reading(pool, found))
    start, lists = with_lists(mended)
    reading = start
    roots = {}
    if pool.live_superblock.data_mapping_root < pool.source.device.nr_blocks:
        roots = Situation.of(*reading).roots()
    if roots:
        reading = with_roots(reading, roots)
    fitting = _with_contradictions(reading)
    new, contents = fitting.reading, {**contents, **lists, **fitting.keys}
    proven = Rebuilt(new.pool, fitting.claims, roots, described(new, contents), fitting.doubted)
    if not likely:
        return proven
    is_list_lost = bool(start.pool.device_table.lost)
    return _with_guesses(start if is_list_lost else fitting.start, proven)


class _Fitting(NamedTuple):
    """A pool whose nodes fit to each other, as far as that is known.

    Attributes:
        start: the pool without what is proven.
        reading: and with it.
        claims: what is proven of lost nodes.
        keys: nodes that are read with other keys.
        doubted: nodes that were taken for lost.
    """

    start: Reading
    reading: Reading
    claims: tuple[Claim, ...]
    keys: Mapping[int, Mended] = MappingProxyType({})
    doubted: frozenset[int] = frozenset()


def _with_contradictions(reading: Reading) -> _Fitting:
    """Put in what is proven of lost nodes, and of those that do not fit to each other."""
    situation = Situation.of(*reading)
    misfits = situation.forest().misfits
    strange = parents_of_strangers(situation)
    if not misfits and not strange:
        return _Fitting(reading, *_with_claims(reading))
    keys = with_keys_of_children(situation)
    if keys:
        start = reading.instead({at: each.row for at, each in keys.items()})
        new, claims = _with_claims(start)
        if is_settled(Situation.of(*new), keys):
            return _Fitting(start, new, claims, keys)
    blocks = situation.trees.nodes.blocks
    parents = frozenset(int(blocks[parent]) for parent, _ in misfits)
    settled = []
    for some in {parents, *(frozenset({each}) for each in strange)} - {frozenset[int]()}:
        start = reading.without(some)
        new, claims = _with_claims(start)
        if is_settled(Situation.of(*new), some):
            settled.append(_Fitting(start, new, claims, doubted=some))
    if len(settled) == 1:
        return settled[0]
    children = frozenset(int(blocks[child]) for _, child in misfits)
    start = reading.without(children)
    return _Fitting(start, *_with_claims(start, children), doubted=children)


def _with_claims(
    reading: Reading, in_whole: frozenset[int] = frozenset()
) -> tuple[Reading, tuple[Claim, ...]]:
    """Put in what is proven of lost nodes.

    Args:
        reading: the pool.
        in_whole: nodes that are put in only if all of them is proven: they are there, and may
            be right for some of the devices that have them.
    """
    nr_blocks = reading.pool.source.device.nr_blocks
    claims: list[Claim] = []
    for _ in range(MOST_ROUNDS):
        # What leads past the end is wrong itself: nothing can be read there.
        new = [
            claim
            for claim in Situation.of(*reading).claims()
            if claim.node.block < nr_blocks and (claim.is_exact or claim.node.block not in in_whole)
        ]
        exact = [claim for claim in new if claim.is_exact]
        last = exact or new
        claims += last
        if not last:
            break
        reading = with_claims(reading, last)
        if not exact:
            break
    return reading, tuple(claims)


def _with_guesses(start: Reading, proven: Rebuilt) -> Rebuilt:
    """Put in what is likely, given the pool as it was before the proof."""
    guessed = guessed_from(start, proven.claims, proven.roots, proven.doubted)
    if guessed is None:
        return proven
    likely = Likely(
        frozenset(pairs_of(guessed.claims) - pairs_of(proven.claims)),
        frozenset(guessed.roots.keys() - proven.roots.keys()),
        guessed.undecided,
    )
    return proven._replace(
        pool=guessed.pool, claims=guessed.claims, roots=guessed.roots, likely=likely
    )


def can_be_rebuilt(pool: Pool) -> bool:
    """Tell whether the pool is in a state whose blocks are counted."""
    return not isinstance(pool.state, Roots) and pool.superblock_damage is None


def rebuilt_where_lost(
    pool: Pool, on_progress: OnProgress = lambda *_: None, *, likely: bool = False
) -> Rebuilt:
    """Put together what can be proven, if a node above the leaves is lost; see `rebuilt`.

    Nothing is scanned where none is, nor for a past state, whose blocks are not counted.
    """
    if not can_be_rebuilt(pool):
        return Rebuilt(pool)
    is_lost = bool(pool.device_table.lost)
    if not is_lost and not MappingTrees.of(pool).forest.levels[0].nodes.codes.any():
        return Rebuilt(pool)
    return rebuilt(pool, on_progress, likely=likely)
