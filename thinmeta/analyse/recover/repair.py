"""Which state of a broken pool to go on with, and what its superblock has to say.

thin_dump 1.x takes a state only if all of it is sound. Here the superblock's word
counts as long as anything is left of the devices that it leads to: a state that is
older is whole more often, and is not what the pool was.
"""

from dataclasses import dataclass, replace

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.from_below import Rebuilt, rebuilt_from
from thinmeta.analyse.recover.passed_over import PassedOver, passed_over
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.scan import Scan, scan_of
from thinmeta.analyse.recover.stand_ins import (
    StandIn,
    emptied_devices,
    find_stand_ins,
    list_with_stand_ins,
)
from thinmeta.analyse.recover.survey import Survey, survey
from thinmeta.errors import Damage, DamagedMetadataError, InputError
from thinmeta.model.device_table import read_roots
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.model.superblock import Superblock
from thinmeta.schemas.superblock import MAX_THIN_VERSION
from thinmeta.units import (
    DATA_BLOCK_SECTORS,
    SECTOR_BYTES,
    MetadataBlock,
    OnProgress,
    impossible_block_size,
)
from thinmeta.walk.nodes import Metadata
from thinmeta.walk.stream import StreamHeader

_LAST_TRANSACTION = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """The state to go on with.

    Attributes:
        pool: in that state. If its superblock is not the one on disk, it says what it
            has to; its time and transaction id are then the least that they can be.
        roots: of the state; None if it is the superblock's, and both its trees are sound.
        candidate: what is left of it, as the scan found; None likewise.
        scan: of all that is left; None if nobody had to look.
        rebuilt: the superblock's state with what can be put together of it, where that was done.
        stand_ins: devices of it that are of older states.
        damaged: the pool before that, likewise.
    """

    pool: Pool
    roots: Roots | None = None
    candidate: Candidate | None = None
    scan: Scan | None = None
    rebuilt: Rebuilt | None = None
    stand_ins: tuple[StandIn, ...] = ()
    damaged: Pool | None = None

    def passed_over(self) -> PassedOver | None:
        """Return a state that may be newer and has what this one has not, if there is one."""
        if self.scan is None or self.candidate is None:
            return None
        found = passed_over(self.pool.source, self.scan, self.candidate)
        live = self.scan.live_superblock
        is_chosen = live is None or live.data_mapping_root == self.candidate.mapping_root
        return found if found is not None or is_chosen else PassedOver(None, ())

    @property
    def lost_details_root(self) -> MetadataBlock | None:
        """The superblock's details root, if an older state's details stand in for its own."""
        live = self.scan.live_superblock if self.scan is not None else None
        if live is None or self.candidate is None or self.candidate.details_root is None:
            return None
        if live.data_mapping_root != self.candidate.mapping_root:
            return None
        is_other = live.device_details_root != self.candidate.details_root
        return live.device_details_root if is_other else None


def choose_state(
    pool: Pool, on_progress: OnProgress = lambda *_: None, *, likely: bool = False
) -> Choice:
    """Choose the state to go on with.

    1. The superblock's, if anything is left of its devices and their details, or can be put
       together. Devices of which nothing is left may be in it as an older state has them.
    2. Its mapping tree, if anything of that is left, with details of the same devices
       that a scan finds.
    3. The best state that a scan finds: the newest pair of both trees, or a list of devices
       whose details are lost if it is certainly newer.

    Args:
        pool: in the live state; or in any past one, if its superblock is damaged.
        on_progress: told of blocks that were scanned.
        likely: put together what is likely, too, not only what is proven.

    Raises:
        DamagedMetadataError: nothing is left.
    """
    is_named = pool.superblock_damage is None
    if is_named and not pool.device_table.lost and not emptied_devices(pool):
        return Choice(pool)
    surveyed = survey(pool.source.device, on_progress)
    found = scan_of(pool.source.device, surveyed)
    live_choice = _choice_of_live(pool, surveyed, found, likely=likely) if is_named else None
    if live_choice is not None:
        return live_choice
    pool = _of_whole_device(pool)
    candidates = [each for each in found.candidates if each.mapping_root is not None]
    best = next(iter(candidates), None)
    if is_named and _is_anything_left(pool):
        live = pool.superblock.data_mapping_root
        best = next((each for each in candidates if each.mapping_root == live), best)
    else:
        best = next((each for each in candidates if _is_newer(each, best)), best)
    roots = None if best is None else best.roots
    if best is None or roots is None:
        raise DamagedMetadataError(
            Damage("no state of a pool was found on it"), pool.source.device.name
        )
    past = pool.in_state(roots)
    rebuilt = _rebuilt(past.superblock, best)
    live_superblock = past.live_superblock._replace(data_space_map=rebuilt.data_space_map)
    chosen = replace(past, superblock=rebuilt, live_superblock=live_superblock)
    return Choice(chosen, roots, best, found)


def refuse_impossible_block_size(pool: Pool) -> None:
    """Refuse a data block size that no pool can have; where none is known, too.

    Raises:
        InputError: it is not known, or such a one.
    """
    sectors = pool.data_block_bytes() // SECTOR_BYTES
    if sectors not in DATA_BLOCK_SECTORS:
        raise InputError(
            f"{pool.source.device.name}: {impossible_block_size(sectors)}; "
            "--data-block-size gives another"
        )


def header_of(pool: Pool) -> StreamHeader:
    """Return what the new superblock says.

    Raises:
        InputError: the data block size is not known, or none that a pool can have.
    """
    superblock = pool.superblock
    refuse_impossible_block_size(pool)
    return StreamHeader(
        superblock.time,
        superblock.transaction_id,
        superblock.data_block_sectors,
        superblock.data_space_map.nr_blocks or None,
    )


def _choice_of_live(pool: Pool, surveyed: Survey, found: Scan, *, likely: bool) -> Choice | None:
    """Return the superblock's state with all of it that can be had; None if it has no devices.

    Args:
        pool: in that state.
        surveyed: what one pass over its device found.
        found: likewise.
        likely: put together what is likely, too.
    """
    again = rebuilt_from(pool, surveyed, likely=likely)
    if again.pool.device_table.lost_details:
        return None
    stand_ins = find_stand_ins(again.pool, found, emptied_devices(again.pool))
    rows = list_with_stand_ins(again.pool, found, stand_ins) if stand_ins else {}
    if rows:
        changed = Reading(again.pool, surveyed).instead(rows)
        # Books may be closed now that were not, where a root was not what it should be.
        more = Rebuilt(changed.pool) if again.claims else rebuilt_from(*changed)
        again = again._replace(pool=more.pool, claims=(*again.claims, *more.claims))
    if not _is_anything_left(again.pool):
        return None
    taken = tuple(stand_ins) if rows else ()
    return Choice(again.pool, scan=found, rebuilt=again, stand_ins=taken, damaged=pool)


def _of_whole_device(pool: Pool) -> Pool:
    """Return a pool that reads as far as its device goes, for the count may be what is wrong."""
    device, live = pool.source.device, pool.live_superblock
    nr_blocks = max(device.nr_blocks, live.metadata_space_map.nr_blocks)
    counted = live.metadata_space_map._replace(nr_blocks=nr_blocks)
    return replace(
        pool,
        source=Metadata(device, nr_blocks),
        live_superblock=live._replace(metadata_space_map=counted),
        superblock=pool.superblock._replace(metadata_space_map=counted),
    )


def _is_newer(state: Candidate, chosen: Candidate | None) -> bool:
    """Tell whether a state without details is newer than a pair, and rather to be gone on with.

    It is newer if it has mappings of a later time. Where the other has fewer devices, but more
    mappings, these count.
    """
    if chosen is None or not chosen.is_pair or state.is_pair:
        return False
    has_more = state.nr_devices > chosen.nr_devices and state.nr_mappings < chosen.nr_mappings
    return state.mapping_time > chosen.time and not state.nr_nodes_reused and not has_more


def _is_anything_left(pool: Pool) -> bool:
    lost: list[Damage] = []
    return bool(read_roots(pool.source, pool.superblock, lost.append)) or not lost


def _rebuilt(superblock: Superblock, candidate: Candidate) -> Superblock:
    highest = candidate.highest_data_block or 0
    newest = -1 if candidate.transaction_id is None else candidate.transaction_id
    nr_data_blocks = superblock.data_space_map.nr_blocks
    return superblock._replace(
        flags=0,
        version=MAX_THIN_VERSION,
        time=max(superblock.time, candidate.time),
        transaction_id=max(superblock.transaction_id, min(newest + 1, _LAST_TRANSACTION)),
        data_space_map=superblock.data_space_map._replace(
            nr_blocks=max(nr_data_blocks, highest + 1),
        ),
        held_root=MetadataBlock(0),
    )
