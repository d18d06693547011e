"""What stands where in a sound image, and so what a dump prints when a block of it is bad.

`Anatomy` is a walker of its own: a few lines of recursion that trust what they read,
and share nothing with thinmeta but the schemas. `SoundDump` is the recorded output of
thin_dump for the sound image, cut where a bad block must end it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np

from tests.damage import LAST_KEY, SUPERBLOCK, BlockKind, DamagedImage
from tests.golden import parsed_xml, thin_dump
from thinmeta.schemas import block_time
from thinmeta.schemas.btree_node import INTERNAL_NODE
from thinmeta.schemas.columns import (
    BLOCK_TIME,
    CHILD,
    DEVICE_DETAILS,
    INDEX_ENTRY,
    KEY,
    METADATA_INDEX,
    NODE_HEADER,
)


@dataclass(frozen=True)
class Place:
    """A node where a tree has it: a shared node has several places.

    Attributes:
        device_id: whose mapping tree it is in; None in the two trees of devices.
        low: the lowest key that it may hold.
        last: the highest.
    """

    block: int
    device_id: int | None
    low: int
    last: int
    is_leaf: bool
    is_root: bool


class Anatomy:
    """What stands where in a sound image.

    Attributes:
        superblock: the block of the superblock that was followed.
        held_root: what the superblock says of a metadata snapshot; 0 if there is none.
        nr_data_blocks: the data space map's.
        device_roots: root of the mapping tree by device id.
        details: places of the details tree's nodes; like every tree from the root down,
            nodes before their children, in key order.
        occurrences: in how many places of all mapping trees each node is.
        devices: places of the nodes of the tree from device ids to mapping trees.
    """

    def __init__(self, image: DamagedImage, superblock: int = 0) -> None:
        self.superblock = superblock
        self._rows = image.sound
        fields = self._fields(superblock, SUPERBLOCK)
        live = self._fields(0, SUPERBLOCK)
        self.held_root = int(fields["held_root"])
        self.nr_data_blocks = int(live["data_space_map_root"]["nr_blocks"])
        self._space_maps = live["data_space_map_root"], live["metadata_space_map_root"]
        self.details = list(self._tree(int(fields["device_details_root"]), None))
        self.devices = list(self._tree(int(fields["data_mapping_root"]), None))
        self.device_roots = dict(
            pair for place in self.devices if place.is_leaf for pair in self.entries(place.block)
        )
        self._mapping_trees = {
            device_id: list(self._tree(root, device_id))
            for device_id, root in self.device_roots.items()
        }
        self.occurrences = Counter(place.block for place in self.mapping_places())

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, case: str, image: str = "meta", *, snapshot: bool = False) -> Self:
        """Return the anatomy of an image of `fixtures/`, or of the metadata snapshot in it."""
        anatomy = cls(DamagedImage.of(case, image))
        return cls(DamagedImage.of(case, image), anatomy.held_root) if snapshot else anatomy

    @property
    def device_ids(self) -> list[int]:
        return sorted(self.device_roots)

    def mapping_tree(self, device_id: int) -> list[Place]:
        return self._mapping_trees[device_id]

    def leaves(self, device_id: int) -> list[Place]:
        return [place for place in self.mapping_tree(device_id) if place.is_leaf]

    def mapping_places(self) -> list[Place]:
        """Return all places of all mapping trees, device by device."""
        return [place for device_id in self.device_ids for place in self.mapping_tree(device_id)]

    def nodes(self) -> list[int]:
        """Return every node that a dump reads."""
        return sorted(
            {place.block for place in self.details + self.devices + self.mapping_places()}
        )

    def mapped_blocks(self, device_id: int) -> int:
        """Return how many mappings the details say that a device has."""
        leaves = [place.block for place in self.details if place.is_leaf]
        rows = [
            (key, value) for leaf in leaves for key, value in self.entries(leaf, DEVICE_DETAILS)
        ]
        return int(dict(rows)[device_id][0])

    def entries(self, block: int, values: np.dtype[Any] = CHILD) -> list[tuple[int, Any]]:
        """Return keys and values of a node."""
        header = self._fields(block, NODE_HEADER)
        count, middle = int(header["nr_entries"]), 32 + 8 * int(header["max_entries"])
        row = self._rows[block]
        keys = row[32 : 32 + 8 * count].view(KEY).tolist()
        data = row[middle : middle + values.itemsize * count].view(values).tolist()
        return list(zip(keys, data, strict=True))

    def mappings(self, leaf: int) -> list[tuple[int, int, int]]:
        """Return origin block, data block and time of each mapping in a leaf."""
        return [
            (key, block_time.data_block(value), block_time.time(value))
            for key, value in self.entries(leaf, BLOCK_TIME)
        ]

    def space_map_blocks(self) -> dict[BlockKind, list[int]]:
        """Return the blocks of both space maps, which a dump never reads, by kind."""
        data, metadata = self._space_maps
        roots = data["bitmap_root"], data["ref_count_root"], metadata["ref_count_root"]
        trees = [list(self._tree(int(root), None)) for root in roots]
        index = self._fields(int(metadata["bitmap_root"]), METADATA_INDEX)["index"]["blocknr"]
        bitmaps = [
            entry[0]
            for place in trees[0]
            if place.is_leaf
            for _, entry in self.entries(place.block, INDEX_ENTRY)
        ]
        return {
            BlockKind.NODE: [place.block for tree in trees for place in tree],
            BlockKind.INDEX: [int(metadata["bitmap_root"])],
            BlockKind.BITMAP: bitmaps + index[index != 0].tolist(),
        }

    def _fields(self, block: int, dtype: np.dtype[Any]) -> Any:
        return self._rows[block][: dtype.itemsize].view(dtype)[0]

    def _tree(
        self,
        block: int,
        device_id: int | None,
        low: int = 0,
        last: int = LAST_KEY,
        *,
        is_root: bool = True,
    ) -> Iterator[Place]:
        is_leaf = self._fields(block, NODE_HEADER)["flags"] != INTERNAL_NODE
        yield Place(block, device_id, low, last, bool(is_leaf), is_root)
        if is_leaf:
            return
        children = self.entries(block)
        ends = [key - 1 for key, _ in children[1:]] + [last]
        for (key, child), end in zip(children, ends, strict=True):
            yield from self._tree(child, device_id, key, end, is_root=False)


FORMATS: dict[str, tuple[str, ...]] = {
    "xml-1.1": (),
    "xml-0.9": ("--compat", "0.9"),
    "human-1.1": ("-f", "human_readable"),
    "human-0.9": ("-f", "human_readable", "--compat", "0.9"),
    "json": ("-f", "json"),
}
"""The options of `thinmeta dump` for each format."""

SHARING = ("xml-1.1", "human-1.1")
"""The formats that print once, before all devices, what devices share."""


@lru_cache(maxsize=16)
def sound_output(case: str, image: str, form: str, *, snapshot: bool = False) -> bytes:
    """Return what a dump of an image of `fixtures/` prints: recorded from thin_dump.

    No reference tool prints JSON, so that is thin_dump 0.9's XML put into other words.

    Args:
        case: the case in `fixtures/`.
        image: the image of that case.
        form: a key of `FORMATS`.
        snapshot: as with `-m`.
    """
    if form == "json":
        anatomy = Anatomy.of(case, image, snapshot=snapshot)
        xml = sound_output(case, image, "xml-0.9", snapshot=snapshot)
        return b"".join(json.dumps(each).encode() + b"\n" for each in _objects(xml, anatomy))
    text, version = form.split("-")
    name = "thin_dump" + "-human" * (text == "human") + "-m" * snapshot
    return thin_dump(case, image, name, f"{version}.0")


def _objects(xml: bytes, anatomy: Anatomy) -> Iterator[dict[str, Any]]:
    pool = parsed_xml(xml)
    yield {
        "type": "superblock",
        "time": pool.superblock["time"],
        "transaction_id": pool.superblock["transaction"],
        "needs_check": pool.superblock["flags"] == 1,
        "version": pool.superblock["version"],
        "held_root": anatomy.held_root or None,
        "data_block_sectors": pool.superblock["data_block_size"],
        "nr_data_blocks": anatomy.nr_data_blocks,
    }
    for device in pool.devices:
        fields = {name: value for name, value in vars(device).items() if name != "runs"}
        yield {"type": "device"} | fields
        for run in device.runs:
            yield {"type": "run", "device_id": device.device_id} | run._asdict()
    yield {"type": "end"}


class Line(NamedTuple):
    """A line of a dump.

    Attributes:
        kind: `device`, `more` of a device, `def`, `ref`, `run`, or nothing of these.
        number: a device's id, a def's or ref's name, the first block of a run.
        end: the block after a run.
        text: the line.
    """

    kind: str
    number: int
    end: int
    text: bytes


_KINDS = {
    kind: re.compile(b"|".join(patterns))
    for kind, patterns in {
        "device": (
            rb'  <device dev_id="(\d+)"',
            rb"device: (\d+)$",
            rb'{"type": "device", "device_id": (\d+)',
        ),
        "def": (rb'  <def name="(\d+)"', rb"def: (\d+)$"),
        "ref": (rb'    <ref name="(\d+)"', rb"    ref: (\d+)$"),
        "run": (
            rb'    <\w+_mapping origin_b\w+="(\d+)"',
            rb"    \(?(\d+)(?:\.\.| ->)",
            rb'{"type": "run".*"origin_begin": (\d+)',
        ),
        "more": (rb"[a-z_ ]+: (\d+)$",),
    }.items()
}
_LENGTH = re.compile(rb'length"?[=:] ?"?(\d+)')
_LAST = re.compile(rb"    \(\d+\.\.(\d+)\)")


def _line(text: bytes) -> Line:
    for kind, pattern in _KINDS.items():
        if found := pattern.match(text):
            number = int(next(filter(None, found.groups())))
            if last := _LAST.match(text):
                return Line(kind, number, int(last[1]) + 1, text)
            length = _LENGTH.search(text)
            return Line(kind, number, number + (int(length[1]) if length else 1), text)
    return Line("", 0, 0, text)


class SoundDump:
    """The dump of a sound image, and what of it must be left when blocks are bad.

    Attributes:
        whole: all of it.
    """

    def __init__(self, whole: bytes, anatomy: Anatomy, *, sharing: bool) -> None:
        """Take the dump and tell whether it lists what is shared first."""
        self.whole = whole
        self._anatomy = anatomy
        self._sharing = sharing
        self._lines = [_line(text) for text in whole.splitlines(keepends=True)]
        self._defs = {line.number for line in self._lines if line.kind == "def"}

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, case: str, image: str, form: str, *, snapshot: bool = False) -> Self:
        """Return the dump of an image of `fixtures/` in a format of `FORMATS`."""
        anatomy = Anatomy.of(case, image, snapshot=snapshot)
        whole = sound_output(case, image, form, snapshot=snapshot)
        return cls(whole, anatomy, sharing=form in SHARING)

    def before(self, bad: set[int]) -> bytes:
        """Return the lines that must be printed when the nodes `bad` cannot be read.

        These are the lines before the first bad node in the order of the output,
        except a run that might have gone on in it. What is shared can only be told
        where all nodes above the leaves are sound, and known to be above the leaves.
        """
        if 0 in bad or self._anatomy.superblock in bad:
            return b""
        places = self._anatomy.mapping_places()
        cuts = [
            self._before_device(place.low)
            for place in self._anatomy.details + self._anatomy.devices
            if place.block in bad
        ]
        if self._sharing and (cuts or self._hides_sharing(bad)):
            return self._lines[0].text
        cuts += [self._before_place(place) for place in places if place.block in bad]
        return min(cuts, key=len, default=self.whole)

    def without_device(self, device_id: int) -> bytes:
        """Return all lines but those of a device, and but the last, for it is incomplete.

        For formats and images without sharing.
        """
        begin, end = self._section(device_id)
        return b"".join(line.text for line in self._lines[:begin] + self._lines[end:-1])

    def without_runs(self, device_id: int) -> bytes:
        """Return all lines but the runs of a device, and but the last, for it is incomplete.

        For formats and images without sharing.
        """
        begin, end = self._section(device_id)
        kept = [line for line in self._lines[begin:end] if line.kind != "run"]
        return b"".join(line.text for line in self._lines[:begin] + kept + self._lines[end:-1])

    def _section(self, device_id: int) -> tuple[int, int]:
        begin = end = self._find("device", device_id)
        while self._lines[end].kind in ("device", "more", "run", "ref"):
            end += 1
            if end < len(self._lines) and self._lines[end].kind == "device":
                break
        closing = self._lines[end].text in (b"  </device>\n", b"\n")
        return begin, end + closing

    def _find(self, kind: str, number: int) -> int:
        return next(at for at, line in enumerate(self._lines) if line[:2] == (kind, number))

    def _hides_sharing(self, bad: set[int]) -> bool:
        above = any(
            place.block in bad and not place.is_leaf for place in self._anatomy.mapping_places()
        )
        return above or any(
            all(leaf.block in bad for leaf in self._anatomy.leaves(device_id))
            for device_id in self._anatomy.device_ids
        )

    def _before_device(self, low: int) -> bytes:
        """Return the lines before the first device whose id is `low` or higher."""
        kept = [self._lines[0].text]
        for line in self._lines[1:]:
            if line.kind == "device" and line.number >= low:
                break
            kept.append(line.text)
        return b"".join(kept) if low else kept[0]

    def _before_place(self, place: Place) -> bytes:
        leaves = [leaf.block for leaf in self._anatomy.leaves(place.device_id or 0)]
        before = leaves[: leaves.index(place.block)] if place.is_leaf else []
        begin = self._find("device", place.device_id or 0)
        if self._sharing and self._anatomy.occurrences[place.block] > 1:
            head = next(block for block in [place.block, *before[::-1]] if block in self._defs)
            begin = self._find("def", head)
        end = begin + 1
        for at, line in enumerate(self._lines[end:], end):
            if line.kind not in ("more", "ref", "run"):
                break
            is_before = line.number in before if line.kind == "ref" else line.end < place.low
            if line.kind == "more" or is_before:
                end = at + 1
        return b"".join(line.text for line in self._lines[:end])
