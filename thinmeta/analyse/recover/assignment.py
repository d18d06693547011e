"""Whose child a node is: all ways to give what is missing to the nodes that are lost.

A way must give each child to as many nodes as its references are missing. The children of a
node exclude each other's keys, and a device must come to as many mappings as its details say.
Only what all ways have in common is proven. The search goes child by child in key order and
keeps states, not ways: what each node holds up to, and what each device has so far. So it takes
time by the number of different sums; where these are too many it gives up.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

MOST_STEPS = 300_000
"""Steps from state to state in one search: a second or two."""


class Item(NamedTuple):
    """A child that is missing.

    Attributes:
        first_key: the lowest key below it.
        last_key: the highest.
        nr_mappings: below it.
        times: how many of the lost nodes have it.
        takers: those of them that may.
    """

    first_key: int
    last_key: int
    nr_mappings: int
    times: int
    takers: tuple[int, ...]


class SumLimit(NamedTuple):
    """How many mappings some of the lost nodes have together, since a device has them all.

    Attributes:
        nodes: which of them.
        least: not fewer.
        most: not more.
    """

    nodes: frozenset[int]
    least: int
    most: int


Takers = frozenset[int]
State = tuple[tuple[int, ...], tuple[int, ...]]
"""Up to where each node is full, and what each limit's nodes have together."""


def takers_in_all_ways(
    items: Sequence[Item], nr_nodes: int, limits: Sequence[SumLimit]
) -> list[set[Takers]] | None:
    """Return for each item who takes it, in one way or another.

    Two nodes, of which the first has 7 mappings and the second 5; one item only fits into
    the first, so the two others, of 2 and 5, are decided by the sums:

    >>> items = [Item(0, 4, 5, 1, (0,)), Item(5, 6, 2, 1, (0, 1)), Item(7, 11, 5, 1, (0, 1))]
    >>> found = takers_in_all_ways(items, 2, [SumLimit(frozenset({0}), 7, 7)])
    >>> [sorted(map(sorted, each)) for each in found]
    [[[0]], [[0]], [[1]]]

    Args:
        items: ascending by first key.
        nr_nodes: how many nodes are lost.
        limits: of their sums.

    Returns:
        None where there are too many states; empty sets where there is no way.
    """
    if sum(comb(len(item.takers), item.times) for item in items) > MOST_STEPS:
        return None
    options = [
        [frozenset(some) for some in combinations(item.takers, item.times)] for item in items
    ]
    search = Search(items, limits, options)
    start: State = ((-1,) * nr_nodes, (0,) * len(limits))
    layers: list[set[State]] = [{start}]
    nr_steps = 0
    for place, item in enumerate(items):
        nr_steps += len(layers[-1]) * comb(len(item.takers), item.times)
        if nr_steps > MOST_STEPS:
            return None
        layers.append({state for before in layers[-1] for state, _ in search.steps(place, before)})
    good = {state for state in layers[-1] if search.is_enough(state)}
    found: list[set[Takers]] = [set() for _ in items]
    for place in range(len(items) - 1, -1, -1):
        good_before = set()
        for before in layers[place]:
            for state, takers in search.steps(place, before):
                if state in good:
                    good_before.add(before)
                    found[place].add(takers)
        good = good_before
    return found


class Search:
    """The steps from state to state, item by item."""

    def __init__(
        self,
        items: Sequence[Item],
        limits: Sequence[SumLimit],
        options: Sequence[Sequence[Takers]],
    ) -> None:
        """Prepare for items, ascending by first key, each with its `options` of takers."""
        self._items = items
        self._limits = limits
        self._options = options
        self._left = [[0] * len(limits) for _ in range(len(items) + 1)]
        for place in range(len(items) - 1, -1, -1):
            for which, limit in enumerate(limits):
                most = max((len(each & limit.nodes) for each in self._options[place]), default=0)
                more = most * items[place].nr_mappings
                self._left[place][which] = self._left[place + 1][which] + more

    def steps(self, place: int, before: State) -> list[tuple[State, Takers]]:
        """Return the states that an item can lead to, and who takes it."""
        item, left = self._items[place], self._left[place + 1]
        ends, sums = before
        found = []
        for takers in self._options[place]:
            if any(ends[node] >= item.first_key for node in takers):
                continue
            new_sums = tuple(
                total + item.nr_mappings * len(takers & limit.nodes)
                for total, limit in zip(sums, self._limits, strict=True)
            )
            if any(
                total > limit.most or total + more < limit.least
                for total, more, limit in zip(new_sums, left, self._limits, strict=True)
            ):
                continue
            found.append((((self._ends(place, ends, takers)), new_sums), takers))
        return found

    def _ends(self, place: int, ends: tuple[int, ...], takers: Takers) -> tuple[int, ...]:
        """Return up to where each node is full; what no later item can tell apart is one state."""
        item = self._items[place]
        following = self._items[place + 1].first_key if place + 1 < len(self._items) else -1
        new = (item.last_key if node in takers else end for node, end in enumerate(ends))
        return tuple(end if end >= following >= 0 else -1 for end in new)

    def is_enough(self, state: State) -> bool:
        """Tell whether all devices have what they need."""
        return all(
            total >= limit.least for total, limit in zip(state[1], self._limits, strict=True)
        )

    def nr_whole(self, state: State) -> int:
        """Return how many devices have all that they may have."""
        return sum(total == limit.most for total, limit in zip(state[1], self._limits, strict=True))
