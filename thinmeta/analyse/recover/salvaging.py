"""What is lost of a pool once everything that can be proven is there again."""

from dataclasses import replace

from thinmeta.analyse.recover.from_below import (
    Rebuilt,
    can_be_rebuilt,
    rebuilt,
    rebuilt_where_lost,
)
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.losses import ExaminedTree, Losses, losses_of_pool, losses_of_trees
from thinmeta.model.pool import Pool
from thinmeta.model.rebuilt_ranges import RebuiltRange
from thinmeta.units import DeviceId, MetadataBlock, OnProgress


def pool_to_salvage(
    pool: Pool,
    selected: frozenset[int] | None = None,
    on_progress: OnProgress = lambda *_: None,
    found: Rebuilt | None = None,
) -> tuple[Pool, Losses]:
    """Return a pool in which lost nodes are there again, and what is lost of it all the same.

    Args:
        pool: in the state to look at.
        selected: ids of the devices to look at; None is all.
        on_progress: told of each piece that was read.
        found: the pool with lost nodes, if that is known.
    """
    found = rebuilt_where_lost(pool, on_progress) if found is None else found
    losses = losses_of_pool(found.pool, selected, on_progress)
    if found.pool is pool and can_be_rebuilt(pool) and _is_any_lost(losses):
        found = rebuilt(pool, on_progress)
        losses = losses_of_pool(found.pool, selected, on_progress)
    ids = {each.tree.device_id for each in losses.devices}
    return found.pool, replace(losses, rebuilt=rebuilt_ranges(found, ids))


def device_to_salvage(
    chosen: ChosenDevice, found: Rebuilt | None = None
) -> tuple[ChosenDevice, Losses]:
    """Return a device in whose mapping tree lost nodes are there again; see `pool_to_salvage`.

    Args:
        chosen: the device.
        found: its pool with them, if that is known.
    """
    pool = chosen.pool
    found = rebuilt_where_lost(pool) if found is None else found
    losses = losses_of_trees(found.pool, [ExaminedTree.of(chosen._replace(pool=found.pool))])
    if found.pool is pool and can_be_rebuilt(pool) and _is_any_lost(losses):
        found = rebuilt(pool)
        losses = losses_of_trees(found.pool, [ExaminedTree.of(chosen._replace(pool=found.pool))])
    ids = {each.tree.device_id for each in losses.devices}
    return chosen._replace(pool=found.pool), replace(losses, rebuilt=rebuilt_ranges(found, ids))


def rebuilt_ranges(found: Rebuilt, ids: set[DeviceId | None]) -> tuple[RebuiltRange, ...]:
    """Return what is there again of some devices, by their ids."""
    superblock = found.pool.superblock.blocknr
    ranges = [
        _range(
            owner.device_id,
            claim.node.block,
            (claim.children[0].first_key, claim.children[-1].last_key),
            nr_mappings := sum(child.nr_mappings for child in claim.children),
            _counted(
                nr_mappings,
                "does not fit to what hangs below it"
                if claim.node.block in found.doubted
                else "is lost",
            ),
        )
        for claim in found.claims
        for owner in claim.node.owners
        if owner.superblock == superblock and owner.device_id in ids
    ]
    list_block = int(found.pool.live_superblock.data_mapping_root)
    ranges += [
        _range(
            device_id,
            list_block,
            (root.first_key, root.last_key),
            root.nr_mappings,
            _counted(root.nr_mappings),
        )
        for device_id, root in found.roots.items()
        if device_id in ids and root.nr_mappings
    ]
    ranges += [
        _range(
            node.owner.device_id,
            node.block,
            (node.first_key, node.last_key),
            node.nr_mappings,
            f"{node.what}; {node.nr_mappings} mappings that hang below it are proven by "
            f"{node.proof}",
        )
        for node in found.mended
        if node.owner.superblock == superblock and node.owner.device_id in ids and node.nr_mappings
    ]
    return tuple(sorted(ranges))


def _range(
    device_id: int, block: int, keys: tuple[int, int], nr_mappings: int, what: str
) -> RebuiltRange:
    return RebuiltRange(
        DeviceId(device_id), MetadataBlock(block), *keys, nr_mappings, "proven", what
    )


def _counted(nr_mappings: int, what: str = "is lost") -> str:
    return (
        f"the B-tree node {what}; {nr_mappings} mappings that hung below it are proven by the "
        "pool's reference counts"
    )


def _is_any_lost(losses: Losses) -> bool:
    """Tell whether a leaf is lost: a node above it may lead there by a wrong key or block."""
    return any(each.ranges for each in losses.devices)
