"""How long the runs of a pool are, and how often its blocks are in use.

They count what thin_stat counts: `data_run_len`, `data_blocks`, `metadata_blocks`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.info import unless_lost
from thinmeta.errors import Damage, raise_damage
from thinmeta.model.pool import Pool
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.state import State
from thinmeta.schemas.space_map import OVERFLOW_COUNT
from thinmeta.units import OnProgress
from thinmeta.walk.growing import grow
from thinmeta.walk.nodes import MAPPINGS
from thinmeta.walk.ragged import tallied
from thinmeta.walk.stream import DeviceEnd
from thinmeta.walk.stream_reader import StreamStep, read_stream


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each value occurs; values ascend, and none occurs 0 times."""

    bins: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(count for _, count in self.bins)

    @property
    def average(self) -> float:
        """The values' average; 0 if there are none."""
        total = self.total
        return sum(value * (count / total) for value, count in self.bins)


@dataclass(frozen=True, slots=True)
class RunLengths:
    """The lengths of runs, and how many leaves hold them."""

    histogram: Histogram
    nr_leaves: int


@dataclass(frozen=True, slots=True)
class Histograms:
    """The histograms of a pool; None where damage ends one, or there is no such space map.

    Attributes:
        run_lengths: in blocks, of the state that was read.
        data_ref_counts: above 0, as the data space map says.
        metadata_ref_counts: above 0, as the metadata space map says.
        lost: the damage that ended some.
    """

    run_lengths: RunLengths | None
    data_ref_counts: Histogram | None
    metadata_ref_counts: Histogram | None
    lost: tuple[Damage, ...]


def histograms_of(pool: Pool, progress: OnProgress = lambda _done, _total: None) -> Histograms:
    """Count all runs and all ref counts of a pool.

    Memory stays with the number of distinct values. The pool's `on_damage` is not
    asked; damage leaves a histogram out.
    """
    lost: list[Damage] = []
    run_lengths = unless_lost(lambda: count_run_lengths(pool, progress), lost)
    data = metadata = None
    if pool.state is State.LIVE:
        data = unless_lost(lambda: count_ref_counts(pool.data_ref_counts), lost)
        metadata = unless_lost(lambda: count_ref_counts(pool.metadata_ref_counts), lost)
    return Histograms(run_lengths, data, metadata, tuple(lost))


def count_run_lengths(pool: Pool, progress: OnProgress = lambda _done, _total: None) -> RunLengths:
    """Count the runs of all devices by their length.

    A leaf that several devices share counts for the first of them only, so a run that
    goes on from such a leaf into one that is not shared is two runs to the others.

    Raises:
        DamagedMetadataError: a node is bad.
    """
    for damage in pool.device_table.lost:
        raise_damage(damage)
    devices = pool.device_table.devices.mapped()
    forest = grow(pool.source, devices.roots, MAPPINGS)
    seen = np.zeros(len(forest.levels[0].nodes), dtype=np.bool_)

    def unseen() -> Iterator[StreamStep]:
        for tree, device in enumerate(devices):
            places = forest.leaf_places(tree)
            leaves = forest.leaves(tree)[~seen[places]]
            seen[places] = True
            yield StreamStep((DeviceEnd(),), leaves, device.device_id)

    counts: Counter[int] = Counter()
    nr_leaves = 0
    for part in read_stream(pool.source, unseen(), raise_damage):
        _add(counts, part.runs.length)
        nr_leaves += part.nr_leaves
        progress(part.nr_leaves, len(seen))
    pool.verify_unchanged()
    return RunLengths(_histogram(counts), nr_leaves)


def count_ref_counts(ref_counts: RefCounts) -> Histogram:
    """Count the blocks in use by their ref counts.

    Raises:
        DamagedMetadataError: a part of the space map is bad, or it claims more blocks
            than there can be.
    """
    counts: Counter[int] = Counter()
    for _, chunk in replace(ref_counts, on_damage=raise_damage).chunks():
        for value in range(1, OVERFLOW_COUNT):
            counts[value] += int(np.count_nonzero(chunk == value))
        _add(counts, chunk[chunk >= OVERFLOW_COUNT])
    return _histogram(counts)


def _add(counts: Counter[int], values: npt.NDArray[np.unsignedinteger]) -> None:
    found, times = tallied(values)
    for value, count in zip(found.tolist(), times.tolist(), strict=True):
        counts[value] += count


def _histogram(counts: Counter[int]) -> Histogram:
    return Histogram(tuple(sorted((value, count) for value, count in counts.items() if count)))
