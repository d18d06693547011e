"""Which mapping trees devices likely have whose list is lost, where the proof leaves it open.

A device has a tree of as many mappings as its details say, and none whose mappings it shares
though they are not older than its last snapshot. Of those a pair is likely where, in this order,

1. an old list of devices says so (or that of a metadata snapshot),
2. the device was created last before the newest mapping that is no other tree's,
3. nothing else is left,

each where it says so of no other tree of the device, and of no other device of the tree.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from thinmeta.analyse.recover.likely_children import Undecided
from thinmeta.analyse.recover.lost_roots import DetailsOf
from thinmeta.analyse.recover.old_lists import OldLists
from thinmeta.analyse.recover.proof import MissingChild
from thinmeta.analyse.recover.situation import Situation

_Pair = tuple[DetailsOf, MissingChild]


class LikelyRoots(NamedTuple):
    """Mapping trees of devices.

    Attributes:
        roots: the tree that a device likely has, by its id.
        undecided: trees of which nobody knows whose they are.
    """

    roots: dict[int, MissingChild]
    undecided: tuple[Undecided, ...]


def likely_roots(situation: Situation, proven: Mapping[int, MissingChild]) -> LikelyRoots:
    """Return which trees devices likely have, beside those that are proven."""
    puzzle = situation.list_puzzle()
    if puzzle is None:
        return LikelyRoots({}, ())
    times = situation.newest_times(puzzle.places)
    own = {
        root.block: times.own[place] if root.times == 1 else -1
        for root, place in zip(puzzle.roots, puzzle.places, strict=True)
    }
    said = OldLists.of(
        situation.trees, int(situation.pool.live_superblock.data_mapping_root)
    ).pairs()
    used = Counter(root.block for root in proven.values())
    left = [
        root._replace(times=root.times - used[root.block])
        for root in situation.timed_roots(puzzle)
        if root.times > used[root.block]
    ]
    pairs = {
        (device, root)
        for device in puzzle.devices
        if device.device_id not in proven
        for root in left
        if root.nr_mappings == device.mapped_blocks and root.shared_time < device.snap_time
    }
    rules: tuple[Callable[[set[_Pair]], set[_Pair]], ...] = (
        lambda some: {each for each in some if (each[0].device_id, each[1].block) in said},
        lambda some: _created_last(some, own),
        lambda some: some,
    )
    taken: dict[int, MissingChild] = {}
    while new := next(filter(None, (_sole(rule(pairs)) for rule in rules)), None):
        taken |= {device.device_id: root for device, root in new}
        used = Counter(root.block for root in taken.values())
        pairs = {
            (device, root)
            for device, root in pairs
            if device.device_id not in taken and root.times > used[root.block]
        }
    return LikelyRoots(taken, tuple(_undecided(pairs)))


def _sole(pairs: Iterable[_Pair]) -> set[_Pair]:
    """Return the pairs of which each has no other partner."""
    some = set(pairs)
    of_devices = Counter(device for device, _ in some)
    of_roots = Counter(root for _, root in some)
    return {
        (device, root)
        for device, root in some
        if of_devices[device] == 1 and of_roots[root] <= root.times
    }


def _created_last(pairs: set[_Pair], own: dict[int, int]) -> set[_Pair]:
    created = [each for each in pairs if each[0].creation_time <= own[each[1].block]]
    last: dict[MissingChild, int] = {}
    for device, root in created:
        last[root] = max(device.creation_time, last.get(root, 0))
    return {(device, root) for device, root in created if device.creation_time == last[root]}


def _undecided(pairs: set[_Pair]) -> Iterable[Undecided]:
    for root in sorted({root for _, root in pairs}, key=lambda each: each.block):
        if root.nr_mappings:
            ids = sorted(device.device_id for device, other in pairs if other == root)
            yield Undecided(root, tuple(ids))
