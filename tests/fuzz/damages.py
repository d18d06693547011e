"""What can be done to the image of a real pool: fields, entries, pointers, whole blocks.

A `Target` knows what stands where, so that damage hits what a command reads. All take
chances from a numpy generator, so that the same seed does the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.anatomy import Anatomy
from tests.damage import BLOCK, BlockKind, DamagedImage, kind_of
from tests.fuzz.chance import Rng, pick
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    METADATA_INDEX,
    NODE_HEADER,
)


class Target:
    """An image, and what in it is worth hitting."""

    def __init__(self, case: str, image: str, *, snapshot: bool = False) -> None:
        self.snapshot = snapshot
        self.image = DamagedImage.of(case, image)
        held_root = Anatomy(self.image).held_root
        anatomy = Anatomy(self.image, held_root if snapshot else 0)
        self.superblocks = [0, held_root] if snapshot else [0]
        self.nodes = anatomy.nodes()
        internal = [place.block for place in anatomy.mapping_places() if not place.is_leaf]
        self.pointing = sorted({*internal, *(place.block for place in anatomy.devices)})
        self.above_leaves = sorted({*self.pointing, *(place.block for place in anatomy.details)})
        by_kind = anatomy.space_map_blocks()
        self.space_maps = [block for some in by_kind.values() for block in some]
        self.bitmaps, self.metadata_index = by_kind[BlockKind.BITMAP], by_kind[BlockKind.INDEX]
        self.data_index = by_kind[BlockKind.NODE]
        self.details = [place.block for place in anatomy.details if place.is_leaf]
        self.device_leaves = [place.block for place in anatomy.devices if place.is_leaf]
        self.device_ids = anatomy.device_ids
        self.in_use = sorted({*self.superblocks, *self.nodes, *self.space_maps})

    def any_block(self, rng: Rng) -> int:
        """Return a block: mostly one that a dump reads, seldom one that it does not."""
        match int(rng.integers(20)):
            case 0 | 1:
                return pick(rng, self.superblocks)
            case 2:
                return pick(rng, self.space_maps)
            case 3:
                return int(rng.integers(self.image.nr_blocks))
            case roll if roll < 10:
                return pick(rng, self.above_leaves)
            case _:
                return pick(rng, self.nodes)

    def number(self, rng: Rng, old: int) -> int:
        """Return a number to put in the place of `old`: one that may confuse."""
        match int(rng.integers(8)):
            case 0:
                return old + int(rng.integers(-2, 3))
            case 1:
                return pick(rng, self.in_use)
            case 2:
                return int(rng.integers(self.image.nr_blocks + 2))
            case 3:
                return old ^ (1 << int(rng.integers(64)))
            case 4:
                return int(rng.integers(2**64, dtype=np.uint64))
            case _:
                return pick(rng, ODD_NUMBERS)


ODD_NUMBERS = [
    *(0, 1, 2, 3, 4, 24, 125, 126, 127, 251, 252, 253, 255, 256, 336, 508, 509, 4096),
    *(2**power + more for power in (16, 24, 31, 32, 40, 63) for more in (-1, 0, 1)),
    2**64 - 2,
    2**64 - 1,
]


def put_number(target: Target, rng: Rng, block: int, offset: int, size: int) -> None:
    row = target.image.block(block)
    old = int.from_bytes(row[offset : offset + size].tobytes(), "little")
    new = target.number(rng, old) % (1 << 8 * size)
    target.image.overwrite(block, offset, new.to_bytes(size, "little"))


def hit_field(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a field of the block's header with an odd number."""
    layout = (kind_of(target.image.sound[block]) or BlockKind.NODE).header
    names = list(layout.names or ())
    field, offset = layout.fields[names[int(rng.integers(len(names)))]][:2]  # type: ignore[index]
    at = offset + 8 * int(rng.integers(max(1, field.itemsize // 8)))
    put_number(target, rng, block, at, min(8, field.itemsize))


def hit_entry(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a key or a value that is in use."""
    header = target.image.header(block)
    count, room, size = (int(header[name]) for name in ("nr_entries", "max_entries", "value_size"))
    if kind_of(target.image.sound[block]) is not BlockKind.NODE or not 0 < count <= room <= 508:
        return hit_field(target, rng, block)
    entry = int(rng.integers(count))
    at = 32 + 8 * entry if rng.integers(2) else 32 + 8 * room + size * entry
    return put_number(target, rng, block, min(at, BLOCK - 8), 8)


def hit_pointer(target: Target, rng: Rng, block: int) -> None:
    """Let a pointer above the leaves lead to another node that is in use."""
    pointing = pick(rng, target.pointing)
    header = target.image.sound[pointing][: NODE_HEADER.itemsize].view(NODE_HEADER)[0]
    entry = int(rng.integers(max(1, int(header["nr_entries"]))))
    at = NODE_HEADER.itemsize + 8 * (int(header["max_entries"]) + entry)
    target.image.overwrite(pointing, at, pick(rng, target.nodes).to_bytes(8, "little"))


def hit_bytes(target: Target, rng: Rng, block: int) -> None:
    size = int(rng.integers(1, 65))
    at = int(rng.integers(BLOCK - size))
    target.image.overwrite(block, at, rng.bytes(size))


def hit_bit(target: Target, rng: Rng, block: int) -> None:
    target.image.flip_bit(block, int(rng.integers(8 * BLOCK)))


def hit_block(target: Target, rng: Rng, block: int) -> None:
    """Overwrite it as a whole: nothing, ones, noise, or another block."""
    match int(rng.integers(5)):
        case 0:
            target.image.zero(block)
        case 1:
            target.image.block(block)[:] = 0xFF
        case 2:
            target.image.overwrite(block, 0, rng.bytes(BLOCK))
        case 3:
            target.image.copy(target.any_block(rng), block)
        case _:
            target.image.swap(target.any_block(rng), block)


def cut_off(target: Target, rng: Rng, block: int) -> None:
    """Let the file end somewhere, often at or in the block."""
    anywhere = int(rng.integers(target.image.sound.size))
    near = block * BLOCK + int(rng.integers(2)) * int(rng.integers(BLOCK))
    target.image.truncate(anywhere if rng.integers(4) == 0 else near)


Damage = Callable[[Target, Rng, int], None]

DAMAGES: tuple[tuple[Damage, int], ...] = (
    (hit_field, 26),
    (hit_entry, 26),
    (hit_pointer, 8),
    (hit_bytes, 12),
    (hit_bit, 8),
    (hit_block, 15),
    (cut_off, 5),
)


# What has a meaning; checksums are then made right


def turn_keys(target: Target, rng: Rng, block: int) -> None:
    """Let two keys of a node change places, or be equal."""
    node = pick(rng, target.nodes)
    keys = target.image.keys(node)
    if len(keys) > 1:
        at = int(rng.integers(len(keys) - 1))
        keys[at : at + 2] = keys[at : at + 2][::-1] if rng.integers(2) else keys[at]


def one_child(target: Target, rng: Rng, block: int) -> None:
    """Let all children of an inner node be one."""
    pointing = pick(rng, target.pointing)
    if len(children := target.image.children(pointing)):
        children[:] = children[int(rng.integers(len(children)))]


def far_mapping(target: Target, rng: Rng, block: int) -> None:
    """Let mappings of a leaf lead past the data device, to one block, or have late times."""
    children = target.image.children(pick(rng, target.nodes))
    if not len(children):
        return
    first = int(rng.integers(len(children)))
    last = first + int(rng.integers(1, len(children) + 1))
    match int(rng.integers(3)):
        case 0:
            children[first:last] |= np.uint64((2**40 - 1) << 24)
        case 1:
            children[first:last] = children[first]
        case _:
            children[first:last] |= np.uint64(2**24 - 1)


def hit_details(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a field of a device's details."""
    _hit_record(target, rng, pick(rng, target.details), DEVICE_DETAILS)


def hit_index(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a field of a space map's index."""
    if rng.integers(2) and target.data_index:
        return _hit_record(target, rng, pick(rng, target.data_index), INDEX_ENTRY)
    entry = int(rng.choice([0, 0, 0, 1, 254]))
    at = METADATA_INDEX.fields["index"][1] + INDEX_ENTRY.itemsize * entry  # type: ignore[index]
    return _hit_field_of(target, rng, pick(rng, target.metadata_index), at, INDEX_ENTRY)


def hit_counts(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a part of a bitmap: counts of 2 bits, from a few to all."""
    bitmap = pick(rng, target.bitmaps)
    size = pick(rng, [1, 1, 8, 512, BLOCK - BITMAP_HEADER.itemsize])
    at = int(rng.integers(BITMAP_HEADER.itemsize, BLOCK - size + 1))
    filling = pick(rng, [0x00, 0xFF, 0x55, -1])
    target.image.overwrite(bitmap, at, rng.bytes(size) if filling < 0 else bytes([filling]) * size)


def hit_superblock(target: Target, rng: Rng, block: int) -> None:
    """Overwrite a field of a superblock, the live one or that of the metadata snapshot."""
    hit_field(target, rng, pick(rng, target.superblocks))


def other_root(target: Target, rng: Rng, block: int) -> None:
    """Let a device have the tree, or a part of the tree, of another one."""
    if len(roots := target.image.children(pick(rng, target.device_leaves))):
        roots[int(rng.integers(len(roots)))] = pick(rng, target.nodes)


def _hit_record(target: Target, rng: Rng, node: int, record: np.dtype[Any]) -> None:
    header = target.image.header(node)
    if int(header["value_size"]) != record.itemsize or not int(header["nr_entries"]):
        return hit_entry(target, rng, node)
    entry = int(rng.integers(int(header["nr_entries"])))
    at = NODE_HEADER.itemsize + 8 * int(header["max_entries"]) + record.itemsize * entry
    return _hit_field_of(target, rng, node, at, record)


def _hit_field_of(target: Target, rng: Rng, block: int, at: int, record: np.dtype[Any]) -> None:
    names = list(record.names or ())
    field, offset = record.fields[names[int(rng.integers(len(names)))]][:2]  # type: ignore[index]
    put_number(target, rng, block, at + offset, field.itemsize)


MEANINGFUL: tuple[tuple[Damage, int], ...] = (
    (turn_keys, 6),
    (one_child, 8),
    (far_mapping, 10),
    (hit_details, 8),
    (hit_index, 8),
    (hit_counts, 8),
    (hit_superblock, 16),
    (other_root, 8),
)
