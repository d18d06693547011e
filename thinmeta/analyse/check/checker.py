"""The check of a pool: superblock, devices, mappings, metadata snapshot, space maps."""

from collections.abc import Iterator

import numpy as np

from thinmeta.analyse.check.comparison import Comparison
from thinmeta.analyse.check.device_trees import CheckedState, check_device_trees
from thinmeta.analyse.check.findings import (
    CheckExtent,
    CheckOptions,
    CheckProgress,
    CheckReport,
    Finding,
    Part,
    Severity,
)
from thinmeta.analyse.check.mappings import check_mappings
from thinmeta.analyse.check.stored_maps import read_data_space_map, read_metadata_space_map
from thinmeta.analyse.check.tree_walker import TreeWalker
from thinmeta.errors import DamagedMetadataError
from thinmeta.model.pool import Pool
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import (
    DATA_BLOCK_SECTORS,
    MAX_METADATA_BLOCKS,
    OnProgress,
    impossible_block_size,
)
from thinmeta.walk.block_counts import BlockCounts

_EVERYTHING = CheckOptions()


def check_pool(
    pool: Pool, options: CheckOptions = _EVERYTHING, on_progress: OnProgress | None = None
) -> CheckReport:
    """Hold a pool's metadata against all that it promises.

    Damage is gathered and never raised. A pool that was opened in its metadata snapshot
    is checked in that state alone, without the space maps, which only know the live one.

    Args:
        pool: what to check.
        options: how much of it.
        on_progress: told of each piece of leaves that was read.

    Raises:
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    progress = CheckProgress()
    progress.add(_impossible_fields(pool))
    if options.extent is CheckExtent.SUPERBLOCK:
        return _report(progress)
    source, live = pool.source, pool.live_superblock
    references = BlockCounts(min(source.nr_blocks, MAX_METADATA_BLOCKS))
    walker = TreeWalker(source, references, progress, on_progress)
    is_snapshot = pool.superblock is not live
    states = [CheckedState(_overridden(pool.superblock, options), is_snapshot)]
    held = None if is_snapshot else _held_superblock(pool, progress)
    if held is not None:
        states.append(CheckedState(held, is_snapshot=True))
    _check_size(pool, progress)
    trees = check_device_trees(walker, states)
    nr_devices = sum(tree.in_snapshot == is_snapshot for tree in trees)
    if options.extent is CheckExtent.DEVICES:
        pool.verify_unchanged()
        return _report(progress, nr_devices)
    nr_data_blocks = live.data_space_map.nr_blocks
    # Each bitmap is a block of the file, so no more data blocks can be counted.
    mapped = BlockCounts(min(nr_data_blocks, source.device.nr_blocks * ENTRIES_PER_BLOCK))
    nr_mappings = check_mappings(walker, trees, mapped, nr_data_blocks)
    if is_snapshot:
        pool.verify_unchanged()
        return _report(progress, nr_devices, nr_mappings)
    used_once = [SUPERBLOCK_LOCATION, *([live.held_root] if live.held_root else [])]
    references.add(np.array(used_once, dtype=np.uint64))
    stored_maps = (
        (read_data_space_map(walker, live.data_space_map), mapped),
        (read_metadata_space_map(walker, live.metadata_space_map), references),
    )
    for stored, counted in stored_maps:
        Comparison(source, stored, counted, progress).run()
    return _report(progress, nr_devices, nr_mappings, space_maps=True)


def _overridden(superblock: Superblock, options: CheckOptions) -> Superblock:
    if options.mapping_root is not None:
        superblock = superblock._replace(data_mapping_root=options.mapping_root)
    if options.details_root is not None:
        superblock = superblock._replace(device_details_root=options.details_root)
    return superblock


def _impossible_fields(pool: Pool) -> Iterator[Finding]:
    """Return what the superblock says and no pool can be."""
    sectors = pool.superblock.data_block_sectors
    is_snapshot = pool.superblock is not pool.live_superblock
    if sectors not in DATA_BLOCK_SECTORS:
        what = impossible_block_size(sectors)
        yield Finding(Severity.FATAL, Part.SUPERBLOCK, what, in_snapshot=is_snapshot)
    if is_snapshot:
        return  # it has no space maps
    live = pool.live_superblock
    for part, root in (
        (Part.DATA_SPACE_MAP, live.data_space_map),
        (Part.METADATA_SPACE_MAP, live.metadata_space_map),
    ):
        if root.nr_allocated > root.nr_blocks:
            what = f"the superblock says that {root.nr_allocated} of {root.nr_blocks} blocks are"
            yield Finding(Severity.NOT_FATAL, part, f"{what} in use")


def _held_superblock(pool: Pool, progress: CheckProgress) -> Superblock | None:
    """Return the superblock of the metadata snapshot, if one is held and it is sound."""
    held_root = pool.live_superblock.held_root
    if not held_root:
        return None
    try:
        return read_superblock(pool.source.device, held_root, ignore_unsupported=True)
    except DamagedMetadataError as error:
        progress.lost_references = True
        progress.add(
            [
                Finding(
                    Severity.FATAL,
                    Part.SUPERBLOCK,
                    error.damage.what.partition(";")[0],
                    lost="the metadata snapshot",
                    block=held_root,
                    in_snapshot=True,
                )
            ]
        )
        return None


def _check_size(pool: Pool, progress: CheckProgress) -> None:
    """Tell when the file is too short, even if nothing that is in use is cut off."""
    held, promised = pool.source.device.nr_blocks, pool.source.nr_blocks
    if held < promised:
        progress.add(
            [
                Finding(
                    Severity.NOT_FATAL,
                    Part.METADATA_SPACE_MAP,
                    f"counts {promised} blocks, but the file ends after {held}",
                )
            ]
        )


def _report(
    progress: CheckProgress, nr_devices: int = 0, nr_mappings: int = 0, *, space_maps: bool = False
) -> CheckReport:
    return CheckReport(
        tuple(progress.findings),
        nr_devices,
        nr_mappings,
        progress.nr_nodes,
        space_maps,
        progress.lost_references,
    )
