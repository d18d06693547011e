"""Which children lost nodes likely had, where the proof leaves it open: what speaks for whom.

Whoever likely had a child must have been able to, by all that `proof` knows. The ways that are
left are weighed (see `best_ways`); each of these counts only where those before it are equal:

1. The more mappings find a place the better: what nobody can have had is a leak.
2. A device comes to as many mappings as its details say. Where leaves are lost it need not.
3. A device that has a data block with others was snapshotted after that was written. This is
   a proof only where nothing else is lost.
4. A device writes after it was created: of those that may have had a mapping that is nobody
   else's, the one is likely that was created last before it.
5. The device had the child in a state that is past, or held.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from thinmeta.analyse.recover.assignment import Takers
from thinmeta.analyse.recover.best_ways import Weights, best_by_takers
from thinmeta.analyse.recover.lost_nodes import LostNode, Owner
from thinmeta.analyse.recover.old_lists import OldLists
from thinmeta.analyse.recover.proof import (
    Claim,
    MissingChild,
    OwnerSum,
    closed_owners,
    gaps_of,
    groups_of,
    takers_of,
    ways_to_stand,
)
from thinmeta.analyse.recover.puzzles import Puzzle
from thinmeta.analyse.recover.situation import Situation
from thinmeta.schemas.columns import CHILD
from thinmeta.schemas.node_layout import max_entries_of

_FOR_MAPPINGS = 1 << 48
_FOR_WHOLE = 1 << 36
_FOR_SHARING = 1 << 24
_FOR_TIMES = 1 << 12
_FOR_OLD_TREES = 1
"""What weighs more must outweigh all of what weighs less, of as many children as there are."""

_NO_SUM = OwnerSum(1 << 62, 0)
"""Of a device whose details are lost: it may have anything."""


class Undecided(NamedTuple):
    """A sound subtree that is counted, of which nobody knows whose it is.

    Attributes:
        child: its highest node.
        device_ids: the devices that may have it, ascending.
    """

    child: MissingChild
    device_ids: tuple[int, ...]


class _Evidence(NamedTuple):
    """What speaks for who had a child.

    Attributes:
        shared: the newest time of what others map, too, by the child's block; -1 if unknown.
        own: the newest time of what nobody else maps.
        had: devices and children that they had in states that are past, or held.
    """

    shared: dict[int, int]
    own: dict[int, int]
    had: set[tuple[int, int]]

    @classmethod
    def of(cls, situation: Situation, puzzle: Puzzle) -> "_Evidence":
        times, shared = situation.newest_times(puzzle.places), situation.shared_times()
        blocks = {place: child.block for child, place in puzzle.placed}
        old = OldLists.of(situation.trees, int(situation.pool.live_superblock.data_mapping_root))
        ids = {owner.device_id for node in puzzle.nodes for owner in node.owners}
        return cls(
            {
                block: -1 if shared is None else max(int(shared[place]), times.shared[place])
                for place, block in blocks.items()
            },
            {
                child.block: times.own[place] if child.times == 1 else -1
                for child, place in puzzle.placed
            },
            {(each, blocks[place]) for each, place in old.devices_that_had(ids, puzzle.places)},
        )

    def weights(self, child: MissingChild, nodes: Sequence[LostNode]) -> dict[int, int]:
        """Return what speaks for each node, by its place."""
        created_last = _created_last(child, nodes, self.own[child.block])
        return {
            place: _FOR_MAPPINGS * child.nr_mappings
            + _FOR_SHARING
            * all(owner.snap_time > self.shared[child.block] for owner in node.owners)
            + _FOR_TIMES * (node in created_last)
            + _FOR_OLD_TREES
            * any((owner.device_id, child.block) in self.had for owner in node.owners)
            for place, node in enumerate(nodes)
        }


def likely_claims(situation: Situation) -> tuple[list[Claim], list[Undecided]]:
    """Return what lost nodes likely had, what is proven among it; and what nobody likely had."""
    puzzle = situation.puzzle()
    if puzzle is None:
        return [], []
    is_certain = situation.are_accounted_for(puzzle)
    evidence = _Evidence.of(situation, puzzle)
    children = puzzle.children
    if is_certain and not puzzle.is_open:
        children = [each._replace(shared_time=evidence.shared[each.block]) for each in children]
    claims: list[Claim] = []
    undecided: list[Undecided] = []
    for nodes, some in _apart(puzzle.nodes, children):
        weights = Weights([evidence.weights(child, nodes) for child in some], _FOR_WHOLE)
        ways = _best_ways(nodes, some, puzzle, weights, is_certain=is_certain)
        likely = [_best(each) for each in ways]
        claims += _claims_of(nodes, some, likely, puzzle)
        undecided += [
            Undecided(child, _device_ids(situation, [nodes[each] for each in takers]))
            for child, best in zip(some, likely, strict=True)
            if not best and (takers := takers_of(child, nodes))
        ]
    return claims, undecided


def _apart(
    nodes: Sequence[LostNode], children: Sequence[MissingChild]
) -> list[tuple[list[LostNode], list[MissingChild]]]:
    """Return the nodes that depend on each other, and the children that they may have had."""
    takers = {child.block: {*takers_of(child, nodes)} for child in children}
    ordered = sorted(children, key=lambda child: child.first_key)
    return [
        (
            [nodes[each] for each in sorted(group)],
            [child for child in ordered if takers[child.block] & group],
        )
        for group in groups_of(nodes, map(tuple, takers.values()))
    ]


def _created_last(child: MissingChild, nodes: Sequence[LostNode], own: int) -> set[LostNode]:
    """Return whose devices were created last before the newest mapping that is not shared."""
    created = {
        nodes[taker]: max(
            (each.creation_time for each in nodes[taker].owners if each.creation_time <= own),
            default=-1,
        )
        for taker in takers_of(child, nodes)
    }
    last = max(created.values(), default=-1)
    return {node for node, time in created.items() if time == last >= 0}


def _best_ways(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    puzzle: Puzzle,
    weights: Weights,
    *,
    is_certain: bool,
) -> list[dict[Takers, int]]:
    """Return the weight of the best way by who takes each child; nothing if there are too many.

    A way that leaves nothing over is better than any that does, so those are looked at first.
    """
    found: list[dict[Takers, int]] = [{} for _ in children]
    sums = {owner: _NO_SUM if each.missing is None else each for owner, each in puzzle.sums.items()}
    is_open = puzzle.is_open or not is_certain
    stands = ways_to_stand(nodes, children, sums, is_open=is_open) or []
    for may_be_nobodys in (False,) if is_certain else (False, True):
        for items, limits in stands:
            best = best_by_takers(items, len(nodes), limits, weights, may_be_nobodys=may_be_nobodys)
            if best is None:
                return [{} for _ in children]
            for known, more in zip(found, best, strict=True):
                known |= {each: max(weight, known.get(each, 0)) for each, weight in more.items()}
        if any(found):
            break
    return found


def _best(ways: dict[Takers, int]) -> Takers:
    """Return who takes a child in the best way, nobody where another is as good."""
    best = max(ways.values(), default=0)
    likely = [takers for takers, weight in ways.items() if weight == best]
    return likely[0] if len(likely) == 1 else frozenset()


def _claims_of(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    likely: Sequence[Takers],
    puzzle: Puzzle,
) -> list[Claim]:
    claims = []
    closed = closed_owners(nodes, children, [{each} for each in likely], puzzle.sums)
    for place, node in enumerate(nodes):
        taken, doubtful = [], []
        for child, takers in zip(children, likely, strict=True):
            if place in takers:
                taken.append(child)
            elif place in takers_of(child, nodes):
                doubtful.append(child)
        is_exact = bool(node.owners & closed) or not (doubtful or puzzle.unread)
        if 0 < len(taken) <= max_entries_of(CHILD):
            gaps = () if is_exact else gaps_of(node, taken, None if puzzle.unread else doubtful)
            claims.append(Claim(node, tuple(taken), tuple(doubtful), is_exact, gaps))
    return claims


def _device_ids(situation: Situation, nodes: Collection[LostNode]) -> tuple[int, ...]:
    """Return the devices of the state that is read that have one of some nodes."""
    superblock = situation.pool.superblock.blocknr
    owners = set[Owner]().union(*(node.owners for node in nodes))
    return tuple(sorted({each.device_id for each in owners if each.superblock == superblock}))
