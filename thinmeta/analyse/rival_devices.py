"""Several past devices that come back together: which of them own what more than one had.

One had a data block, was deleted, and another one got the block. The pool's clock tells who
was first, but it only ticks when a snapshot is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.schemas import block_time
from thinmeta.walk.columnar import Columnar
from thinmeta.walk.nodes import Keys
from thinmeta.walk.ragged import Places, is_new

_UNOWNED = (Fate.FREE, Fate.HELD)
_SEVERAL = 2


def among_each_other(chosen: Sequence[ChosenDevice], fates: Sequence[Fates]) -> list[Fates]:
    """Return the fates of devices as they are once all of them are back.

    A data block that no live device has, and several of these, is `SHARED` where they have
    it by the same mapping, `TAKEN` from those who had it before the last one, and `UNKNOWN`
    where the pool's clock does not tell which was the last.

    Args:
        chosen: the devices.
        fates: what became of the blocks of each, by what the pool maps now.
    """
    places = [np.flatnonzero(np.isin(each.fate, _UNOWNED)) for each in fates]
    nr_mappings = [len(each) for each in places]
    if sum(map(bool, nr_mappings)) < _SEVERAL:
        return list(fates)
    owner = np.repeat(np.arange(len(fates)), nr_mappings)
    place = np.concatenate(places)
    keys = np.concatenate([each.keys[some] for each, some in zip(fates, places, strict=True)])
    values = np.concatenate([each.values[some] for each, some in zip(fates, places, strict=True)])
    order = np.argsort(values, kind="stable")  # by data block, and then by time
    blocks = block_time.data_block(values[order])
    begins = np.flatnonzero(is_new(blocks))
    sizes = np.diff(begins, append=len(blocks))
    order = order[np.repeat(sizes > 1, sizes)]
    owner, place, keys, values = owner[order], place[order], keys[order], values[order]
    fate = _fates_of_shared(keys, values, _Owners.of(chosen)[owner])
    changed = [each.fate.copy() for each in fates]
    for which, mine in enumerate(changed):
        own = np.flatnonzero(owner == which)
        mine[place[own]] = fate[own]
    return [each.changed(mine) for each, mine in zip(fates, changed, strict=True)]


def _fates_of_shared(keys: Keys, values: Keys, owners: "_Owners") -> npt.NDArray[np.uint8]:
    """Return the fates of mappings, all of data blocks that several of them have.

    Args:
        keys: origin blocks.
        values: block-times, ascending.
        owners: who has each.
    """
    if not len(values):
        return np.empty(0, dtype=np.uint8)
    begins = np.flatnonzero(is_new(block_time.data_block(values)))
    sizes = np.diff(begins, append=len(values))
    last = np.repeat(values[begins + sizes - 1], sizes)
    fate = np.full(len(values), Fate.TAKEN, dtype=np.uint8)
    of_last = np.flatnonzero(values == last)
    keys, values, owners = keys[of_last], values[of_last], owners[of_last]
    begins = np.flatnonzero(is_new(values))
    sizes = np.diff(begins, append=len(values))
    block = np.repeat(np.arange(len(begins)), sizes)
    is_one = np.minimum.reduceat(keys, begins) == np.maximum.reduceat(keys, begins)
    # A device has what is older than itself from the one that it is a snapshot of.
    made = np.flatnonzero(owners.created <= block_time.time(values))
    made = made[np.lexsort((owners.identity[made], block[made]))]
    makers = block[made[is_new(block[made], owners.identity[made])]]
    is_one &= np.bincount(makers, minlength=len(begins)) <= 1
    fate[of_last] = np.where(is_one[block], np.uint8(Fate.SHARED), np.uint8(Fate.UNKNOWN))
    return fate


@dataclass(frozen=True, slots=True, eq=False)
class _Owners(Columnar):
    """Who has a mapping: which device it is, and when that was created; shape `(n,)`."""

    identity: Places
    created: Keys

    @classmethod
    def of(cls, chosen: Sequence[ChosenDevice]) -> Self:
        """Return the devices themselves; several states of one are one device."""
        devices = [each.device for each in chosen if each.device is not None]
        who = [(each.device_id, each.transaction_id, each.creation_time) for each in devices]
        numbers = {each: number for number, each in enumerate(dict.fromkeys(who))}
        created = np.array([each.creation_time for each in devices], dtype=np.uint64)
        return cls(np.array([numbers[each] for each in who]), block_time.time(created))
