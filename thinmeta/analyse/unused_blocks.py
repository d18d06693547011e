"""Which of some data blocks nothing uses, as the data space map says."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage
from thinmeta.model.pool import Pool
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.walk.nodes import Mask

_AT_ONCE = 1 << 16

DataBlocks = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True, eq=False)
class Unused:
    """What is known of some data blocks; columns of shape `(n,)`.

    Attributes:
        is_free: whether the ref count is 0.
        is_known: whether there is a ref count, and the bitmap that has it is sound.
    """

    is_free: Mask
    is_known: Mask


def unused(pool: Pool, blocks: DataBlocks) -> Unused:
    """Ask the data space map, all of which is read, a bounded piece at a time.

    Args:
        pool: the pool, in any state: there is one data space map.
        blocks: data blocks, ascending, shape `(n,)`.

    Raises:
        DamagedMetadataError: the space map is damaged, and the pool's `on_damage` raises.
    """
    lost: list[Damage] = []

    def tell(damage: Damage) -> None:
        pool.on_damage(damage)
        lost.append(damage)

    is_free, is_known = np.zeros((2, len(blocks)), dtype=np.bool_)
    for begin, counts in replace(pool.data_ref_counts, on_damage=tell).chunks():
        part = _within(blocks, begin, begin + len(counts))
        is_known[part] = True
        for first in range(part.start, part.stop, _AT_ONCE):
            some = slice(first, min(first + _AT_ONCE, part.stop))
            is_free[some] = counts[blocks[some].astype(np.int64) - begin] == 0
    for damage in lost:
        first, last = damage.first_key or 0, damage.last_key or 0
        # What is wider is no bitmap but a node of the large counts, none of which is 0.
        if damage.key_name == "block" and last - first < ENTRIES_PER_BLOCK:
            is_known[_within(blocks, first, last + 1)] = False
    return Unused(is_free & is_known, is_known)


def _within(blocks: DataBlocks, begin: int, end: int) -> slice:
    highest = int(np.iinfo(blocks.dtype).max)  # searched as what they are, or all are converted
    first, after = (
        np.searchsorted(blocks, blocks.dtype.type(at)) if at <= highest else len(blocks)
        for at in (begin, end)
    )
    return slice(int(first), int(after))
