"""The pool as a dump lists it: devices in order, their runs, and runs that they share."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from thinmeta.errors import Damage, DamageKind, NotThereError, OnDamage
from thinmeta.model.device_columns import Devices
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.units import DeviceId
from thinmeta.walk.bad_leaves import BadLeaves
from thinmeta.walk.forest import Forest
from thinmeta.walk.growing import grow
from thinmeta.walk.leaves import leaf_pieces
from thinmeta.walk.node_list import NodeList
from thinmeta.walk.nodes import MAPPINGS, Codes, Mask
from thinmeta.walk.ragged import Places, places_among
from thinmeta.walk.shared_runs import find_shared_runs
from thinmeta.walk.stream import (
    DeviceBegin,
    DeviceEnd,
    SharedBegin,
    SharedEnd,
    SharedRef,
    StreamPart,
)
from thinmeta.walk.stream_reader import StreamStep, read_stream

if TYPE_CHECKING:
    from thinmeta.model.losses import Losses
    from thinmeta.walk.left_out import KeyRanges

_Sections = Callable[[int], Iterator[tuple[bool, NodeList]]]
"""Given a tree, its leaves in sections, each of them shared or not."""


class Listing:
    """What a dump of some or all devices of a pool has to print, part by part."""

    def __init__(  # noqa: PLR0913  # all that a dump can be asked for
        self,
        pool: Pool,
        *,
        selected: frozenset[int] | None = None,
        ignore_unknown: bool = False,
        sharing: bool = False,
        mappings: bool = True,
        on_damage: OnDamage | None = None,
        losses: "Losses | None" = None,
        apart: "Mapping[int, KeyRanges] | None" = None,
    ) -> None:
        """Choose what to list.

        Args:
            pool: where from.
            selected: ids of the devices to list; None lists all.
            ignore_unknown: list those of them that are there.
            sharing: list what several of them share once, before the devices.
            mappings: list what the devices map, too.
            on_damage: instead of the pool's own policy.
            losses: what is lost of the pool; None if nothing is. What devices share is
                listed once only where it is sound for all of them or for none. What is
                shared and of which nothing is left is left out: thin_restore 1.1 refuses a
                device that refers to it and has mappings besides.
            apart: by device id, origin blocks whose mappings are listed with the device, though
                others share them.

        Raises:
            NotThereError: a selected device does not exist, and not `ignore_unknown`.
        """
        self._pool = pool
        self._selected = selected
        self._sharing = sharing and (losses is None or losses.agree)
        self._mappings = mappings
        self._on_damage = on_damage or pool.on_damage
        self._apart = apart or {}
        # A block that is bad in another tree may be sound here.
        self._lost_blocks = losses.emptied | losses.blocks if losses else frozenset()
        if not ignore_unknown:
            self._refuse_unknown()

    def parts(self) -> Iterator[StreamPart]:
        """Return all parts in order; what precedes a damage comes before it is told.

        Raises:
            DamagedMetadataError: the policy raises.
            InputError: a metadata snapshot was read, and the pool moved on meanwhile.
        """
        table = self._pool.device_table
        for damage in table.disagreements(self._selected):
            self._on_damage(damage)
        if self._sharing and self._mappings:
            for damage in chain(table.lost_among(self._selected), self._hides_sharing()):
                self._on_damage(damage)
        tally = _MappingTally(self._devices, self._on_damage)
        for part in read_stream(self._pool.source, self._steps(), self._on_damage):
            yield part
            if self._mappings:
                tally.add(part)
        self._pool.verify_unchanged()

    @cached_property
    def nr_leaves(self) -> int:
        """How many leaves `parts` reads at most, which is what takes the time."""
        return int(self._forest.nr_leaves().sum()) if self._mappings else 0

    def _refuse_unknown(self) -> None:
        if self._selected is None:
            return
        table = self._pool.device_table
        others = self._selected - table.without_details.keys()
        unknown = [
            device_id
            for device_id in sorted(others)
            if table.devices.place_of(device_id) is None and not table.is_lost(device_id)
        ]
        if unknown:
            ids = ", no ".join(f"device {device_id}" for device_id in unknown)
            raise NotThereError(f"{self._pool.source.device.name}: there is no {ids}")

    @cached_property
    def _devices(self) -> Devices:
        devices = self._pool.device_table.devices
        if self._selected is None:
            return devices
        places = (devices.place_of(device_id) for device_id in sorted(self._selected))
        return devices[np.array([place for place in places if place is not None], dtype=np.int64)]

    @cached_property
    def _mapped(self) -> Devices:
        """The devices that have a mapping tree: the trees of the forest, in order."""
        return self._devices.mapped()

    @cached_property
    def _forest(self) -> Forest:
        return grow(self._pool.source, self._mapped.roots, MAPPINGS)

    def _read(self, places: Places) -> tuple[Codes, Mask]:
        """Return what is wrong with some leaves, and which of them hold anything."""
        codes, is_filled = [np.empty(0, dtype=np.uint8)], [np.empty(0, dtype=np.bool_)]
        leaves = self._forest.levels[0].nodes
        for piece in leaf_pieces(self._pool.source, leaves, MAPPINGS, places=places):
            codes.append(piece.codes)
            is_filled.append(np.diff(piece.entries.starts) > 0)
        return np.concatenate(codes), np.concatenate(is_filled)

    @cached_property
    def _is_left(self) -> Mask | None:
        """Return which of the forest's leaves hold anything, of those that may not; or None."""
        if not self._lost_blocks:
            return None
        lost = np.array(sorted(self._lost_blocks), dtype=np.uint64)
        is_left = ~places_among(lost, self._forest.levels[0].nodes.blocks)[1]
        doubtful = np.flatnonzero(~is_left)
        _, is_left[doubtful] = self._read(doubtful)
        return is_left

    @cached_property
    def _marks(self) -> list[Mask] | None:
        """Return what of the forest leads to leaves that hold anything; None is all."""
        return None if self._is_left is None else self._forest.marked(self._is_left)

    def _hides_sharing(self) -> Iterator[Damage]:
        """Return damage that hides what is shared, each with the keys that its own tree gives.

        Of a leaf that stands in places which exclude each other only its keys tell where
        it belongs. Other bad leaves come later, in their place.
        """
        doubtful = self._forest.doubtful_blocks()
        if not len(doubtful):
            return
        leaves = self._forest.levels[0].nodes
        at = np.minimum(np.searchsorted(doubtful, leaves.blocks), len(doubtful) - 1)
        places = np.flatnonzero(doubtful[at] == leaves.blocks)
        codes = np.zeros(len(leaves), dtype=np.uint8)
        codes[places], _ = self._read(places)
        yield from BadLeaves(self._forest, self._mapped.ids, codes)

    def _steps(self) -> Iterator[StreamStep]:
        sections: _Sections = self._whole_tree
        if self._sharing and self._mappings:
            shared = find_shared_runs(self._forest)
            if shared is not None:
                sections = shared.of_what_is_left(self._is_left).sections
                yield from self._shared_steps(sections)
        lost = (
            []
            if self._sharing and self._mappings
            else self._pool.device_table.lost_among(self._selected)
        )
        tree = 0
        for device in self._devices:
            while lost and device.device_id >= (lost[0].first_key or 0):
                yield StreamStep(damage=lost.pop(0))
            yield StreamStep((_begin(device),))
            if device.mapping_root is not None:
                if self._mappings:
                    yield from self._device_steps(device.device_id, sections(tree))
                tree += 1
            yield StreamStep((DeviceEnd(),))
        for damage in lost:
            yield StreamStep(damage=damage)

    def _whole_tree(self, tree: int) -> Iterator[tuple[bool, NodeList]]:
        if self._marks is None:
            yield False, self._forest.leaves(tree)
            return
        places, _ = self._forest.leaf_places_of(np.array([tree]), self._marks)
        yield False, self._forest.leaves_at(places)

    def _device_steps(
        self, device_id: DeviceId, sections: Iterator[tuple[bool, NodeList]]
    ) -> Iterator[StreamStep]:
        apart = self._apart.get(device_id)
        for is_shared, leaves in sections:
            if is_shared and not (apart and apart.meet(int(leaves.low[0]), int(leaves.last[-1]))):
                yield StreamStep((SharedRef(int(leaves.blocks[0])),))
            else:
                yield StreamStep((), leaves, device_id)

    def _shared_steps(self, sections: _Sections) -> Iterator[StreamStep]:
        found: dict[int, tuple[NodeList, DeviceId]] = {}
        for tree, device in enumerate(self._mapped):
            for is_shared, leaves in sections(tree):
                if is_shared:
                    name = int(leaves.blocks[0])
                    before, device_id = found.get(name, (leaves, device.device_id))
                    found[name] = (before.within(leaves), device_id)
        for name in sorted(found):
            leaves, device_id = found[name]
            yield StreamStep((SharedBegin(name),), leaves, device_id)
            yield StreamStep((SharedEnd(),))


def _begin(device: ThinDevice) -> DeviceBegin:
    return DeviceBegin(
        device.device_id,
        device.mapped_blocks,
        device.transaction_id,
        device.creation_time,
        device.snap_time,
    )


class _MappingTally:
    """Counts each device's mappings and compares with what its details say."""

    def __init__(self, devices: Devices, on_damage: OnDamage) -> None:
        self._devices = devices
        self._on_damage = on_damage
        self._shared: dict[str | int, int] = {}
        self._name: str | int = 0
        self._device = DeviceBegin(0, 0, 0, 0, 0)
        self._begin = 0
        self._by_ref = 0

    def add(self, part: StreamPart) -> None:
        for mark, mappings in zip(part.marks, part.mappings, strict=True):
            match mark:
                case SharedBegin(name):
                    self._name, self._begin = name, mappings
                case SharedEnd():
                    self._shared[self._name] = mappings - self._begin
                case DeviceBegin():
                    self._device, self._begin, self._by_ref = mark, mappings, 0
                case SharedRef(name):
                    self._by_ref += self._shared[name]
                case DeviceEnd():
                    self._compare(mappings - self._begin + self._by_ref)

    def _compare(self, counted: int) -> None:
        device_id, said = DeviceId(self._device.device_id), self._device.mapped_blocks
        if counted == said:
            return
        place = self._devices.place_of(device_id)
        if place is not None and self._devices.has_root[place]:
            self._on_damage(
                Damage(
                    f"has {counted} mappings, but its details say {said}",
                    device_id=device_id,
                    kind=DamageKind.MAPPED_BLOCKS,
                )
            )
