"""Mappings of many trees as one stream of runs, with marks in between.

A dump is a sequence of leaves in which something begins or ends here and there: a
device, a shared run. Reading it as one stream keeps the cost with the leaves,
however many devices they belong to, and the memory with one piece.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from thinmeta.errors import Damage, OnDamage
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import damage_of, read_leaves
from thinmeta.walk.node_list import NODES_AT_ONCE, NodeList
from thinmeta.walk.nodes import MAPPINGS, Codes, Entries, Metadata
from thinmeta.walk.ragged import Places, distinct_places
from thinmeta.walk.runs import Joiner, Runs
from thinmeta.walk.stream import Mark, StreamPart

_MARKS_AT_ONCE = 4096


class StreamStep(NamedTuple):
    """Leaves of one device that follow each other, and the marks that come before them.

    Attributes:
        marks: what comes before the leaves.
        leaves: of one device, in key order.
        device_id: that device.
        damage: known already, to be told after all this.
    """

    marks: tuple[Mark, ...] = ()
    leaves: NodeList | None = None
    device_id: DeviceId | None = None
    damage: Damage | None = None


def read_stream(
    source: Metadata, steps: Iterable[StreamStep], on_damage: OnDamage
) -> Iterator[StreamPart]:
    """Read the stream that `steps` describe.

    What precedes a damage is always returned before `on_damage` is told of it. A run
    that the lost leaf could have continued is not: it comes next, if `on_damage`
    lets the reading go on.

    Args:
        source: where to read.
        steps: in the order of the output.
        on_damage: told of each bad leaf, with its device; of one that a device has in
            several places once.
    """
    reader = _StreamReader(source, on_damage)
    for piece in _pieces(steps):
        yield from reader.read(piece)
    yield StreamPart(reader.joiner.close())


def read_runs(
    source: Metadata,
    root: MetadataBlock | None,
    device_id: DeviceId | None,
    on_damage: OnDamage,
) -> Iterator[Runs]:
    """Return the runs of a mapping tree, in bounded pieces.

    Args:
        source: where to read.
        root: of the tree; None if there is none, which maps nothing.
        device_id: whose it is, for `on_damage`; None if that is not known.
        on_damage: told of each bad node.
    """
    if root is None:
        return
    leaves = grow(source, np.array([root], dtype=np.uint64), MAPPINGS).leaves(0)
    step = StreamStep((), leaves, device_id)
    for part in read_stream(source, [step], on_damage):
        if len(part.runs):
            yield part.runs


class _Piece(NamedTuple):
    """As much of the stream as is in memory at once; `at` are the marks' leaves."""

    leaves: NodeList
    devices: list[DeviceId | None]
    ends: Places
    marks: list[Mark]
    at: Places
    damage: Damage | None

    def device_at(self, place: int) -> DeviceId | None:
        return self.devices[int(np.searchsorted(self.ends, place, side="right"))]


def _pieces(steps: Iterable[StreamStep]) -> Iterator[_Piece]:
    """Cut the stream into pieces.

    Two leaves of device 7, before which it begins, and behind which it ends:

    >>> from thinmeta.walk.stream import DeviceBegin, DeviceEnd
    >>> leaves = NodeList.roots(np.array([10, 11], dtype=np.uint64), np.zeros(2, np.uint8))
    >>> begin, end = DeviceBegin(7, 2, 0, 0, 0), DeviceEnd()
    >>> (piece,) = _pieces([StreamStep((begin,), leaves, 7), StreamStep((end,))])
    >>> piece.at.tolist(), piece.ends.tolist(), piece.device_at(1)
    ([0, 2], [2], 7)
    """
    parts: list[NodeList] = []
    devices: list[DeviceId | None] = []
    ends: list[int] = []
    marks: list[Mark] = []
    at: list[int] = []
    size = 0

    def piece(damage: Damage | None = None) -> _Piece:
        leaves = NodeList.joined(parts) if parts else NodeList.none()
        places = np.array(at, dtype=np.int64)
        made = _Piece(leaves, devices[:], np.array(ends), marks[:], places, damage)
        for filled in (parts, devices, ends, marks, at):
            filled.clear()
        return made

    for step in steps:
        marks += step.marks
        at += [size] * len(step.marks)
        rest = step.leaves
        while rest is not None and len(rest):
            part, rest = rest[: NODES_AT_ONCE - size], rest[NODES_AT_ONCE - size :]
            parts.append(part)
            devices.append(step.device_id)
            size += len(part)
            ends.append(size)
            if size == NODES_AT_ONCE:
                yield piece()
                size = 0
        if step.damage is not None or len(marks) >= _MARKS_AT_ONCE:
            yield piece(step.damage)
            size = 0
    if parts or marks:
        yield piece()


class _StreamReader:
    """The state that goes from one piece to the next."""

    def __init__(self, source: Metadata, on_damage: OnDamage) -> None:
        self.joiner = Joiner()
        self._source = source
        self._on_damage = on_damage
        self._mappings = 0
        self._told_of: DeviceId | None = None
        self._told: set[int] = set()

    def read(self, piece: _Piece) -> Iterator[StreamPart]:
        entries, codes = read_leaves(self._source, piece.leaves, MAPPINGS)
        begin = done = 0
        for bad in self._not_told(piece, codes):
            end = int(np.searchsorted(piece.at, bad, side="right"))
            yield from self._parts(piece, entries, range(begin, bad), range(done, end))
            yield StreamPart(self.joiner.close_before(int(piece.leaves.low[bad])))
            self._tell(piece, codes, bad)
            begin, done = bad, end
        yield from self._parts(piece, entries, range(begin, len(codes)), range(done, len(piece.at)))
        if piece.damage is not None:
            self._on_damage(piece.damage)

    def _parts(
        self, piece: _Piece, entries: Entries, leaves: range, marks: range
    ) -> Iterator[StreamPart]:
        first, last = int(entries.starts[leaves.start]), int(entries.starts[leaves.stop])
        breaks = entries.starts[piece.at[marks.start : marks.stop]] - first
        held, runs, before = self.joiner.feed(
            entries.keys[first:last], entries.values[first:last], breaks
        )
        yield StreamPart(held)
        mappings = (breaks + self._mappings).tolist()
        self._mappings += last - first
        yield StreamPart(
            runs, piece.marks[marks.start : marks.stop], before.tolist(), mappings, len(leaves)
        )

    def _not_told(self, piece: _Piece, codes: Codes) -> list[int]:
        """Return the bad leaves, each block once for a device."""
        bad = np.flatnonzero(codes)
        if not len(bad):
            return []
        owners = np.searchsorted(piece.ends, bad, side="right")
        _, where = distinct_places(piece.leaves.blocks[bad])
        _, first = np.unique(where * len(piece.devices) + owners, return_index=True)
        new = []
        for place in np.sort(first).tolist():
            at = int(bad[place])
            device_id, block = piece.devices[int(owners[place])], int(piece.leaves.blocks[at])
            if device_id != self._told_of:
                self._told_of = device_id
                self._told.clear()
            if block not in self._told:
                self._told.add(block)
                new.append(at)
        return new

    def _tell(self, piece: _Piece, codes: Codes, place: int) -> None:
        damage = damage_of(piece.leaves, codes, place, MAPPINGS)
        self._on_damage(damage._replace(device_id=piece.device_at(place)))
