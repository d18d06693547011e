"""The read path of single blocks: where a block of a device is, and what a write to it does."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from thinmeta.errors import Damage, DamagedMetadataError, NotThereError
from thinmeta.model.device_spec import ChosenDevice, DeviceSpec, choose_device
from thinmeta.model.pool import Pool
from thinmeta.model.superblock import Superblock, bytes_of_a_data_block
from thinmeta.schemas import block_time
from thinmeta.units import (
    LAST_KEY,
    DataBlock,
    DeviceId,
    MetadataBlock,
    OriginBlock,
    Quantity,
)
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import damage_of, read_leaves
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Entries, Keys, Mask, Metadata, read_nodes

# Leaves without mappings that are passed at the end of a hole; a kernel leaves none.
_MAX_LEAVES = 64


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a thin device: `offset` bytes into a block."""

    origin_block: OriginBlock
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Mapping:
    """One block of a device, mapped to a data block at `time`, the pool's clock then."""

    origin_block: OriginBlock
    data_block: DataBlock
    time: int


@dataclass(frozen=True, slots=True)
class PathNode:
    """A B-tree node that was passed.

    Attributes:
        block: where it is.
        level: 0 for the leaf; 1 for the node above it, and so on.
        first_key: the lowest block that its parents let it hold.
        last_key: the highest.
        nr_entries: children, or mappings.
    """

    block: MetadataBlock
    level: int
    first_key: OriginBlock
    last_key: OriginBlock
    nr_entries: int


@dataclass(frozen=True, slots=True)
class Hole:
    """The unmapped blocks around an unmapped block; None where nothing ends them."""

    before: Mapping | None
    after: Mapping | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the tree of a device says of one block.

    Attributes:
        position: what was asked for.
        mapping: None if the block is not mapped, or if `lost`.
        hole: around a block that is not mapped; None where damage hides its ends.
        breaks_sharing: whether a write to the block would copy it first. None if
            the block is not mapped, and for a bare mapping root, whose device and
            so whose snap time nobody knows.
        path: the nodes passed, from the root down.
        lost: the bad node that hides the answer.
    """

    position: Position
    mapping: Mapping | None
    hole: Hole | None
    breaks_sharing: bool | None
    path: tuple[PathNode, ...]
    lost: Damage | None


def position_of(quantity: Quantity, superblock: Superblock) -> Position:
    """Return the block that a number of blocks, or of bytes, leads to.

    Raises:
        ValueError: it is past the largest block there can be.
        DamagedMetadataError: it is in bytes, and the pool's blocks have none.
    """
    block, offset = quantity.number, 0
    if quantity.is_bytes:
        block, offset = divmod(quantity.number, bytes_of_a_data_block(superblock))
    if block > LAST_KEY:
        raise ValueError(f"block {block} is past the largest possible block, {LAST_KEY}")
    return Position(OriginBlock(block), offset)


def choose_despite_damage(
    pool: Pool, spec: DeviceSpec, *, without_details: bool = False
) -> ChosenDevice:
    """Find the device that `spec` names, as `choose_device` does, in a damaged pool.

    For a pool whose `on_damage` lets go on: what the trees that list devices have lost
    matters only where it could have told of the device, or, `without_details`, of its root.

    Raises:
        NotThereError: there is none, or no metadata snapshot is held.
        DamagedMetadataError: damage hides the device, or what it maps.
    """
    try:
        chosen = choose_device(pool, spec)
    except NotThereError:
        _raise_if_lost(pool.in_state(spec.state) if spec.state else pool, spec)
        raise
    if chosen.mapping_root is None or (chosen.device is None and not without_details):
        _raise_if_lost(chosen.pool, spec)
    return chosen


def _raise_if_lost(pool: Pool, spec: DeviceSpec) -> None:
    if spec.device_id is not None:
        for damage in pool.device_table.lost_among(frozenset((spec.device_id,))):
            raise DamagedMetadataError(damage)


def look_up(chosen: ChosenDevice, positions: Iterable[Position]) -> list[Lookup]:
    """Look up blocks of a device.

    Reads the nodes between the root and the block's leaf, those down the tree's left
    edge, which show how high it is, and next to a hole the leaves at its ends. Bad
    nodes elsewhere do not matter; one that hides an answer is in that answer, and the
    pool's `on_damage` is not asked.

    Returns:
        An answer for each of `positions`, in their order.
    """
    return [_look_up(chosen, position) for position in positions]


def _look_up(chosen: ChosenDevice, position: Position) -> Lookup:
    key = position.origin_block
    source = chosen.pool.source
    if chosen.mapping_root is None:
        return Lookup(position, None, Hole(None, None), None, (), None)
    found = _Reached.by(source, chosen.mapping_root, key)
    path = found.path()
    if found.damage is not None and found.covers:
        lost = found.damage
        if chosen.device is not None:
            lost = lost._replace(device_id=DeviceId(chosen.device.device_id))
        return Lookup(position, None, None, None, path, lost)
    mapping = found.mapping()
    if mapping is None:
        return Lookup(position, None, _hole(source, chosen.mapping_root, key), None, path, None)
    breaks = None
    if chosen.device is not None:
        # `__snapshotted_since()`, drivers/md/dm-thin-metadata.c: the device's time has
        # 32 bits, the mapping's the low 24.
        breaks = chosen.device.snap_time > mapping.time
    return Lookup(position, mapping, None, breaks, path, None)


@dataclass(frozen=True, slots=True, eq=False)
class _Reached:
    """The leaf that `key` leads to: it may hold it, or is the first one after it."""

    source: Metadata
    key: int
    forest: Forest
    leaf: NodeList
    entries: Entries
    damage: Damage | None

    @classmethod
    def by(cls, source: Metadata, root: MetadataBlock, key: int) -> "_Reached":
        at = np.uint64(key)
        roots = np.array([root], dtype=np.uint64)

        def first_not_below(_low: Keys, last: Keys) -> Mask:
            # One node a level is followed, so these are its children in order.
            chosen = np.zeros(len(last), dtype=np.bool_)
            chosen[np.searchsorted(last, at)] = True
            return chosen

        forest = grow(source, roots, MAPPINGS, wanted=first_not_below)
        leaf = forest.leaves(0)
        entries, codes = read_leaves(source, leaf, MAPPINGS)
        damage = damage_of(leaf, codes, 0, MAPPINGS) if codes.any() else None
        return cls(source, key, forest, leaf, entries, damage)

    @property
    def covers(self) -> bool:
        """Whether only this leaf can hold the key; else no leaf can."""
        return bool(self.leaf.low[0] <= self.key)

    def lows(self) -> list[int]:
        """Return the lowest key of each node that was passed, the leaf's first."""
        return [int(level.nodes.low[0]) for level in self.forest.levels if len(level.nodes)]

    def mapping(self) -> Mapping | None:
        """Return the key's mapping."""
        found = self.first_not_below()
        return found if found is not None and found.origin_block == self.key else None

    def first_not_below(self) -> Mapping | None:
        """Return the leaf's first mapping of the key or of one above it."""
        place = int(np.searchsorted(self.entries.keys, np.uint64(self.key)))
        return self._at(place) if place < len(self.entries.keys) else None

    def last_below(self) -> Mapping | None:
        """Return the leaf's last mapping of the key or of one below it."""
        place = int(np.searchsorted(self.entries.keys, np.uint64(self.key), side="right"))
        return self._at(place - 1) if place else None

    def _at(self, place: int) -> Mapping:
        value = int(self.entries.values[place])
        return Mapping(
            OriginBlock(int(self.entries.keys[place])),
            DataBlock(block_time.data_block(value)),
            block_time.time(value),
        )

    def path(self) -> tuple[PathNode, ...]:
        """Return the nodes that cover the key, down to the first bad one."""
        passed: list[PathNode] = []
        for height in range(int(self.forest.heights[0]), -1, -1):
            node = self.forest.levels[height].nodes
            read, codes = read_nodes(self.source, node.blocks, MAPPINGS, internal=height > 0)
            if not len(codes) or node.codes[0] or codes[0] or node.low[0] > self.key:
                break
            passed.append(
                PathNode(
                    block=MetadataBlock(int(node.blocks[0])),
                    level=height,
                    first_key=OriginBlock(int(node.low[0])),
                    last_key=OriginBlock(int(node.last[0])),
                    nr_entries=int(read.headers["nr_entries"][0]),
                )
            )
        return tuple(passed)


def _hole(source: Metadata, root: MetadataBlock, key: int) -> Hole | None:
    """Return what is mapped before and after `key`, which is not; None if damage hides it."""
    try:
        return Hole(_mapped_before(source, root, key), _mapped_after(source, root, key))
    except DamagedMetadataError:
        return None


def _mapped_before(source: Metadata, root: MetadataBlock, key: int) -> Mapping | None:
    for _ in range(_MAX_LEAVES):
        found = _Reached.by(source, root, key)
        if found.damage is not None and found.covers:
            raise DamagedMetadataError(found.damage)
        if mapping := found.last_below():
            return mapping
        # What begins after the key is a first child, so nothing in its parent is before it.
        begin = max(low for low in found.lows() if low <= key)
        if not begin:
            return None
        key = begin - 1
    raise DamagedMetadataError(Damage("too many leaves without mappings"))


def _mapped_after(source: Metadata, root: MetadataBlock, key: int) -> Mapping | None:
    for _ in range(_MAX_LEAVES):
        found = _Reached.by(source, root, key)
        if found.damage is not None:
            raise DamagedMetadataError(found.damage)
        if mapping := found.first_not_below():
            return mapping
        if found.leaf.last[0] == LAST_KEY:
            return None
        key = int(found.leaf.last[0]) + 1
    raise DamagedMetadataError(Damage("too many leaves without mappings"))
