"""Ranges of data blocks that nothing uses, as the data space map says."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage
from thinmeta.model.pool import Pool
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK

Ranges = npt.NDArray[np.int64]


def free_ranges(pool: Pool) -> Iterator[Ranges]:
    """Return the ranges of blocks whose ref count is 0, in bounded pieces of shape `(n, 2)`.

    A row is the first block and the end, half-open; ranges that touch across two pieces are
    one. What a damaged bitmap counts is not known to be free, so it is left out.

    Args:
        pool: in any state: there is one data space map.

    Raises:
        DamagedMetadataError: the space map is damaged, and the pool's `on_damage` raises.
    """
    lost: list[Damage] = []

    def tell(damage: Damage) -> None:
        pool.on_damage(damage)
        lost.append(damage)

    held = np.empty((0, 2), dtype=np.int64)
    for begin, counts in replace(pool.data_ref_counts, on_damage=tell).chunks():
        is_free = counts == 0
        for damage in lost:
            first, last = damage.first_key or 0, damage.last_key
            # What is wider is no bitmap but a node of the large counts, none of which is 0.
            if last is None or damage.key_name != "block":
                is_free[:] = False
            elif last - first < ENTRIES_PER_BLOCK:
                is_free[max(0, first - begin) : max(0, last + 1 - begin)] = False
        lost.clear()
        edges = np.flatnonzero(np.diff(is_free, prepend=False, append=False)) + begin
        ranges = edges.reshape(-1, 2)
        if len(held) and len(ranges) and held[0, 1] == ranges[0, 0]:
            ranges[0, 0] = held[0, 0]
        elif len(held):
            ranges = np.concatenate((held, ranges))
        held = ranges[-1:]
        if len(ranges) > 1:
            yield ranges[:-1]
    if len(held):
        yield held
