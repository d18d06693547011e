"""Devices in branches, numbered so that those of a branch follow each other.

So all devices of a set are below the lowest branch that the first and the last of them have
in common.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.units import DeviceId
from thinmeta.walk.ragged import Places

NOBODY = -1
"""The parent of what stands on nothing."""

Numbers = npt.NDArray[np.int32]


class Branches(NamedTuple):
    """Devices in branches, each branch before what is below it.

    Attributes:
        parents: the place of each branch's own branch; -1 if it has none.
        places: where each device is; those that are not there are in no branch.

    >>> Branches.of_groups([[1, 2], [7]]).parents
    [-1, -1]
    """

    parents: Sequence[int]
    places: Mapping[DeviceId, int]

    @classmethod
    def of_groups(cls, groups: Sequence[Sequence[DeviceId]]) -> "Branches":
        """Return groups that have no device in common, by their places."""
        places = {device_id: place for place, group in enumerate(groups) for device_id in group}
        return cls([NOBODY] * len(groups), places)

    @classmethod
    def of_parents(cls, parent_of: Mapping[DeviceId, DeviceId | None]) -> "Branches":
        """Return each device as a branch with all that were created from it.

        >>> branches = Branches.of_parents({1: None, 2: 3, 3: 1, 4: 9})
        >>> branches.places, branches.parents
        ({1: 0, 3: 1, 2: 2, 4: 3}, [-1, 0, 1, -1])
        """
        below: dict[DeviceId | None, list[DeviceId]] = {}
        for device_id, parent in parent_of.items():
            below.setdefault(parent if parent in parent_of else None, []).append(device_id)
        places: dict[DeviceId, int] = {}
        parents: list[int] = []
        waiting = [(device_id, NOBODY) for device_id in reversed(below.get(None, []))]
        while waiting:
            device_id, parent_place = waiting.pop()
            place = places[device_id] = len(parents)
            parents.append(parent_place)
            waiting += [(each, place) for each in reversed(below.get(device_id, []))]
        return cls(parents, places)


def depths_of(parents: Places) -> Numbers:
    """Return how many branches each stands on.

    >>> depths_of(np.array([-1, 0, 1, 0, -1])).tolist()
    [0, 1, 2, 1, 0]
    """
    depths = np.zeros(len(parents), dtype=np.int32)
    for place, parent in enumerate(parents.tolist()):
        if parent != NOBODY:
            depths[place] = depths[parent] + 1
    return depths


def with_what_is_below(counts: Places, parents: Places) -> Places:
    """Return the sum of each branch and all below it.

    >>> with_what_is_below(np.array([1, 2, 4, 8, 16]), np.array([-1, 0, 1, 0, -1])).tolist()
    [15, 6, 4, 8, 16]
    """
    sums = counts.tolist()
    for place, parent in zip(range(len(sums) - 1, -1, -1), parents[::-1].tolist(), strict=True):
        if parent != NOBODY:
            sums[parent] += sums[place]
    return np.array(sums, dtype=np.int64)


def in_common(parents: Places, depths: Numbers, first: Places, last: Places) -> Places:
    """Return the lowest branch that has the places `first` and `last`; -1 where none has.

    It is the parent of the highest one between them, without the first: whatever is
    further below stands on that. Of each stretch of 2^k places the highest one is found
    from two of half the length, for one k after the other.

    >>> parents, depths = np.array([-1, 0, 1, 0, -1]), np.array([0, 1, 2, 1, 0], np.int32)
    >>> first, last = np.array([1, 2, 2, 3]), np.array([2, 3, 2, 4])
    >>> in_common(parents, depths, first, last).tolist()
    [1, 0, 2, -1]
    """
    found, lengths = first.copy(), last - first
    highest = np.arange(len(parents))
    half = 1
    while (lengths >= half).any():
        some = np.flatnonzero((lengths >= half) & (lengths < 2 * half))
        left, right = highest[first[some] + 1], highest[last[some] - half + 1]
        found[some] = parents[np.where(depths[left] <= depths[right], left, right)]
        left, right = highest[: max(0, len(highest) - half)], highest[half:]
        highest = np.where(depths[left] <= depths[right], left, right)
        half *= 2
    return found
