"""What is lost of a pool once everything that can be proven is there again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from thinmeta.analyse.recover.from_below import (
    Likely,
    Rebuilt,
    can_be_rebuilt,
    rebuilt,
    rebuilt_where_lost,
)
from thinmeta.analyse.recover.proof import Claim, MissingChild
from thinmeta.model.device_loss import ExaminedTree
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.losses import Losses, losses_of_pool, losses_of_trees
from thinmeta.model.pool import Pool
from thinmeta.model.rebuilt_ranges import RebuiltRange, UndecidedSubtree
from thinmeta.units import DeviceId, MetadataBlock, OnProgress


def pool_to_salvage(
    pool: Pool,
    selected: frozenset[int] | None = None,
    on_progress: OnProgress = lambda *_: None,
    found: Rebuilt | None = None,
    *,
    likely: bool = False,
) -> tuple[Pool, Losses]:
    """Return a pool in which lost nodes are there again, and what is lost of it all the same.

    Args:
        pool: in the state to look at.
        selected: ids of the devices to look at; None is all.
        on_progress: told of each piece that was read.
        found: the pool with lost nodes, if that is known.
        likely: put in what is likely, too, not only what is proven.
    """
    if found is None:
        found = rebuilt_where_lost(pool, on_progress, likely=likely)
    losses = losses_of_pool(found.pool, selected, on_progress)
    if found.pool is pool and can_be_rebuilt(pool) and _is_any_lost(losses):
        found = rebuilt(pool, on_progress, likely=likely)
        losses = losses_of_pool(found.pool, selected, on_progress)
    return found.pool, _with_rebuilt(losses, found)


def device_to_salvage(
    chosen: ChosenDevice, found: Rebuilt | None = None, *, likely: bool = False
) -> tuple[ChosenDevice, Losses]:
    """Return a device in whose mapping tree lost nodes are there again; see `pool_to_salvage`.

    Args:
        chosen: the device.
        found: its pool with them, if that is known.
        likely: put in what is likely, too, not only what is proven.
    """
    pool = chosen.pool
    found = rebuilt_where_lost(pool, likely=likely) if found is None else found
    losses = losses_of_trees(found.pool, [ExaminedTree.of(chosen._replace(pool=found.pool))])
    if found.pool is pool and can_be_rebuilt(pool) and _is_any_lost(losses):
        found = rebuilt(pool, likely=likely)
        losses = losses_of_trees(found.pool, [ExaminedTree.of(chosen._replace(pool=found.pool))])
    return chosen._replace(pool=found.pool), _with_rebuilt(losses, found)


def _with_rebuilt(losses: Losses, found: Rebuilt) -> Losses:
    ids = {each.tree.device_id for each in losses.devices}
    return replace(
        losses, rebuilt=rebuilt_ranges(found, ids), undecided=undecided_subtrees(found, ids)
    )


def rebuilt_ranges(found: Rebuilt, ids: set[DeviceId | None]) -> tuple[RebuiltRange, ...]:
    """Return what is there again of some devices, by their ids."""
    superblock = found.pool.superblock.blocknr
    ranges = [
        _range_of(
            owner.device_id,
            claim.node.block,
            part,
            "does not fit to what hangs below it"
            if claim.node.block in found.doubted
            else "is lost",
            is_likely=is_likely,
        )
        for claim in found.claims
        for is_likely, part in _parts(claim, found.likely)
        for owner in claim.node.owners
        if owner.superblock == superblock and owner.device_id in ids
    ]
    list_block = int(found.pool.live_superblock.data_mapping_root)
    ranges += [
        _range_of(
            device_id,
            list_block,
            [root],
            "is lost",
            is_likely=device_id in found.likely.device_ids,
        )
        for device_id, root in found.roots.items()
        if device_id in ids and root.nr_mappings
    ]
    ranges += [
        RebuiltRange(
            DeviceId(node.owner.device_id),
            MetadataBlock(node.block),
            node.first_key,
            node.last_key,
            node.nr_mappings,
            "proven",
            f"{node.what}; {node.nr_mappings} mappings that hang below it are proven by "
            f"{node.proof}",
        )
        for node in found.mended
        if node.owner.superblock == superblock and node.owner.device_id in ids and node.nr_mappings
    ]
    return tuple(sorted(ranges))


def _parts(claim: Claim, likely: Likely) -> Iterator[tuple[bool, list[MissingChild]]]:
    """Return the children of a node, those that follow each other and are alike proven together."""
    node = claim.node.block
    for is_likely, part in groupby(
        claim.children, lambda child: (node, child.block) in likely.children
    ):
        yield is_likely, [*part]


def _range_of(
    device_id: int, block: int, children: Sequence[MissingChild], what: str, *, is_likely: bool
) -> RebuiltRange:
    nr_mappings = sum(child.nr_mappings for child in children)
    why = (
        f"{nr_mappings} mappings are taken that likely hung below it: times and older states "
        "speak for it, and nothing proves it"
        if is_likely
        else f"{nr_mappings} mappings that hung below it are proven by the pool's reference counts"
    )
    return RebuiltRange(
        DeviceId(device_id),
        MetadataBlock(block),
        children[0].first_key,
        children[-1].last_key,
        nr_mappings,
        "likely" if is_likely else "proven",
        f"the B-tree node {what}; {why}",
    )


def undecided_subtrees(found: Rebuilt, ids: set[DeviceId | None]) -> tuple[UndecidedSubtree, ...]:
    """Return what is sound and may be of some devices, by their ids, and nobody knows whose."""
    return tuple(
        UndecidedSubtree(
            MetadataBlock(child.block),
            child.first_key,
            child.last_key,
            child.nr_mappings,
            tuple(map(DeviceId, device_ids)),
        )
        for child, device_ids in found.likely.undecided
        if ids & {*device_ids}
    )


def _is_any_lost(losses: Losses) -> bool:
    """Tell whether a leaf is lost: a node above it may lead there by a wrong key or block."""
    return any(each.ranges for each in losses.devices)
