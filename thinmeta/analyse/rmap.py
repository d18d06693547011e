"""Who maps which data blocks: the mappings of all devices, turned round.

Complete also below nodes that devices share. Such a leaf is read once to see whether
it maps any of the blocks asked for, and again only for the devices that have it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from thinmeta.model.pool import Pool
from thinmeta.schemas.columns import DATA_BLOCK_MASK, DATA_BLOCK_SHIFT
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.growing import grow
from thinmeta.walk.leaf_list import NODES_AT_ONCE, Leaves
from thinmeta.walk.leaves import OnProgress, damage_of, read_leaves
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Mask, Metadata
from thinmeta.walk.ragged import Places, starts_of
from thinmeta.walk.runs import Runs, join
from thinmeta.walk.shared_runs import occurrences

_SHIFT = np.uint64(DATA_BLOCK_SHIFT)
_WITHOUT_TIME = np.uint64(DATA_BLOCK_MASK << DATA_BLOCK_SHIFT)


_Narrow = npt.NDArray[np.uint32]
_ScalarT = TypeVar("_ScalarT", bound=np.generic)

RUNS_AT_ONCE = 1 << 16
"""Runs of a piece."""


class Region(NamedTuple):
    """Data blocks, half-open."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class ReverseRuns(Columnar):
    """Runs of data blocks and who maps them, as columns of shape `(n,)`, dtype uint64.

    Attributes:
        data_begin: first block on the data device.
        length: in blocks.
        device_id: the device that maps them.
        origin_begin: first block in that device.
    """

    data_begin: Keys
    length: Keys
    device_id: Keys
    origin_begin: Keys


def rmap(
    pool: Pool, regions: Sequence[Region], *, on_progress: OnProgress | None = None
) -> Iterator[ReverseRuns]:
    """Return which devices map the data blocks of `regions`, neighbours joined, in pieces.

    Sorted by first data block, length, device id and first block of the device. Also
    neighbours of different times are joined, and regions that touch or overlap count
    as one. Devices that only the mapping tree has are among those that map.

    Args:
        pool: in the state to look at.
        regions: data blocks.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises, before
            anything is returned; else what the node held is left out.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    inside = _Inside(regions)
    trees = _Trees(pool, inside, on_progress)
    found = _Collector(trees.ids)
    for leaves, tree in trees.pieces():
        entries, codes = read_leaves(pool.source, leaves, MAPPINGS)
        for bad in np.flatnonzero(codes).tolist():
            damage = damage_of(leaves, codes, bad, MAPPINGS)
            pool.on_damage(replace(damage, device_id=trees.ids[tree[bad]]))
        found.add(entries, tree, inside(entries.values))
    pool.verify_unchanged()
    yield from found.sorted_pieces()


class _Inside:
    """Tells which block-times are of data blocks in some regions."""

    def __init__(self, regions: Sequence[Region]) -> None:
        bounds: list[list[int]] = []
        for begin, end in sorted(regions):
            if bounds and begin <= bounds[-1][1]:
                bounds[-1][1] = max(end, bounds[-1][1])
            else:
                bounds.append([begin, end])
        limited = np.minimum(np.array(bounds, dtype=object).reshape(-1, 2), DATA_BLOCK_MASK + 1)
        self._begins, self._ends = limited.astype(np.uint64).T

    def __call__(self, values: Keys) -> Mask:
        blocks = values >> _SHIFT
        after = np.searchsorted(self._begins, blocks, side="right")
        ends = np.concatenate((np.zeros(1, dtype=np.uint64), self._ends))
        return blocks < ends[after]


class _Trees:
    """The leaves of all devices, without those that map nothing of what is asked for."""

    def __init__(self, pool: Pool, inside: _Inside, on_progress: OnProgress | None) -> None:
        table = pool.device_table
        for damage in [*table.lost, *table.disagreements()]:
            if damage.device_id not in table.unlisted:
                pool.on_damage(damage)
        roots = {device.device_id: device.mapping_root for device in table.devices}
        roots |= table.unlisted
        self.ids = sorted(device_id for device_id, root in roots.items() if root is not None)
        places = np.array([roots[device_id] for device_id in self.ids], dtype=np.uint64)
        self._forest = grow(pool.source, places, MAPPINGS)
        self._on_progress = on_progress
        self._total = int(self._forest.nr_leaves().sum())
        self._has_any = self._with_any(pool.source, inside)

    def _with_any(self, source: Metadata, inside: _Inside) -> Mask:
        """Return which leaves to read for each device: those shared in vain are left out."""
        leaves = self._forest.levels[0].nodes
        has_any = np.ones(len(leaves), dtype=np.bool_)
        shared = np.flatnonzero(occurrences(self._forest) > 1)
        for begin in range(0, len(shared), NODES_AT_ONCE):
            places = shared[begin : begin + NODES_AT_ONCE]
            entries, codes = read_leaves(source, leaves[places], MAPPINGS)
            hits = starts_of(inside(entries.values).astype(np.int64))[entries.starts]
            has_any[places] = (hits[1:] > hits[:-1]) | (codes != 0)
        return has_any

    def pieces(self) -> Iterator[tuple[Leaves, Places]]:
        """Return leaves, not too many at once, and the tree that each belongs to."""
        parts: list[Leaves] = []
        owners: list[int] = []
        for tree in range(len(self.ids)):
            leaves = self._forest.leaves(tree)
            wanted = self._has_any[self._forest.leaf_places(tree)] | (leaves.codes != 0)
            self._advance(int(np.count_nonzero(~wanted)))
            rest = leaves[wanted]
            while len(rest):
                part, rest = (
                    rest[: NODES_AT_ONCE - len(owners)],
                    rest[NODES_AT_ONCE - len(owners) :],
                )
                parts.append(part)
                owners += [tree] * len(part)
                if len(owners) == NODES_AT_ONCE:
                    yield self._piece(parts, owners)
                    parts, owners = [], []
        if parts:
            yield self._piece(parts, owners)

    def _piece(self, parts: list[Leaves], owners: list[int]) -> tuple[Leaves, Places]:
        self._advance(len(owners))
        return Leaves.joined(parts), np.array(owners, dtype=np.int64)

    def _advance(self, steps: int) -> None:
        if self._on_progress is not None:
            self._on_progress(steps, self._total)


class _Collector:
    """Joins the mappings that were found into runs, and sorts these by data block.

    All runs are in memory at the same time, so their columns are as narrow as they can be.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = np.array(ids, dtype=np.uint64)
        self._data_begin: _Column[np.uint64] = _Column(np.uint64)
        self._origin_begin: _Column[np.uint64] = _Column(np.uint64)
        self._length: _Column[np.uint32] = _Column(np.uint32)
        self._tree: _Column[np.uint32] = _Column(np.uint32)

    def add(self, entries: Entries, trees: Places, inside: Mask) -> None:
        """Take the mappings that are `inside` of leaves, which come by tree, then by key."""
        kept = starts_of(inside.astype(np.int64))[entries.starts]
        changes = kept[1:-1][trees[1:] != trees[:-1]]
        runs, places = join(entries.keys[inside], entries.values[inside] & _WITHOUT_TIME, changes)
        tree = np.repeat(trees.astype(np.uint32), np.diff(kept))[places]
        skip = 0
        if len(runs) and self._goes_on(runs, int(tree[0])):
            self._length.values[-1] += np.uint32(runs.length[0])
            skip = 1
        self._data_begin.extend(runs.data_begin[skip:])
        self._origin_begin.extend(runs.origin_begin[skip:])
        self._length.extend(runs.length[skip:].astype(np.uint32))
        self._tree.extend(tree[skip:])

    def _goes_on(self, runs: Runs, tree: int) -> bool:
        """Tell whether the first of `runs` continues the last one that is here."""
        if not len(self._tree.values) or self._tree.values[-1] != tree:
            return False
        length = np.uint64(self._length.values[-1])
        return bool(
            self._origin_begin.values[-1] + length == runs.origin_begin[0]
            and self._data_begin.values[-1] + length == runs.data_begin[0]
        )

    def sorted_pieces(self) -> Iterator[ReverseRuns]:
        """Return all runs in the order of the data blocks."""
        data_begin, origin_begin = self._data_begin.values, self._origin_begin.values
        length, tree = self._length.values, self._tree.values
        order = _order(data_begin, length)
        for begin in range(0, len(order), RUNS_AT_ONCE):
            some = order[begin : begin + RUNS_AT_ONCE]
            yield ReverseRuns(
                data_begin[some],
                length[some].astype(np.uint64),
                self._ids[tree[some]],
                origin_begin[some],
            )


class _Column(Generic[_ScalarT]):
    """An array that grows in place, where a list of parts would leave gaps in memory."""

    def __init__(self, dtype: type[_ScalarT]) -> None:
        self._room = np.empty(0, dtype=dtype)
        self._size = 0

    @property
    def values(self) -> npt.NDArray[_ScalarT]:
        """What is there so far; not to be kept while the column grows."""
        return self._room[: self._size]

    def extend(self, values: npt.NDArray[_ScalarT]) -> None:
        size = self._size + len(values)
        if size > len(self._room):
            self._room.resize(size + size // 8, refcheck=False)
        self._room[self._size : size] = values
        self._size = size


def _order(data_begin: Keys, length: _Narrow) -> Places:
    """Return the order of runs that come by device, then by block of the device."""
    order: Places = np.argsort(data_begin, kind="stable")
    ascending = data_begin[order]
    equal = np.zeros(len(order) + 1, dtype=np.bool_)
    equal[1:-1] = ascending[1:] == ascending[:-1]
    among_equals = np.flatnonzero(equal[1:] | equal[:-1])
    some = order[among_equals]
    order[among_equals] = some[np.lexsort((length[some], data_begin[some]))]
    return order
