"""What an image says, read node by node without thinmeta: to hold what a command says against.

Only what is beyond doubt is said: where the model gives up, it says nothing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import fastcrc

BLOCK = 4096
HEADER = struct.Struct("<IIQIIII")
SUPERBLOCK_SALT, NODE_SALT = 160774, 121107
MAGIC = 27022010
INTERNAL, LEAF = 1, 2
LAST = 2**64 - 1

MOST_NODES = 4000
MOST_MAPPINGS = 60_000

Node = tuple[int, tuple[int, ...], list[tuple[int, ...]]]
"""Flags, keys and values."""

Mapped = dict[int, tuple[int, int]]
"""Data block and time by origin block."""


class TooMuchError(Exception):
    """The image says more than the model has patience for."""


@dataclass
class State:
    """The live state of a pool.

    Attributes:
        mapped: of each device whose tree is there, as far as it is sound.
        details: mapped blocks, transaction id, creation time and snap time by device id.
        bad: nodes that are no sound nodes of their place; without any, all is there.
        nr_data_blocks: the data space map's.
    """

    mapped: dict[int, Mapped] = field(default_factory=dict)
    details: dict[int, tuple[int, ...]] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    nr_data_blocks: int = 0

    @property
    def agrees(self) -> bool:
        """Whether details and trees tell of the same devices, with as many mappings."""
        counts = {each: len(mapped) for each, mapped in self.mapped.items()}
        return counts == {each: numbers[0] for each, numbers in self.details.items()}

    @property
    def fits(self) -> bool:
        """Whether each mapping leads to a block of the data device."""
        return all(
            data < self.nr_data_blocks for some in self.mapped.values() for data, _ in some.values()
        )


class _Reader:
    def __init__(self, image: bytes) -> None:
        self._image = image
        self._nodes = MOST_NODES
        self.bad: set[int] = set()

    def entries(
        self, block: int, form: str, low: int = 0, last: int = LAST, level: int = -1
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield keys and values of the tree at `block`, in order; note nodes that are bad."""
        self._nodes -= 1
        if self._nodes < 0:
            raise TooMuchError
        node = self._node(block, form, low, last)
        if node is None or (level >= 0 and node[0] != (INTERNAL if level else LEAF)):
            self.bad.add(block)
            return
        flags, keys, values = node
        if flags == LEAF:
            yield from zip(keys, values, strict=True)
            return
        below = self._height(values[0][0]) if level < 0 else level - 1
        ends = [key - 1 for key in keys[1:]] + [last]
        for key, (child,), end in zip(keys, values, ends, strict=True):
            yield from self.entries(child, form, key, end, below)

    def _height(self, block: int) -> int:
        """Follow first children; for a tree whose left edge is bad any height will do."""
        for height in range(60):
            node = self._node(block, "Q", 0, LAST)
            if node is None or node[0] == LEAF:
                return height
            block = node[2][0][0]
        raise TooMuchError

    def _node(self, block: int, form: str, low: int, last: int) -> Node | None:
        """Return flags, keys and values; None for what is no sound node."""
        row = self._image[block * BLOCK : (block + 1) * BLOCK]
        if len(row) < BLOCK:
            return None
        csum, flags, blocknr, count, room, size, _ = HEADER.unpack_from(row)
        if fastcrc.crc32.iscsi(row[4:]) ^ 0xFFFFFFFF ^ NODE_SALT != csum or blocknr != block:
            return None
        if flags not in (INTERNAL, LEAF) or (flags == INTERNAL and (size != 8 or not count)):
            return None
        value = struct.Struct("<Q" if flags == INTERNAL else f"<{form}")
        if size != value.size or count > room or HEADER.size + room * (8 + size) > BLOCK:
            return None
        keys = struct.unpack_from(f"<{count}Q", row, HEADER.size)
        in_order = all(one < other for one, other in pairwise(keys))
        if not in_order or (keys and not low <= keys[0] <= keys[-1] <= last):
            return None
        begin = HEADER.size + 8 * room
        values = [value.unpack_from(row, begin + size * place) for place in range(count)]
        return flags, keys, values


def live_state(image: bytes) -> State | None:
    """Return what the live superblock leads to; None where the model cannot tell."""
    row = image[:BLOCK]
    if len(row) < BLOCK:
        return None
    csum, _, blocknr = struct.unpack_from("<IIQ", row)
    magic, version = struct.unpack_from("<QI", row, 32)
    (incompat,) = struct.unpack_from("<I", row, 360)
    if fastcrc.crc32.iscsi(row[4:]) ^ 0xFFFFFFFF ^ SUPERBLOCK_SALT != csum:
        return None
    if (blocknr, magic, incompat) != (0, MAGIC, 0) or version not in (1, 2):
        return None
    mapping_root, details_root = struct.unpack_from("<2Q", row, 320)
    state = State(nr_data_blocks=struct.unpack_from("<Q", row, 64)[0])
    reader = _Reader(image)
    try:
        roots = [(key, root) for key, (root,) in reader.entries(mapping_root, "Q")]
        state.details = dict(reader.entries(details_root, "QQII"))
        nr_mappings = 0
        for device_id, root in roots:
            mapped: Mapped = {}
            for key, (value,) in reader.entries(root, "Q"):
                mapped[key] = value >> 24, value & 0xFFFFFF
                nr_mappings += 1
                if nr_mappings > MOST_MAPPINGS:
                    return None
            state.mapped[device_id] = mapped
    except TooMuchError:
        return None
    state.bad = reader.bad
    return state
