"""Which children the lost nodes of mapping trees had: what all ways to give them out agree on."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

from thinmeta.analyse.recover.assignment import Item, SumLimit, Takers, takers_in_all_ways
from thinmeta.analyse.recover.lost_nodes import LostNode, Owner
from thinmeta.schemas.columns import BLOCK_TIME, CHILD
from thinmeta.schemas.node_layout import max_entries_of, most_entries

_MOST_HEIGHTS = 64
"""Ways to choose the heights of lost roots that are tried."""

_MOST_PAIRS = 2_000_000
"""Nodes times children that are looked at: seconds."""


class MissingChild(NamedTuple):
    """A sound node that is counted more often than sound nodes refer to it.

    Attributes:
        block: where it is.
        times: how many references are missing.
        height: above the leaves.
        first_key: the lowest key below it.
        last_key: the highest.
        nr_mappings: below it.
        is_whole: whether nothing below it is lost.
        shared_time: the newest time of a mapping below it that another device has, too;
            -1 where none is known to be.
    """

    block: int
    times: int
    height: int
    first_key: int
    last_key: int
    nr_mappings: int
    is_whole: bool
    shared_time: int = -1


class OwnerSum(NamedTuple):
    """How many mappings are missing of a device.

    Attributes:
        missing: those that its details count and that are not there; None where nobody knows.
        nr_lost_leaves: leaves that are lost elsewhere, some of them may be in.
    """

    missing: int | None
    nr_lost_leaves: int


class Claim(NamedTuple):
    """What is proven of a lost node.

    Attributes:
        node: where it stood.
        children: those that it had, ascending by key.
        doubtful: those that it may have had.
        is_exact: whether it had these and no others.
        gaps: where else it may have had children: first and last keys.
    """

    node: LostNode
    children: tuple[MissingChild, ...]
    doubtful: tuple[MissingChild, ...]
    is_exact: bool
    gaps: tuple[tuple[int, int], ...] = ()


def proven_claims(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    sums: dict[Owner, OwnerSum],
    *,
    are_more_lost: bool,
) -> list[Claim] | None:
    """Return what is proven of each lost node; None where a child fits none of them.

    Args:
        nodes: all that are lost.
        children: all that are missing.
        sums: what is missing of each owner of a lost node.
        are_more_lost: whether children are missing that cannot be read.
    """
    if len(nodes) * len(children) > _MOST_PAIRS:
        return None
    takers = {child.block: takers_of(child, nodes) for child in children}
    if any(len(takers[child.block]) < child.times for child in children):
        return None
    claims: list[Claim] = []
    for group in groups_of(nodes, takers.values()):
        own = [child for child in children if set(takers[child.block]) & group]
        if own:
            some = [nodes[each] for each in sorted(group)]
            claims += _claims_of(some, own, sums, are_more_lost=are_more_lost)
    return claims


def takers_of(child: MissingChild, nodes: Sequence[LostNode]) -> tuple[int, ...]:
    """Return which nodes may have had a child.

    A mapping that is not older than its device's last snapshot is written in place, so
    no other device has its data block. Source: `__snapshotted_since()`,
    drivers/md/dm-thin-metadata.c.
    """
    return tuple(
        place
        for place, node in enumerate(nodes)
        if node.child_height in (None, child.height)
        and node.first_key <= child.first_key <= child.last_key <= node.last_key
        and all(owner.snap_time > child.shared_time for owner in node.owners)
    )


def groups_of(nodes: Sequence[LostNode], takers: Iterable[tuple[int, ...]]) -> list[set[int]]:
    """Return which nodes depend on each other: by a child or by a device."""
    by_owner: dict[Owner, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for owner in node.owners:
            by_owner[owner].append(place)
    group_of = [{place} for place in range(len(nodes))]
    for together in {*takers, *map(tuple, by_owner.values())}:
        for place in together[1:]:
            one, other = group_of[together[0]], group_of[place]
            if one is not other:
                one |= other
                for each in other:
                    group_of[each] = one
    return list({id(group): group for group in group_of}.values())


def _claims_of(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    sums: dict[Owner, OwnerSum],
    *,
    are_more_lost: bool,
) -> list[Claim]:
    ordered = sorted(children, key=lambda child: child.first_key)
    is_open = are_more_lost or not all(child.is_whole for child in ordered)
    found = _all_takers(nodes, ordered, sums, is_open=is_open)
    if found is None or not all(found):
        return []
    claims = []
    closed = closed_owners(nodes, ordered, found, sums)
    for place, node in enumerate(nodes):
        sure, doubtful = [], []
        for child, ways in zip(ordered, found, strict=True):
            if all(place in way for way in ways):
                sure.append(child)
            elif any(place in way for way in ways):
                doubtful.append(child)
        is_exact = node.owners & closed or not (doubtful or are_more_lost)
        if 0 < len(sure) <= max_entries_of(CHILD):
            gaps = () if is_exact else gaps_of(node, sure, None if are_more_lost else doubtful)
            claims.append(Claim(node, tuple(sure), tuple(doubtful), bool(is_exact), gaps))
    return claims


def closed_owners(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    found: Sequence[set[Takers]],
    sums: dict[Owner, OwnerSum],
) -> frozenset[Owner]:
    """Return the owners of which nothing is missing any more, by what is sure."""
    sure = [
        (child, frozenset.intersection(*ways)) for child, ways in zip(children, found, strict=True)
    ]
    closed = set()
    for owner in set[Owner]().union(*(node.owners for node in nodes)):
        own = frozenset(place for place, node in enumerate(nodes) if owner in node.owners)
        given = sum(child.nr_mappings * len(takers & own) for child, takers in sure)
        if given == sums[owner].missing and all(child.is_whole for child, _ in sure):
            closed.add(owner)
    return frozenset(closed)


def gaps_of(
    node: LostNode, sure: Sequence[MissingChild], doubtful: Sequence[MissingChild] | None
) -> tuple[tuple[int, int], ...]:
    """Return where a node may have had more children: anywhere if `doubtful` is None."""
    firsts = [node.first_key, *(child.last_key + 1 for child in sure)]
    lasts = [*(child.first_key - 1 for child in sure), node.last_key]
    return tuple(
        (first, last)
        for first, last in zip(firsts, lasts, strict=True)
        if first <= last
        and (
            doubtful is None
            or any(child.first_key <= last and child.last_key >= first for child in doubtful)
        )
    )


def _all_takers(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    sums: dict[Owner, OwnerSum],
    *,
    is_open: bool,
) -> list[set[Takers]] | None:
    """Return who takes each child in all ways, for all heights that roots may have."""
    choices = ways_to_stand(nodes, children, sums, is_open=is_open)
    if choices is None:
        return None
    found: list[set[Takers]] = [set() for _ in children]
    for items, limits in choices:
        if any(len(item.takers) < item.times for item in items):
            continue
        part = takers_in_all_ways(items, len(nodes), limits)
        if part is None:
            return None
        found = [known | more for known, more in zip(found, part, strict=True)]
    return found


def ways_to_stand(
    nodes: Sequence[LostNode],
    children: Sequence[MissingChild],
    sums: dict[Owner, OwnerSum],
    *,
    is_open: bool,
) -> list[tuple[list[Item], list[SumLimit]]] | None:
    """Return who may take each child, and what devices allow, for all heights that roots may have.

    Args:
        nodes: that depend on each other, all of them.
        children: theirs, ascending by key.
        sums: what is missing of each owner.
        is_open: whether mappings are missing that are nowhere.

    Returns:
        None where there are too many ways, or where details are lost.
    """
    owners = set[Owner]().union(*(node.owners for node in nodes))
    if any(sums[owner].missing is None for owner in owners):
        return None
    there = sorted({child.height for child in children})
    choices = [
        [node.child_height] if node.child_height is not None else [None, *there] for node in nodes
    ]
    if prod(map(len, choices)) > _MOST_HEIGHTS:
        return None
    found = []
    for heights in product(*choices):
        limits = _limits(nodes, heights, owners, sums, is_open=is_open)
        if limits is not None:
            found.append(([_item(child, nodes, heights) for child in children], limits))
    return found


def _item(child: MissingChild, nodes: Sequence[LostNode], heights: tuple[int | None, ...]) -> Item:
    takers = tuple(place for place in takers_of(child, nodes) if heights[place] == child.height)
    return Item(child.first_key, child.last_key, child.nr_mappings, child.times, takers)


def _limits(
    nodes: Sequence[LostNode],
    heights: tuple[int | None, ...],
    owners: Iterable[Owner],
    sums: dict[Owner, OwnerSum],
    *,
    is_open: bool,
) -> list[SumLimit] | None:
    """Return what each device allows; None where nothing can be right."""
    limits: dict[frozenset[int], SumLimit] = {}
    for owner in owners:
        missing, nr_leaves = sums[owner].missing or 0, sums[owner].nr_lost_leaves
        own = frozenset(place for place, node in enumerate(nodes) if owner in node.owners)
        nr_leaves += sum(heights[place] is None for place in own)  # a root that was a leaf
        least = 0 if is_open else max(0, missing - nr_leaves * most_entries(BLOCK_TIME))
        if missing < 0:
            return None
        if own in limits:
            least, missing = max(least, limits[own].least), min(missing, limits[own].most)
        if least > missing:
            return None
        limits[own] = SumLimit(own, least, missing)
    return list(limits.values())
