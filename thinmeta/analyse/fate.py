"""What became of the data of a device of a past state, block by block, by what the pool maps now.

The live mappings are read once, what devices share once for all. The memory is that of
the past device's mappings, about 25 bytes each, and of a piece of the live ones.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thinmeta.analyse.fate_ranges import AT_ONCE, Fate, Fates
from thinmeta.analyse.unused_blocks import unused
from thinmeta.errors import Damage, DamagedMetadataError
from thinmeta.model.device_columns import DevicesById
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.mapping_trees import MappingTrees
from thinmeta.model.pool import Pool
from thinmeta.model.state import State
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas import block_time
from thinmeta.units import OnProgress
from thinmeta.walk.leaves import leaf_pieces, read_tree
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Mask
from thinmeta.walk.ragged import Places, is_new

_NEVER = np.uint64(block_time.MAX_TIME + 1)

_Blocks = npt.NDArray[np.unsignedinteger]


def live_state(chosen: ChosenDevice) -> Pool:
    """Return the pool of a device in its live state.

    Raises:
        DamagedMetadataError: the live superblock is damaged.
        LiveDeviceError: the pool is active, and changes while it is read.
    """
    damage = chosen.pool.superblock_damage
    if damage is not None:
        what = "nobody can tell what is mapped now, nor what became of what was"
        raise DamagedMetadataError(damage._replace(what=f"{damage.what.partition(';')[0]}; {what}"))
    return chosen.pool.in_state(State.LIVE)


def fates(chosen: ChosenDevice, on_progress: OnProgress | None = None) -> Fates:
    """Return what became of the data blocks of a device of a past state, or of an orphan.

    Two mappings are the same one if origin block, data block and time are equal. They
    are not if the past device and a live one, which is another, have both existed at
    that time: a device has what is older than itself from the one that it is a snapshot
    of, and made the rest itself. So a device of the same id that was created later is
    known for another, as long as the details of the past state are there.

    Args:
        chosen: the device, in the state that is past.
        on_progress: told of each piece of the live mapping trees that was read.

    Raises:
        DamagedMetadataError: the live superblock is damaged; or a node or a bitmap is,
            and the pool's `on_damage` raises, before anything is returned.
        LiveDeviceError: the pool is active.

    Source: `__create_snap()` and `__snapshotted_since()`, drivers/md/dm-thin-metadata.c.
    """
    return fates_of(live_state(chosen), [chosen], on_progress)[0]


def fates_of(
    live: Pool, chosen: Sequence[ChosenDevice], on_progress: OnProgress | None = None
) -> list[Fates]:
    """Return the same of several devices of one pool, for which the live mappings are read once.

    Args:
        live: the pool as it is now; its `on_damage` is told what is damaged of that.
        chosen: the devices, each in a state that is past.
        on_progress: as for `fates`; errors likewise.
    """
    pasts = [_Past(each) for each in chosen]
    trees = None
    if any(len(past.keys) for past in pasts):
        trees = _LiveTrees(live)
        trees.meet([past for past in pasts if len(past.keys)], on_progress)
    for each in chosen:
        each.pool.verify_unchanged()
    return [_fates(live, past, trees) for past in pasts]


def _fates(live: Pool, past: "_Past", trees: "_LiveTrees | None") -> Fates:
    fate, is_complete = np.empty(0, dtype=np.uint8), past.is_complete
    if trees is not None and len(past.keys):
        fate = past.fates(
            _unmapped(live, past.blocks, are_found=trees.are_complete),
            live.live_superblock.data_space_map.nr_blocks,
        )
        is_complete = past.is_complete and trees.are_complete and not (fate == Fate.UNKNOWN).any()
    counts = {each: int(np.count_nonzero(fate == each)) for each in Fate}
    return Fates(counts, is_complete, past.keys, past.values, fate)


class _Past:
    """The mappings of the past device by ascending origin block, and what the live ones say.

    `blocks` are its data blocks, ascending, without repeats, as narrow as they can be.
    """

    def __init__(self, chosen: ChosenDevice) -> None:
        self.chosen = chosen
        self.is_complete = True
        device = chosen.device
        device_id = None if device is None else device.device_id

        def tell(damage: Damage) -> None:
            self.is_complete = False
            chosen.pool.on_damage(damage._replace(device_id=device_id))

        self.keys, self.values = np.empty((2, 0), dtype=np.uint64)
        if chosen.mapping_root is not None:
            self.keys, self.values = read_tree(
                chosen.pool.source, chosen.mapping_root, MAPPINGS, on_damage=tell
            )
        self.blocks = _distinct_blocks(self.values)
        self._created = _creation_time(device)
        self._same, self._kept = np.zeros((2, len(self.keys)), dtype=np.bool_)
        self._mapped, self._taken = np.zeros((2, len(self.blocks)), dtype=np.bool_)

    def meet(self, entries: Entries, created: Keys, own: Mask) -> None:
        """See what some live leaves say of the data blocks.

        By leaf, `created` is when the earliest of the other devices that have it was
        created, and `own` whether the same device has it.
        """
        data = block_time.data_block(entries.values)
        places = np.minimum(_places_among(self.blocks, data), len(self.blocks) - 1)
        hits = np.flatnonzero(self.blocks[places] == data)
        places, keys, values = places[hits], entries.keys[hits], entries.values[hits]
        leaves = np.searchsorted(entries.starts, hits, side="right") - 1
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        time = block_time.time(values)
        same = (self.keys[at] == keys) & (self.values[at] == values)
        same &= (time < self._created) | (time < created[leaves])
        self._same[at[same]] = True
        self._kept[at[same & own[leaves]]] = True
        self._mapped[places] = True
        self._taken[places[~same]] = True

    def fates(self, unmapped: npt.NDArray[np.uint8], nr_data_blocks: int) -> npt.NDArray[np.uint8]:
        """Return the fate of each mapping; `unmapped` is that of `blocks` no device maps.

        A block that is also mapped anew, which only a damaged pool has, counts as taken.
        """
        by_block = np.where(self._mapped, np.uint8(Fate.TAKEN), unmapped)
        fate = np.empty(len(self.keys), dtype=np.uint8)
        for begin in range(0, len(fate), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            data = block_time.data_block(self.values[some])
            places = _places_among(self.blocks, data)
            fate[some] = by_block[places]
            same = self._same[some] & ~self._taken[places]
            fate[some][same] = Fate.SHARED
            fate[some][same & self._kept[some]] = Fate.KEPT
            fate[some][data >= nr_data_blocks] = Fate.PAST_END
        return fate


def _distinct_blocks(values: Keys) -> _Blocks:
    """Return the data blocks of block-times, ascending, without repeats."""
    highest = block_time.data_block(int(values.max())) if len(values) else 0
    blocks = np.empty(len(values), dtype=np.min_scalar_type(highest))
    for begin in range(0, len(values), AT_ONCE):
        blocks[begin : begin + AT_ONCE] = block_time.data_block(values[begin : begin + AT_ONCE])
    blocks.sort()
    new = is_new(blocks)
    return blocks if new.all() else blocks[new]


def _places_among(ascending: _Blocks, values: Keys) -> Places:
    """Search for all values in ascending order, for what lies close is found much faster.

    What is higher than all of `ascending` is placed like the highest number of their type.
    """
    narrow = np.minimum(values, np.iinfo(ascending.dtype).max).astype(ascending.dtype)
    order = np.argsort(narrow)
    places = np.empty_like(order)
    places[order] = np.searchsorted(ascending, narrow[order])
    return places


class _LiveTrees:
    """The mapping trees of all devices as they are now."""

    def __init__(self, live: Pool) -> None:
        self._live = live
        table = live.device_table
        hidden = table.hidden()
        self.are_complete = not hidden
        for damage in hidden:
            live.on_damage(damage)
        self._trees = MappingTrees.of(live)
        ids = self._trees.ids
        # What excludes nothing where it is not known when a device was created.
        self._created = np.full(len(ids), _NEVER)
        listed = table.devices.mapped()
        times = listed.details["creation_time"].astype(np.uint64)
        self._created[np.searchsorted(ids, listed.ids)] = block_time.time(times)

    def _leaves_as_seen_by(self, chosen: ChosenDevice) -> tuple[Keys, Mask]:
        """Return of each leaf when the earliest other device of it was created, and if it is own.

        Other than `chosen`, of which a live device of its id may be what became of it.
        """
        ids, forest, created = self._trees.ids, self._trees.forest, self._created.copy()
        own = np.zeros(len(forest.levels[0].nodes), dtype=np.bool_)
        same_id = chosen.device_id
        if same_id is not None:
            same = np.flatnonzero(ids == same_id).tolist()
            now = DevicesById(self._live.device_table.devices).get(same_id)
            if same and _may_be_one(chosen.device, now):
                own[forest.leaf_places(same[0])] = True
                created[same[0]] = _NEVER
        return forest.spread(created, np.minimum, _NEVER), own

    def meet(self, pasts: Sequence[_Past], on_progress: OnProgress | None) -> None:
        """Read all leaves, and tell what is bad of them."""
        leaves = self._trees.forest.levels[0].nodes
        codes = np.zeros(len(leaves), dtype=np.uint8)
        sides = [self._leaves_as_seen_by(past.chosen) for past in pasts]
        for piece in leaf_pieces(self._live.source, leaves, MAPPINGS, on_progress):
            codes[piece.places] = piece.codes
            for past, (created, own) in zip(pasts, sides, strict=True):
                past.meet(piece.entries, created[piece.places], own[piece.places])
        self.are_complete &= not codes.any()
        for damage in self._trees.bad_leaves(codes):
            self._live.on_damage(damage)


def _creation_time(device: ThinDevice | None) -> np.uint64:
    """Return when a device was created; if that is not known, what excludes nothing."""
    return _NEVER if device is None else np.uint64(block_time.time(device.creation_time))


def _may_be_one(past: ThinDevice | None, live: ThinDevice | None) -> bool:
    """Tell whether two devices of one id may be one: if the details of both say so, or lack."""
    if past is None or live is None:
        return True
    return (past.creation_time, past.transaction_id) == (live.creation_time, live.transaction_id)


def _unmapped(live: Pool, blocks: _Blocks, *, are_found: bool) -> npt.NDArray[np.uint8]:
    """Return what became of data blocks, ascending, if no device was found to map them.

    Unless all live mappings `are_found`, one that is lost may use a block.
    """
    found = unused(live, blocks)
    fate = np.full(len(blocks), Fate.HELD if are_found else Fate.UNKNOWN, dtype=np.uint8)
    fate[~found.is_known] = Fate.UNKNOWN
    fate[found.is_free] = Fate.FREE
    return fate
