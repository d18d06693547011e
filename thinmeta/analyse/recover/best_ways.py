"""Whose child a node most likely is: the ways to give children out, weighed against each other.

All ways are looked at that `assignment` looks at, and each has a weight: what speaks for every
child to be where it is. A child is likely where the best way puts it, if each way that puts it
elsewhere weighs less.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from thinmeta.analyse.recover.assignment import MOST_STEPS, Item, Search, State, SumLimit, Takers


class Weights(NamedTuple):
    """What speaks for a way to give items out; all of it is added up.

    Attributes:
        of_takers: for each taker of each item.
        of_whole: for a limit's nodes to come to the most that they may.
    """

    of_takers: Sequence[Mapping[int, int]]
    of_whole: int = 0


def best_by_takers(
    items: Sequence[Item],
    nr_nodes: int,
    limits: Sequence[SumLimit],
    weights: Weights,
    *,
    may_be_nobodys: bool,
) -> list[dict[Takers, int]] | None:
    """Return for each item the weight of the best way, by who takes it.

    Either of two nodes may have the first item, and something speaks for the second:

    >>> items = [Item(0, 4, 5, 1, (0, 1)), Item(5, 6, 2, 1, (1,))]
    >>> limits = [SumLimit(frozenset({each}), 0, 9) for each in (0, 1)]
    >>> weights = Weights([{0: 1, 1: 3}, {1: 0}])
    >>> best = best_by_takers(items, 2, limits, weights, may_be_nobodys=False)
    >>> [sorted((*takers, weight) for takers, weight in each.items()) for each in best]
    [[(0, 1), (1, 3)], [(1, 3)]]

    Args:
        items: ascending by first key.
        nr_nodes: how many nodes are lost.
        limits: of their sums.
        weights: of the ways.
        may_be_nobodys: whether an item may have fewer takers than it should.

    Returns:
        None where there are too many states; nothing of an item where there is no way.
    """
    options = [
        [
            frozenset(some)
            for size in (range(item.times + 1) if may_be_nobodys else (item.times,))
            for some in combinations(item.takers, size)
        ]
        for item in items
    ]
    if sum(map(len, options)) > MOST_STEPS:
        return None
    search = Search(items, limits, options)
    layers: list[dict[State, int]] = [{((-1,) * nr_nodes, (0,) * len(limits)): 0}]
    nr_steps = 0
    for place in range(len(items)):
        nr_steps += len(layers[-1]) * len(options[place])
        if nr_steps > MOST_STEPS:
            return None
        following: dict[State, int] = {}
        for before, weight in layers[-1].items():
            for state, takers in search.steps(place, before):
                total = weight + sum(weights.of_takers[place][each] for each in takers)
                following[state] = max(total, following.get(state, total))
        layers.append(following)
    after = {
        state: weights.of_whole * search.nr_whole(state)
        for state in layers[-1]
        if search.is_enough(state)
    }
    found: list[dict[Takers, int]] = [{} for _ in items]
    for place in range(len(items) - 1, -1, -1):
        before_it: dict[State, int] = {}
        for before, weight in layers[place].items():
            for state, takers in search.steps(place, before):
                if state in after:
                    rest = after[state] + sum(weights.of_takers[place][each] for each in takers)
                    before_it[before] = max(rest, before_it.get(before, rest))
                    best = found[place].get(takers, weight + rest)
                    found[place][takers] = max(best, weight + rest)
        after = before_it
    return found
