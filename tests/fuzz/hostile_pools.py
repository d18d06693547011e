"""Metadata made to harm: small images whose trees, counts and sizes say enormous or absurd things.

Every checksum is right, so only sense can refuse what stands here. Each function makes one
kind of pool and returns its image; `KINDS` has them all with what a fuzz may choose. To write one:

    python -m tests.fuzz.hostile_pools one_tree_for_all 2000 252 > /tmp/hostile.bin
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.fuzz.chance import Rng, pick
from tests.made_images import BLOCK, Image, stamped
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import BTREE_CSUM_XOR, INTERNAL_NODE, LEAF_NODE
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    KEY,
    METADATA_INDEX,
    NODE_HEADER,
    REF_COUNT,
)
from thinmeta.schemas.space_map import BITMAP_CSUM_XOR, INDEX_CSUM_XOR

LARGE = 1 << 30
"""Data blocks of a pool that has room for whatever is mapped."""

Numbers = Sequence[int] | npt.NDArray[Any]
Values = Numbers | Sequence[tuple[int, ...]]


def room_for(value_size: int) -> int:
    """Return how many entries a node has room for."""
    return (BLOCK - NODE_HEADER.itemsize) // (KEY.itemsize + value_size) // 3 * 3


CHILDREN = room_for(CHILD.itemsize)
"""The most entries of an internal node, and of a leaf of mappings: 252."""


class HostileImage(Image):
    """An image whose nodes are made from whole columns, so that large ones are made at once."""

    def node(self, keys: Numbers, values: Values, dtype: Any = CHILD, **header: int) -> int:
        """Add a node and return its number.

        Args:
            keys: ascending in a sound node.
            values: as many, of `dtype`.
            dtype: of the values; a leaf's or an internal node's.
            header: fields of the header that are to be other than right.
        """
        fields = np.zeros(1, NODE_HEADER)
        column = np.array(values, dtype=dtype)
        right = {
            "flags": LEAF_NODE,
            "blocknr": len(self.blocks),
            "nr_entries": len(column),
            "max_entries": room_for(column.dtype.itemsize),
            "value_size": column.dtype.itemsize,
        }
        for name, value in (right | header).items():
            fields[name] = value
        room = KEY.itemsize * right["max_entries"]
        row = fields.tobytes() + np.array(keys, dtype=KEY).tobytes().ljust(room, b"\0")
        return self.add(lambda _: stamped(row + column.tobytes(), BTREE_CSUM_XOR))

    def inner(self, keys: Numbers, children: Numbers, **header: int) -> int:
        """Add an internal node."""
        return self.node(keys, children, **{"flags": INTERNAL_NODE} | header)

    def tree(self, keys: Numbers, values: Values, dtype: Any = CHILD) -> int:
        """Add a sound tree over any number of entries and return its root."""
        room = room_for(np.dtype(dtype).itemsize)
        cuts = range(0, max(1, len(keys)), room)
        level = [
            (int(keys[cut]) if len(keys) else 0, self.node(keys[cut : cut + room], part, dtype))
            for cut in cuts
            for part in [values[cut : cut + room]]
        ]
        while len(level) > 1:
            groups = [level[cut : cut + CHILDREN] for cut in range(0, len(level), CHILDREN)]
            level = [(group[0][0], self.inner(*zip(*group, strict=True))) for group in groups]
        return level[0][1]

    def finished(
        self,
        roots: Mapping[int, int],
        mapped_blocks: int = 0,
        *,
        mapping_root: int | None = None,
        details_root: int | None = None,
        **superblock: Any,
    ) -> bytes:
        """Add the trees of devices and the superblock, and return the image.

        Args:
            roots: mapping trees by device id.
            mapped_blocks: that the details say of each device.
            mapping_root: of the tree of mapping trees, if it is not to be made from `roots`.
            details_root: of the details.
            superblock: replaces fields of the superblock.
        """
        ids = sorted(roots)
        if mapping_root is None:
            mapping_root = self.tree(ids, [roots[each] for each in ids])
        if details_root is None:
            details_root = self.tree(ids, [(mapped_blocks, 0, 0, 0)] * len(ids), DEVICE_DETAILS)
        fields: dict[str, Any] = {
            "data_mapping_root": mapping_root,
            "device_details_root": details_root,
            "data_space_map_root": space_map_root(LARGE),
            "metadata_space_map_root": space_map_root(len(self.blocks)),
            "time": 1,
            "trans_id": 1,
        }
        self.blocks[0] = self.superblock(**fields | superblock)
        return b"".join(self.blocks)


def space_map_root(nr_blocks: int, **fields: int) -> dict[str, int]:
    """Return a space map's root that has neither bitmaps nor counts."""
    return (
        dict.fromkeys(("nr_allocated", "bitmap_root", "ref_count_root"), 0)
        | {"nr_blocks": nr_blocks}
        | fields
    )


def packed(data_blocks: Numbers, times: int = 0) -> npt.NDArray[np.uint64]:
    """Return mappings as a leaf holds them."""
    return block_time.packed(np.array(data_blocks, dtype=np.uint64), np.uint64(times))


# What is shared, and so counts many times


def one_tree_for_all(nr_devices: int = 2000, nr_leaves: int = 252) -> bytes:
    """Many devices with one tree, no two of whose mappings join: devices times mappings lines."""
    image = HostileImage()
    keys = np.arange(nr_leaves * CHILDREN)
    root = image.tree(keys, packed(2 * keys))
    return image.finished(dict.fromkeys(range(1, nr_devices + 1), root), len(keys))


def ranges(nr_devices: int = 500, nr_shared: int = 252) -> bytes:
    """Devices that each give the same inner nodes another range of keys.

    Whoever holds a row for each node and range in memory holds devices times shared times
    252 rows; one leaf only is below all that.
    """
    image = HostileImage()
    leaf = image.node([5], packed([5]))
    begins = (np.arange(nr_shared, dtype=np.uint64)) << np.uint64(40)
    below = (np.arange(CHILDREN, dtype=np.uint64)) * np.uint64(1000) + np.uint64(1 << 39)
    inner = [image.inner(begin + below, [leaf] * CHILDREN) for begin in begins]
    first = begins + np.uint64(1 << 20)
    roots = {n: image.inner(first + np.uint64(n), inner) for n in range(1, nr_devices + 1)}
    return image.finished(roots)


def chain(height: int = 4000, nr_devices: int = 1) -> bytes:
    """A tree of inner nodes with one child each; devices begin at places along it."""
    image = HostileImage()
    nodes = [image.node([0], packed([1]))]
    for _ in range(height):
        nodes.append(image.inner([0], nodes[-1:]))
    step = max(1, height // nr_devices)
    return image.finished({n + 1: nodes[-1 - n * step] for n in range(min(nr_devices, height))}, 1)


def same_child(height: int = 8, nr_children: int = 126, nr_devices: int = 1) -> bytes:
    """Inner nodes that lead to one child `nr_children` times: as many ways down, to the power."""
    image = HostileImage()
    below = image.node([0], packed([1]))
    for level in range(height):
        shift = min(7 * (level + 1), 56)
        keys = np.arange(nr_children, dtype=np.uint64) << np.uint64(shift)
        below = image.inner(keys, [below] * nr_children)
    return image.finished(dict.fromkeys(range(1, nr_devices + 1), below), 1)


def same_empty_leaf(nr_devices: int = 2000, nr_children: int = 252) -> bytes:
    """Devices that map nothing, in as many leaves as fit."""
    image = HostileImage()
    empty = image.node([], [])
    root = image.inner(range(nr_children), [empty] * nr_children)
    return image.finished(dict.fromkeys(range(1, nr_devices + 1), root))


def many_devices(nr_devices: int = 100_000) -> bytes:
    """Devices that all are one small tree."""
    image = HostileImage()
    root = image.node([0], packed([1]))
    return image.finished(dict.fromkeys(range(nr_devices), root), 1)


def devices_without_end(height: int = 4, *, in_details: bool = False) -> bytes:
    """A tree of devices whose inner nodes lead to one child many times."""
    image = HostileImage()
    root = image.node([0], packed([1]))
    tree = (
        image.node([1], [(1, 0, 0, 0)], DEVICE_DETAILS) if in_details else image.node([1], [root])
    )
    for level in range(height):
        keys = np.arange(CHILDREN, dtype=np.uint64) << np.uint64(8 * level + 8)
        tree = image.inner(keys, [tree] * CHILDREN)
    if in_details:
        return image.finished({1: root}, details_root=tree)
    return image.finished({1: root}, mapping_root=tree)


# What leads astray


def cycle(length: int = 1, where: str = "mappings") -> bytes:
    """A tree that contains itself, `length` nodes further down."""
    image = HostileImage()
    leaf = image.node([0], packed([1]))
    first = len(image.blocks)
    for place in range(length):
        following = first + (place + 1) % length
        image.inner([0, 10], [following, following])
    roots = {1: first if where == "mappings" else leaf}
    trees = {} if where == "mappings" else {where: first}
    return image.finished(roots, 1, **trees)


def disordered(how: str = "overlap", nr_leaves: int = 5) -> bytes:
    """A tree whose keys are in no order, equal, or past the range of the node above."""
    image = HostileImage()
    keys = [100 * place for place in range(nr_leaves)]
    leaves = []
    for place, key in enumerate(keys):
        own = key + np.arange(100)
        if how == "overlap":
            own = key + np.arange(150)
        elif how == "reversed":
            own = own[::-1]
        elif how == "equal":
            own = own // 2 * 2
        elif how == "before" and place:
            own = own - 50
        leaves.append(image.node(own, packed(1000 * place + np.arange(len(own)))))
    if how == "children reversed":
        keys, leaves = keys[::-1], leaves[::-1]
    elif how == "children equal":
        keys = [0] * nr_leaves
    elif how == "other leaves":
        leaves = leaves[::-1]
    root = image.inner(keys, leaves)
    return image.finished({1: root, 2: root, 3: leaves[0]}, 100 * nr_leaves)


DISORDERS = [
    *("overlap", "reversed", "equal", "before"),
    *("children reversed", "children equal", "other leaves"),
]


def uneven(height: int = 3) -> bytes:
    """A tree with leaves at every height, and devices that share its parts."""
    image = HostileImage()
    roots = {}
    below = image.node([0], packed([1]))
    for level in range(1, height + 1):
        leaf = image.node([1000 * level], packed([level]))
        below = image.inner([0, 1000 * level], [below, leaf])
        roots[level] = below
    return image.finished(roots, height + 1)


def odd_header(field: str = "nr_entries", value: int = 2**32 - 1) -> bytes:
    """A pool with a leaf and an inner node one field of whose headers is odd."""
    image = HostileImage()
    sound = image.node(range(10), packed(range(10)))
    leaf = image.node(range(10, 20), packed(range(10, 20)), **{field: value})
    inner = image.inner([0, 10], [sound, leaf], **{field: value})
    root = image.inner([0, 10], [sound, leaf])
    return image.finished({1: sound, 2: leaf, 3: inner, 4: root}, 20)


# Numbers as large as they can be


def extremes() -> bytes:
    """The highest keys, blocks, times and ids, and a superblock full of them."""
    image = HostileImage()
    top = 2**40 - 1
    blocks = packed([top, top - 1, top, top - 2, top]) | np.array(
        [2**24 - 1, 2**24 - 1, 0, 1, 1], np.uint64
    )
    root = image.node([0, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1], blocks)
    ids = [0, 2**24 - 1, 2**24, 2**32, 2**63, 2**64 - 1]
    details = image.tree(ids, [(2**64 - 1, 2**64 - 1, 2**32 - 1, 2**32 - 1)] * 6, DEVICE_DETAILS)
    return image.finished(
        dict.fromkeys(ids, root),
        details_root=details,
        data_space_map_root=space_map_root(2**64 - 1, nr_allocated=2**64 - 1),
        data_block_size=2**32 - 1,
        time=2**32 - 1,
        trans_id=2**64 - 1,
    )


def odd_details(
    mapped_blocks: int = 2**64 - 1, time: int = 2**32 - 1, transaction: int = 2**64 - 1
) -> bytes:
    """Details that count and date what cannot be, of devices that are partly others."""
    image = HostileImage()
    root = image.tree(range(600), packed(range(600)))
    details = image.tree(
        [1, 2, 4],
        [(mapped_blocks, transaction, time, time), (600, 0, 0, time), (0, 0, time, 0)],
        DEVICE_DETAILS,
    )
    return image.finished({1: root, 2: root, 3: root}, details_root=details)


def odd_superblock(**fields: Any) -> bytes:
    """Two devices of 1000 mappings below a superblock that says what `fields` do."""
    image = HostileImage()
    root = image.tree(range(1000), packed(range(1000)))
    return image.finished({1: root, 2: root}, 1000, **fields)


def odd_space_maps(
    nr_data: int = 2000, nr_metadata: int | None = None, where: str = "same", nr_free: int = 0
) -> bytes:
    """Space maps whose indices lead to one bitmap, to nodes, past the end or nowhere.

    Args:
        nr_data: blocks that the data space map says that it counts.
        nr_metadata: likewise; None is as many as there are.
        where: `same`, `node`, `past` or `nowhere`.
        nr_free: blocks that each bitmap says are free.
    """
    image = HostileImage()
    root = image.tree(range(1000), packed(range(1000)))
    bitmap = np.zeros(1, BITMAP_HEADER)
    bitmap["blocknr"] = len(image.blocks)
    body = bitmap.tobytes().ljust(BLOCK, b"\x66")
    counts = image.add(lambda _: stamped(body, BITMAP_CSUM_XOR))
    target = {"same": counts, "node": root, "past": 2**40, "nowhere": 0}[where]
    entries = np.zeros(255, INDEX_ENTRY)
    entries["blocknr"], entries["nr_free"] = target, nr_free
    nr_entries = min(255, -(-nr_data // 16320))
    data = image.tree(range(nr_entries), entries[:nr_entries], INDEX_ENTRY)
    overflow = image.tree([5, 6, 2**40, 2**64 - 1], [3, 2**32 - 1, 4, 0], REF_COUNT)
    index = np.zeros(1, METADATA_INDEX)
    index["blocknr"] = len(image.blocks)
    index["index"]["blocknr"], index["index"]["nr_free"] = target, nr_free
    whole = image.add(lambda _: stamped(index.tobytes().ljust(BLOCK, b"\0"), INDEX_CSUM_XOR))
    roots = {"nr_allocated": 17, "ref_count_root": overflow}
    nr_metadata = len(image.blocks) + 2 if nr_metadata is None else nr_metadata
    return image.finished(
        {1: root},
        1000,
        data_space_map_root=space_map_root(nr_data, bitmap_root=data, **roots),
        metadata_space_map_root=space_map_root(nr_metadata, bitmap_root=whole, **roots),
    )


def held(what: str = "another") -> bytes:
    """A superblock that holds a metadata snapshot: another one, a node, nothing, or a chain."""
    image = HostileImage()
    root = image.tree(range(1000), packed(range(1000)))
    top = image.tree([1], [root])
    details = image.tree([1], [(1000, 0, 0, 0)], DEVICE_DETAILS)

    def snapshot(**fields: Any) -> int:
        return image.add(
            lambda number: image.superblock(
                blocknr=number,
                data_space_map_root=space_map_root(0),
                metadata_space_map_root=space_map_root(0),
                **{"data_mapping_root": top, "device_details_root": details} | fields,
            )
        )

    match what:
        case "another":
            place = snapshot()
        case "itself":
            place = snapshot(held_root=len(image.blocks))
        case "other roots":
            place = snapshot(data_mapping_root=details, device_details_root=top)
        case "itself as root":
            place = snapshot(data_mapping_root=len(image.blocks))
        case "node":
            place = root
        case _:
            place = 2**64 - 1
    return image.finished({1: root}, 1000, held_root=place)


HELD = ["another", "itself", "other roots", "itself as root", "node", "past the end"]


def mapped_twice(time: int = 2**24 - 1) -> bytes:
    """A device with a data block at two places, blocks past the data device, late times."""
    image = HostileImage()
    one = image.node(range(4), packed([7, 7, 8, 2**40 - 1], time))
    two = image.node([0, 1], packed([7, 9]))
    return image.finished({1: one, 2: two}, 4, data_space_map_root=space_map_root(100))


# Any of them


ODD = [0, 1, 2, 127, 128, 129, 4096, 2**21, 2**24, 2**31, 2**32 - 1]
ODD_64 = [*ODD, 2**32, 2**40, 2**63, 2**64 - 1]


def _odd_superblock(rng: Rng) -> bytes:
    fields: dict[str, Any] = {}
    for _ in range(int(rng.integers(1, 4))):
        match int(rng.integers(6)):
            case 0 | 1:
                name = ("data_block_size", "metadata_block_size", "time", "version")[
                    rng.integers(4)
                ]
                fields[name] = ODD[rng.integers(len(ODD))]
            case 2:
                name = ("trans_id", "held_root", "metadata_nr_blocks", "data_mapping_root",
                        "device_details_root")[rng.integers(5)]  # fmt: skip
                fields[name] = ODD_64[rng.integers(len(ODD_64))]
            case 3:
                name = ("flags", "compat_flags", "compat_ro_flags", "incompat_flags")[
                    rng.integers(4)
                ]
                fields[name] = ODD[rng.integers(len(ODD))]
            case _:
                name = ("data_space_map_root", "metadata_space_map_root")[rng.integers(2)]
                numbers = [ODD_64[rng.integers(len(ODD_64))] for _ in range(4)]
                fields[name] = dict(
                    zip(("nr_blocks", "nr_allocated", "bitmap_root", "ref_count_root"), numbers,
                        strict=True)
                )  # fmt: skip
    return odd_superblock(**fields)


KINDS: dict[str, Callable[[Rng], bytes]] = {
    "one_tree_for_all": lambda rng: one_tree_for_all(
        pick(rng, [2, 50, 2000]), pick(rng, [1, 5, 252, 516])
    ),
    "ranges": lambda rng: ranges(pick(rng, [2, 40, 500]), pick(rng, [1, 40, 252])),
    "chain": lambda rng: chain(pick(rng, [1, 60, 1000, 4000]), pick(rng, [1, 50, 4000])),
    "same_child": lambda rng: same_child(
        pick(rng, [1, 2, 3, 8]), pick(rng, [2, 126, 252]), pick(rng, [1, 3])
    ),
    "same_empty_leaf": lambda rng: same_empty_leaf(pick(rng, [1, 200, 2000]), pick(rng, [1, 252])),
    "many_devices": lambda rng: many_devices(pick(rng, [1000, 30_000])),
    "devices_without_end": lambda rng: devices_without_end(
        pick(rng, [1, 2, 4, 6]), in_details=bool(rng.integers(2))
    ),
    "cycle": lambda rng: cycle(
        pick(rng, [1, 2, 50]), pick(rng, ["mappings", "mapping_root", "details_root"])
    ),
    "disordered": lambda rng: disordered(pick(rng, DISORDERS), pick(rng, [1, 2, 5, 252])),
    "uneven": lambda rng: uneven(pick(rng, [1, 3, 40])),
    "odd_header": lambda rng: odd_header(
        pick(rng, ["flags", "blocknr", "nr_entries", "max_entries", "value_size"]), pick(rng, ODD)
    ),
    "extremes": lambda _: extremes(),
    "odd_details": lambda rng: odd_details(pick(rng, ODD_64), pick(rng, ODD), pick(rng, ODD_64)),
    "odd_superblock": _odd_superblock,
    "odd_space_maps": lambda rng: odd_space_maps(
        pick(rng, [0, 1, 2000, 16320 * 255, 2**40, 2**64 - 1]),
        pick(rng, [None, 0, 1, 4_161_600, 4_161_601, 2**64 - 1]),
        pick(rng, ["same", "node", "past", "nowhere"]),
        pick(rng, [0, 16320, 2**32 - 1]),
    ),
    "held": lambda rng: held(pick(rng, HELD)),
    "mapped_twice": lambda rng: mapped_twice(pick(rng, [0, 1, 2**24 - 1])),
}
"""Each kind, with parameters by chance; no image is larger than 16 MiB."""


def any_pool(rng: Rng) -> tuple[str, bytes]:
    """Return a kind of hostile pool and an image of it."""
    kind = pick(rng, list(KINDS))
    return kind, KINDS[kind](rng)


def main() -> None:
    """Write the image that the command line names: kind, then its numbers or words."""
    kind, *words = sys.argv[1:]
    arguments = [int(word) if word.isdigit() else word for word in words]
    sys.stdout.buffer.write(globals()[kind](*arguments))


if __name__ == "__main__":
    main()
