"""Pools that lose nodes, and what is put together of them: thousands in a process."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np

from tests.anatomy import Anatomy
from tests.cases import unpacked
from tests.damage import BLOCK, DamagedImage
from thinmeta.analyse.recover.from_below import Rebuilt, rebuilt_from
from thinmeta.analyse.recover.survey import survey, without_blocks
from thinmeta.device.rebuilt_blocks import RebuiltBlocks
from thinmeta.model.pool import Pool, open_pool


@dataclass(frozen=True)
class Outcome:
    """Mappings below the children of lost nodes that are there still, once for each parent."""

    proven: int
    open: int


@dataclass(frozen=True)
class LikelyOutcome:
    """The same, where what is likely is taken, too.

    Attributes:
        proven: is proven.
        right: is not, but is likely, and was so.
        wrong: is likely, and was not so.
        open: is given to nobody that had it.
    """

    proven: int = 0
    right: int = 0
    wrong: int = 0
    open: int = 0

    def __add__(self, other: "LikelyOutcome") -> "LikelyOutcome":
        return LikelyOutcome(
            self.proven + other.proven,
            self.right + other.right,
            self.wrong + other.wrong,
            self.open + other.open,
        )


class LosingPool:
    """A sound pool, whose nodes are lost and put together again.

    Attributes:
        inner: nodes above the leaves of all mapping trees, held ones too.
        leaves: the leaves.
        children: of each inner node, by ascending key.
        device_list: the root of the tree of devices.
        device_roots: the mapping tree of each device.
    """

    def __init__(self, case: str, image: str) -> None:
        self._pool = open_pool(unpacked(case, image))
        self._sound = survey(self._pool.source.device, lambda *_: None)
        sound = DamagedImage.of(case, image)
        states = [Anatomy(sound)]
        if states[0].held_root:
            states.append(Anatomy(sound, states[0].held_root))
        places = [place for state in states for place in state.mapping_places()]
        self.device_list = states[0].devices[0].block
        self.device_roots = states[0].device_roots
        self.inner = sorted({place.block for place in places if not place.is_leaf})
        self.leaves = sorted({place.block for place in places if place.is_leaf})
        self.children = {
            block: [child for _, child in states[0].entries(block)] for block in self.inner
        }
        self._nr_mappings = {leaf: len(states[0].entries(leaf)) for leaf in self.leaves}

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, case: str, image: str = "meta") -> Self:
        return cls(case, image)

    def nr_mappings(self, block: int, lost: Iterable[int] = ()) -> int:
        """Return how many mappings are below a node, a shared leaf once for each parent."""
        if block in lost:
            return 0
        if block not in self._nr_mappings:
            total = sum(self.nr_mappings(child) for child in self.children[block])
            self._nr_mappings[block] = total
        return self._nr_mappings[block]

    def below(self, block: int) -> set[int]:
        return {block}.union(*(self.below(child) for child in self.children.get(block, ())))

    def flat_sets(self, size: int, most: int, seed: int = 1) -> Iterator[tuple[int, ...]]:
        """Return sets of inner nodes none of which is below another, in random order."""
        rng = random.Random(seed)
        seen = set()
        for _ in range(20 * most):
            some = tuple(sorted(rng.sample(self.inner, size)))
            is_flat = all(
                one == other or one not in self.below(other) for one in some for other in some
            )
            if is_flat and some not in seen:
                seen.add(some)
                yield some
            if len(seen) == most:
                return

    def loses(self, *lost: int) -> Outcome:
        """Lose some nodes, and put them together; nothing that is proven may be wrong."""
        found = self.rebuilt(*lost)
        proven = 0
        for claim in found.claims:
            true, given = self.children[claim.node.block], [each.block for each in claim.children]
            assert claim.node.block in lost
            assert [each for each in true if each in given] == given, (lost, claim)
            if claim.is_exact:
                assert given == true, (lost, claim)
            proven += sum(self.nr_mappings(child, lost) for child in given)
        total = sum(
            self.nr_mappings(child, lost)
            for block in lost
            for child in self.children.get(block, ())
        )
        return Outcome(proven, total - proven)

    def likely_loses(self, *lost: int) -> LikelyOutcome:
        """Lose some nodes, and take what is likely; all that is proven must be proven still."""
        outcome, found = self.loses(*lost), self.rebuilt(*lost, likely=True)
        likely = found.likely.children
        given = {(each.node.block, child.block) for each in found.claims for child in each.children}
        proven = self.rebuilt(*lost).claims
        assert given - likely == {
            (each.node.block, child.block) for each in proven for child in each.children
        }
        right = sum(
            self.nr_mappings(child, lost)
            for node, child in likely
            if child in self.children.get(node, ())  # a lost leaf may be taken for one above
        )
        total = sum(self.nr_mappings(child, lost) for _, child in likely)
        return LikelyOutcome(outcome.proven, right, total - right, outcome.open - right)

    def rebuilt(self, *lost: int, likely: bool = False) -> Rebuilt:
        zeros = np.zeros(BLOCK, dtype=np.uint8)
        device = RebuiltBlocks(self._pool.source.device, dict.fromkeys(lost, zeros))
        pool: Pool = replace(self._pool, source=self._pool.source._replace(device=device))
        return rebuilt_from(pool, without_blocks(self._sound, lost), likely=likely)
