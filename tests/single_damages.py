"""A corpus of single damages: one field of one structure changed, its checksum right again.

Each has a name that says what it does, such as `mapping leaf: key first += 1`. Which
block holds what is told by `tests.anatomy`. To write them all to files:

    python -m tests.single_damages a08-snapshots-of-snapshots meta /tmp/damaged
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.anatomy import Anatomy, Place
from tests.damage import SUPERBLOCK, BlockKind, DamagedImage
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import INTERNAL_NODE
from thinmeta.schemas.columns import (
    BITMAP_HEADER,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    METADATA_INDEX,
    NODE_HEADER,
    REF_COUNT,
)
from thinmeta.schemas.decode import unpack_counts
from thinmeta.schemas.space_map import ENTRIES_PER_BLOCK, MAX_METADATA_BITMAPS


@dataclass(frozen=True)
class Change:
    """How a number is changed."""

    how: str
    to: Callable[[int], int]


@dataclass(frozen=True)
class SingleDamage:
    """One number of one block, and what becomes of it."""

    name: str
    block: int
    offset: int
    size: int
    change: Change
    restamp: bool = True

    def apply(self, image: DamagedImage) -> None:
        """Change the number; unless it is the checksum itself, that is right afterwards."""
        part = image.block(self.block)[self.offset : self.offset + self.size]
        new = self.change.to(int.from_bytes(part.tobytes(), "little")) % (1 << 8 * self.size)
        image.overwrite(self.block, self.offset, new.to_bytes(self.size, "little"))
        if self.restamp:
            image.restamp(self.block)

    def __str__(self) -> str:
        return f"{self.name} {self.change.how}"


def plus(*steps: int) -> list[Change]:
    return [
        Change(f"{'+' if step > 0 else '-'}= {abs(step)}", lambda old, step=step: old + step)  # type: ignore[misc]
        for step in steps
    ]


def flip(bits: int) -> Change:
    return Change(f"^= {bits}", lambda old: old ^ bits)


def to(number: int, how: str = "") -> Change:
    return Change(f"= {how or number}", lambda _: number)


HIGHEST = to(2**64 - 1, "highest")


def single_damages(image: DamagedImage) -> Iterator[SingleDamage]:
    """Return what can be done to `image`, one number at a time."""
    anatomy = Anatomy(image)
    past = to(image.nr_blocks, "past the end")
    yield from _superblock("superblock", 0, past)
    if anatomy.held_root:
        yield from _superblock("held superblock", anatomy.held_root, past)
    done: set[int] = set()
    for name, block, values in _chosen_nodes(anatomy):
        if block not in done:
            done.add(block)
            node = _Node(image, name, block)
            yield from node.headers()
            yield from node.keys()
            yield from node.values(values, past, anatomy.nr_data_blocks)
    yield from _metadata_index(anatomy, past)
    for name, block, nr_blocks in _bitmaps(anatomy):
        yield from _bitmap(image, name, block, nr_blocks)


def _fields(
    name: str, block: int, layout: np.dtype[Any], changes: dict[str, list[Change]], begin: int = 0
) -> Iterator[SingleDamage]:
    """Change fields, named such as `data_space_map_root.nr_blocks`."""
    for path, some in changes.items():
        offset, kind = begin, layout
        for part in path.split("."):
            kind, more = kind.fields[part][:2]  # type: ignore[index]
            offset += more
        for change in some:
            size = min(8, kind.itemsize)
            yield SingleDamage(f"{name}: {path}", block, offset, size, change, path != "csum")


def _superblock(name: str, block: int, past: Change) -> Iterator[SingleDamage]:
    changes = {
        "csum": [flip(1)],
        "flags": [flip(1), flip(2)],
        "blocknr": plus(1),
        "uuid": plus(1),
        "magic": plus(1),
        "version": [to(0), to(1), to(3)],
        "time": plus(1, -1),
        "trans_id": plus(1),
        "held_root": [to(1), past],
        "data_mapping_root": [*plus(1), to(0), past],
        "device_details_root": [*plus(1), to(0), past],
        "data_block_size": [*plus(1), to(0)],
        "metadata_block_size": plus(1),
        "metadata_nr_blocks": plus(1),
        "compat_flags": [to(1)],
        "compat_ro_flags": [to(1)],
        "incompat_flags": [to(1)],
    }
    for root in ("data_space_map_root", "metadata_space_map_root"):
        changes[f"{root}.nr_blocks"] = [*plus(1, -1), to(0), to(1 << 60, "huge")]
        if not block:  # a held superblock has no space maps, and nobody reads these
            changes[f"{root}.nr_allocated"] = plus(1, -1)
            changes[f"{root}.bitmap_root"] = [*plus(1), to(0), past]
            changes[f"{root}.ref_count_root"] = [*plus(1), to(0), past]
    yield from _fields(name, block, SUPERBLOCK, changes)


def _chosen_nodes(anatomy: Anatomy) -> Iterator[tuple[str, int, np.dtype[Any]]]:
    """Return some nodes of each tree, and what their leaves hold: the root, a leaf, ..."""
    for name, places, values in (
        ("details", anatomy.details, DEVICE_DETAILS),
        ("top level", anatomy.devices, CHILD),
    ):
        for place in (places[0], places[-1]):
            yield f"{name} {_level(place)}", place.block, values
    for name, is_shared in (("shared", True), ("mapping", False)):
        places = [
            place
            for place in anatomy.mapping_places()
            if (anatomy.occurrences[place.block] > 1) == is_shared
        ]
        leaves = [place for place in places if place.is_leaf and not place.is_root]
        for what, chosen in (
            ("internal node", [place for place in places if not place.is_leaf][:1]),
            ("leaf", leaves[len(leaves) // 2 :][:1]),
            ("root leaf", [place for place in places if place.is_leaf and place.is_root][:1]),
        ):
            for place in chosen:
                yield f"{name} {what}", place.block, CHILD
    data, metadata = anatomy._space_maps
    for name, root, values in (
        ("data index", data["bitmap_root"], INDEX_ENTRY),
        ("data ref counts", data["ref_count_root"], REF_COUNT),
        ("metadata ref counts", metadata["ref_count_root"], REF_COUNT),
    ):
        places = list(anatomy._tree(int(root), None))
        for place in (places[0], places[-1]):
            yield f"{name} {_level(place)}", place.block, values


def _level(place: Place) -> str:
    return "leaf" if place.is_leaf else "internal node"


class _Node:
    def __init__(self, image: DamagedImage, name: str, block: int) -> None:
        row = image.sound[block]
        header = row[: NODE_HEADER.itemsize].view(NODE_HEADER)[0]
        self._name, self._block = name, block
        self._keys = row[NODE_HEADER.itemsize :].view("<u8")
        self._nr_entries = int(header["nr_entries"])
        self._is_internal = header["flags"] == INTERNAL_NODE
        self._values_begin = NODE_HEADER.itemsize + 8 * int(header["max_entries"])

    def headers(self) -> Iterator[SingleDamage]:
        changes = {
            "csum": [flip(1)],
            "flags": [flip(3), to(0), to(3)],
            "blocknr": plus(1),
            "nr_entries": [*plus(1, -1), to(0), to(5000)],
            "max_entries": [*plus(1, 3), to(3), to(5001)],
            "value_size": plus(1),
        }
        yield from _fields(self._name, self._block, NODE_HEADER, changes)

    def keys(self) -> Iterator[SingleDamage]:
        for place, where in self._places(middle=True):
            at = NODE_HEADER.itemsize + 8 * place
            changes = [*plus(1, -1), HIGHEST]
            if place:
                changes.append(to(int(self._keys[place - 1]), "the one before"))
            for change in changes:
                yield SingleDamage(f"{self._name}: key {where}", self._block, at, 8, change)

    def values(
        self, values: np.dtype[Any], past: Change, nr_data_blocks: int
    ) -> Iterator[SingleDamage]:
        values = CHILD if self._is_internal else values
        for place, where in self._places(middle=False):
            at = self._values_begin + values.itemsize * place
            name = f"{self._name}: value {where}"
            if values.names:
                fields = {
                    field: [*plus(1, -1), *([to(0), past] if field == "blocknr" else [])]
                    for field in values.names
                }
                yield from _fields(name, self._block, values, fields, at)
                continue
            changes = [*plus(1, -1), to(0), past if values == CHILD else to(2)]
            if values == CHILD and not self._is_internal and "top level" not in self._name:
                changes = _block_times(nr_data_blocks)
            for change in changes:
                yield SingleDamage(name, self._block, at, values.itemsize, change)

    def _places(self, *, middle: bool) -> list[tuple[int, str]]:
        count = self._nr_entries
        places = {0: "first", count // 2: "middle", count - 1: "last"}
        chosen = [0, count // 2, count - 1] if middle else [0, count - 1]
        if count < 3:
            places, chosen = {0: "first", 1: "last"}, list(range(count))
        return [(place, places[place]) for place in chosen]


def _block_times(nr_data_blocks: int) -> list[Change]:
    step = int(block_time.NEXT_BLOCK)
    past = to(nr_data_blocks * step, "a data block past the end")
    return [
        Change("time += 1", lambda old: old + 1),
        Change("data block += 1", lambda old: old + step),
        Change("data block -= 1", lambda old: old - step),
        past,
    ]


def _metadata_index(anatomy: Anatomy, past: Change) -> Iterator[SingleDamage]:
    block = anatomy.space_map_blocks()[BlockKind.INDEX][0]
    yield from _fields(
        "metadata index", block, METADATA_INDEX, {"csum": [flip(1)], "blocknr": plus(1)}
    )
    begin = METADATA_INDEX.fields["index"][1]  # type: ignore[index]
    for place, name in ((0, "first"), (MAX_METADATA_BITMAPS - 1, "unused")):
        changes = {
            "blocknr": [*plus(1, -1), past],
            "nr_free": plus(1, -1),
            "none_free_before": plus(1, -1),
        }
        at = begin + INDEX_ENTRY.itemsize * place
        yield from _fields(f"metadata index: {name} entry", block, INDEX_ENTRY, changes, at)


def _bitmaps(anatomy: Anatomy) -> Iterator[tuple[str, int, int]]:
    """Return name, block and number of counts of the first bitmap of each space map."""
    data, metadata = anatomy._space_maps
    leaf = next(place for place in anatomy._tree(int(data["bitmap_root"]), None) if place.is_leaf)
    _, entry = anatomy.entries(leaf.block, INDEX_ENTRY)[0]
    yield "data bitmap", entry[0], int(data["nr_blocks"])
    index = anatomy._fields(int(metadata["bitmap_root"]), METADATA_INDEX)["index"]
    yield "metadata bitmap", int(index["blocknr"][0]), int(metadata["nr_blocks"])


def _bitmap(image: DamagedImage, name: str, block: int, nr_blocks: int) -> Iterator[SingleDamage]:
    """Change the header, each count to each other one, and a count past the end."""
    changes = {"csum": [flip(1)], "not_used": plus(1), "blocknr": plus(1)}
    yield from _fields(name, block, BITMAP_HEADER, changes)
    counts = unpack_counts(image.sound[block : block + 1, BITMAP_HEADER.itemsize :])[0]
    for old in range(4):
        places = np.flatnonzero(counts[: min(nr_blocks, ENTRIES_PER_BLOCK)] == old)
        for new in range(4):
            if len(places) and new != old:
                place = int(places[len(places) // 2])
                yield _count(f"{name}: count {old}", block, place, new)
    if nr_blocks < ENTRIES_PER_BLOCK:
        yield _count(f"{name}: count past the end", block, nr_blocks, 1)


def _count(name: str, block: int, place: int, new: int) -> SingleDamage:
    shift = 2 * (place % 4)
    bits = (new >> 1 | (new & 1) << 1) << shift  # the high bit comes first
    change = Change(f"= {new}", lambda old: old & ~(3 << shift) | bits)
    return SingleDamage(name, block, BITMAP_HEADER.itemsize + place // 4, 1, change)


def main() -> None:
    case, name, directory = sys.argv[1:]
    image = DamagedImage.of(case, name)
    Path(directory).mkdir(parents=True, exist_ok=True)
    for damage in single_damages(image):
        damage.apply(image)
        image.write_to(Path(directory) / f"{damage}.bin".replace("/", "-"))
        image.revert()


if __name__ == "__main__":
    main()
