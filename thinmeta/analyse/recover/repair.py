"""Which state of a broken pool to go on with, and what its superblock has to say.

thin_dump 1.x takes a state only if all of it is sound. Here the superblock's word
counts as long as anything is left of the devices that it leads to: a state that is
older is whole more often, and is not what the pool was.
"""

from dataclasses import replace

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.choice import Choice, LiveLeft
from thinmeta.analyse.recover.from_below import Rebuilt, rebuilt_from
from thinmeta.analyse.recover.read_anew import Reading
from thinmeta.analyse.recover.scan import Scan, scan, scan_of
from thinmeta.analyse.recover.stand_ins import (
    emptied_devices,
    find_stand_ins,
    list_with_stand_ins,
)
from thinmeta.analyse.recover.survey import Survey, survey
from thinmeta.errors import Damage, DamagedMetadataError, InputError
from thinmeta.model.device_table import read_roots
from thinmeta.model.losses import Losses, losses_of_pool
from thinmeta.model.pool import Pool
from thinmeta.model.state import AnyState, Roots, State
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
    of_live = _choice_of_live(pool, surveyed, found, likely=likely) if is_named else None
    if isinstance(of_live, Choice):
        return of_live
    pool = _of_whole_device(pool)
    candidates = [each for each in found.candidates if each.mapping_root is not None]
    candidates.sort(key=_keeps_nothing)  # which keeps the order otherwise
    best = next(iter(candidates), None)
    if is_named and _is_anything_left(pool):
        live = pool.superblock.data_mapping_root
        named = next((each for each in candidates if each.mapping_root == live), best)
        best = best if named is None or _keeps_nothing(named) else named
    else:
        best = next((each for each in candidates if _is_newer(each, best)), best)
    roots = None if best is None else best.roots
    if best is None or roots is None:
        raise DamagedMetadataError(
            Damage("no state of a pool was found on it"), pool.source.device.name
        )
    return replace(_choice_of_found(pool, roots, best, found), live_left=of_live)


def choose_asked(pool: Pool, asked: AnyState, on_progress: OnProgress = lambda *_: None) -> Choice:
    """Return the state that somebody asks for, whatever another one has.

    Args:
        pool: in the live state.
        asked: the state.
        on_progress: told of blocks that were scanned.

    Raises:
        DamagedMetadataError: nothing of it is left.
        NoSnapshotError: no metadata snapshot is held.
        NotThereError: a root is past the end of the metadata.
    """
    if pool.superblock_damage is not None and not isinstance(asked, Roots):
        raise DamagedMetadataError(pool.superblock_damage, pool.source.device.name)
    if asked is State.LIVE:
        return Choice(pool, is_asked=True)
    if isinstance(asked, State):
        held = pool.in_state(asked).superblock
        asked = Roots(held.data_mapping_root, held.device_details_root)
    pool = _of_whole_device(pool)
    pool.in_state(asked)  # which refuses what is past the end
    found = scan(pool.source.device, on_progress)
    alike = [each for each in found.candidates if each.mapping_root == asked.mapping_root]
    state = next((each for each in alike if each.roots == asked), next(iter(alike), None))
    if state is None:
        what = "no list of devices is there; `thinmeta scan` lists the states that are left"
        raise DamagedMetadataError(Damage(what, block=asked.mapping_root), pool.source.device.name)
    return replace(_choice_of_found(pool, asked, state, found), is_asked=True)


def _choice_of_found(pool: Pool, roots: Roots, state: Candidate, found: Scan) -> Choice:
    past = pool.in_state(roots)
    rebuilt = _rebuilt(past.superblock, state)
    live_superblock = past.live_superblock._replace(data_space_map=rebuilt.data_space_map)
    chosen = replace(past, superblock=rebuilt, live_superblock=live_superblock)
    return Choice(chosen, roots, state, found)


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


def _choice_of_live(
    pool: Pool, surveyed: Survey, found: Scan, *, likely: bool
) -> Choice | LiveLeft | None:
    """Return the superblock's state with all of it that can be had, if no other is better.

    One is, if the superblock's has no devices or mappings left; or if its list of devices is
    lost, and more of what its details count is in the best older state.

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
    if emptied_devices(again.pool):
        left = losses_of_pool(again.pool)
        live_left = LiveLeft(
            nr_devices=sum(bool(each.found) or each.is_complete for each in left.devices),
            nr_mappings=sum(each.found for each in left.devices),
            nr_missing=sum(each.missing or 0 for each in left.devices),
        )
        has_more = pool.device_table.lost and _has_more(found, left, live_left.nr_missing)
        if has_more or not live_left.nr_mappings:
            return live_left
    if not _is_anything_left(again.pool):
        return None
    taken = tuple(stand_ins) if rows else ()
    return Choice(again.pool, scan=found, rebuilt=again, stand_ins=taken, damaged=pool)


def _has_more(found: Scan, left: Losses, nr_missing: int) -> bool:
    """Tell whether the best older state has more of what the newest details count."""
    others = (each for each in found.candidates if each.is_pair and not each.is_live)
    other = next(others, None)
    if other is None:
        return False
    kept = {each.device_id: each.nr_mappings for each in found.devices(other)}
    lost = (
        max(0, (each.tree.stored or 0) - kept.get(each.tree.device_id, 0))
        for each in left.devices
        if each.tree.device_id is not None
    )
    return sum(lost) < nr_missing


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


def _keeps_nothing(state: Candidate) -> bool:
    """Tell whether nothing is left of a state that had mappings."""
    return not state.nr_mappings and bool(state.mapped_blocks or state.nr_nodes_lost)


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
