"""Lost nodes put together as they likely were, where less is proven."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from thinmeta.analyse.recover.likely_children import Undecided, likely_claims
from thinmeta.analyse.recover.likely_roots import likely_roots
from thinmeta.analyse.recover.proof import Claim, MissingChild
from thinmeta.analyse.recover.put_in import MOST_ROUNDS, with_claims, with_roots
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.situation import Situation
from thinmeta.model.pool import Pool


class Guessed(NamedTuple):
    """A pool in which lost nodes are there again as they likely were.

    Attributes:
        pool: reads what was proven, and what is likely, in the place of what was lost.
        claims: what that is, of nodes of mapping trees.
        roots: the mapping trees of devices whose list is lost, by their ids.
        undecided: sound subtrees that are nobody's, not even likely.
    """

    pool: Pool
    claims: tuple[Claim, ...]
    roots: dict[int, MissingChild]
    undecided: tuple[Undecided, ...]


def guessed_from(
    reading: Reading,
    proven: Collection[Claim],
    proven_roots: Mapping[int, MissingChild],
    doubted: Collection[int],
) -> Guessed | None:
    """Put together what is likely, and all that is proven.

    Args:
        reading: the pool as it was before the proof.
        proven: what is proven of nodes.
        proven_roots: and of devices whose list is lost.
        doubted: nodes that are there, and are read as something else only where that is proven.

    Returns:
        None where nothing is likely that would not contradict what is proven.
    """
    undecided: dict[int, Undecided] = {}
    roots = dict(proven_roots)
    nr_blocks = reading.pool.source.device.nr_blocks
    if reading.pool.live_superblock.data_mapping_root < nr_blocks:
        more = likely_roots(Situation.of(*reading), proven_roots)
        roots |= more.roots
        undecided |= {each.child.block: each for each in more.undecided}
    if roots:
        reading = with_roots(reading, roots)
    kept = {*doubted} - {claim.node.block for claim in proven}
    claims: list[Claim] = []
    for _ in range(MOST_ROUNDS):
        situation = Situation.of(*reading)
        new = [claim for claim in situation.claims() if claim.is_exact]
        if not new:
            new, rest = likely_claims(situation)
            undecided |= {each.child.block: each for each in rest}
        new = [
            claim for claim in new if claim.node.block < nr_blocks and claim.node.block not in kept
        ]
        if not new:
            break
        claims += new
        reading = with_claims(reading, new)
    taken = pairs_of(claims)
    if not pairs_of(proven) <= taken:
        return None
    known = {child for _, child in taken}
    rest = [each for block, each in sorted(undecided.items()) if block not in known]
    return Guessed(reading.pool, tuple(claims), roots, tuple(rest))


def pairs_of(claims: Collection[Claim]) -> set[tuple[int, int]]:
    """Return the blocks of nodes and of the children that they are given."""
    return {(claim.node.block, child.block) for claim in claims for child in claim.children}
