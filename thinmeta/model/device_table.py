"""All devices of a pool: its two trees of devices joined by device id, as columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage, DamageKind, OnDamage
from thinmeta.model.superblock import Superblock
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas.columns import DEVICE_DETAILS
from thinmeta.units import LAST_KEY, DeviceId, MetadataBlock
from thinmeta.walk.leaves import read_tree
from thinmeta.walk.nodes import DETAILS, DEVICE_ROOTS, Keys, Mask, Metadata
from thinmeta.walk.ragged import Places, places_among

_DEVICES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Devices(Sequence[ThinDevice]):
    """Thin devices by ascending id; each is a `ThinDevice` only while somebody looks at it.

    Attributes:
        ids: shape `(n,)`, dtype uint64.
        details: what the details tree says, shape `(n,)`, dtype `DEVICE_DETAILS`.
        roots: the mapping trees, shape `(n,)`, dtype uint64.
        has_root: False where the mapping tree does not know the id, shape `(n,)`.
        source: where their runs are read.
        on_damage: told of what is bad then.
    """

    ids: Keys
    details: npt.NDArray[Any]
    roots: Keys
    has_root: Mask
    source: Metadata
    on_damage: OnDamage

    @classmethod
    def of(cls, devices: Sequence[ThinDevice], source: Metadata, on_damage: OnDamage) -> Self:
        """Return the columns of some devices, which are in ascending order."""
        rows = [
            (each.mapped_blocks, each.transaction_id, each.creation_time, each.snap_time)
            for each in devices
        ]
        return cls(
            np.array([each.device_id for each in devices], dtype=np.uint64),
            np.array(rows, dtype=DEVICE_DETAILS),
            np.array([each.mapping_root or 0 for each in devices], dtype=np.uint64),
            np.array([each.mapping_root is not None for each in devices], dtype=np.bool_),
            source,
            on_damage,
        )

    def __len__(self) -> int:
        """Return `n`."""
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> ThinDevice: ...
    @overload
    def __getitem__(self, place: slice | Places | Mask) -> "Devices": ...
    def __getitem__(self, place: int | slice | Places | Mask) -> "ThinDevice | Devices":
        """Return a device, or some of them."""
        if isinstance(place, int):
            if not -len(self) <= place < len(self):
                raise IndexError(place)
            return next(iter(self[place : place + 1 or None]))
        return Devices(
            self.ids[place],
            self.details[place],
            self.roots[place],
            self.has_root[place],
            self.source,
            self.on_damage,
        )

    def __iter__(self) -> Iterator[ThinDevice]:
        """Return the devices one by one."""
        for begin in range(0, len(self), _DEVICES_AT_ONCE):
            some = slice(begin, begin + _DEVICES_AT_ONCE)
            for device_id, details, root, has_root in zip(
                self.ids[some].tolist(),
                self.details[some].tolist(),
                self.roots[some].tolist(),
                self.has_root[some].tolist(),
                strict=True,
            ):
                mapped_blocks, transaction_id, creation_time, snap_time = details
                yield ThinDevice(
                    device_id=device_id,
                    mapped_blocks=mapped_blocks,
                    transaction_id=transaction_id,
                    creation_time=creation_time,
                    snap_time=snap_time,
                    mapping_root=root if has_root else None,
                    source=self.source,
                    on_damage=self.on_damage,
                )

    def __eq__(self, other: object) -> bool:
        """Tell whether these are the same devices."""
        if not isinstance(other, Devices):
            return NotImplemented
        mine, theirs = (
            (each.ids, each.details, each.has_root, each.roots) for each in (self, other)
        )
        return all(map(np.array_equal, mine, theirs))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def mapped(self) -> "Devices":
        """Return those that have a mapping tree."""
        return self if self.has_root.all() else self[self.has_root]

    def place_of(self, device_id: int) -> int | None:
        """Return which of the devices has this id; None if none has."""
        if not 0 <= device_id <= LAST_KEY:
            return None
        place = int(np.searchsorted(self.ids, np.uint64(device_id)))
        return place if place < len(self) and self.ids[place] == device_id else None


class DevicesById(Mapping[int, ThinDevice]):
    """Thin devices by their ids, ascending."""

    def __init__(self, devices: Devices) -> None:
        """Take the devices."""
        self._devices = devices

    def __getitem__(self, device_id: int) -> ThinDevice:
        """Return the device that has this id.

        Raises:
            KeyError: there is none.
        """
        place = self._devices.place_of(device_id)
        if place is None:
            raise KeyError(device_id)
        return self._devices[place]

    def __iter__(self) -> Iterator[int]:
        """Return the ids."""
        return iter(self._devices.ids.tolist())

    def __len__(self) -> int:
        """Return how many devices there are."""
        return len(self._devices)


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """All devices of a pool, and what is wrong with the trees that list them.

    Attributes:
        devices: those of the details tree.
        unlisted: roots of the ids that only the mapping tree has.
        lost: ranges of ids that cannot be read, ascending by first id.
    """

    devices: Devices
    unlisted: dict[DeviceId, MetadataBlock]
    lost: tuple[Damage, ...]

    def mapping_trees(self) -> tuple[Keys, Keys]:
        """Return the ids and the roots of all mapping trees, by ascending id."""
        listed = self.devices.mapped()
        if not self.unlisted:
            return listed.ids, listed.roots
        ids = np.append(listed.ids, np.array(list(self.unlisted), dtype=np.uint64))
        roots = np.append(listed.roots, np.array(list(self.unlisted.values()), dtype=np.uint64))
        order = np.argsort(ids)
        return ids[order], roots[order]

    def end(self) -> int:
        """Return the first id that is not known to be complete; beyond all ids if all are."""
        return min((damage.first_key or 0 for damage in self.lost), default=LAST_KEY)

    def disagreements(self, selected: frozenset[int] | None = None) -> list[Damage]:
        """Return what one of the two trees has and the other has not.

        Args:
            selected: the ids to look at; None is all.
        """
        found = [
            Damage(
                "only the device details tree has this device: its mappings are lost",
                device_id=DeviceId(device_id),
                kind=DamageKind.DEVICE_IDS,
            )
            for device_id in self.devices.ids[~self.devices.has_root].tolist()
        ]
        found += [
            Damage(
                "only the mapping tree has this device: its details are lost; "
                "--salvage shows it all the same",
                block=root,
                device_id=device_id,
                kind=DamageKind.DEVICE_IDS,
            )
            for device_id, root in self.unlisted.items()
        ]
        return [
            damage
            for damage in found
            if damage.device_id is not None
            and (selected is None or damage.device_id in selected)
            and not self.is_lost(damage.device_id)
        ]

    def lost_among(self, selected: frozenset[int] | None) -> list[Damage]:
        """Return the lost ranges that may hold one of `selected`; None is all."""
        return [
            damage
            for damage in self.lost
            if selected is None or any(_covers(damage, device_id) for device_id in selected)
        ]

    def is_lost(self, device_id: int) -> bool:
        """Tell whether a lost range may hold this id."""
        return any(_covers(damage, device_id) for damage in self.lost)


def _covers(damage: Damage, device_id: int) -> bool:
    last = LAST_KEY if damage.last_key is None else damage.last_key
    return (damage.first_key or 0) <= device_id <= last


def read_device_table(
    source: Metadata, superblock: Superblock, on_damage: OnDamage, *, with_details: bool = True
) -> DeviceTable:
    """Join the details tree and the mapping tree by device id.

    thin_dump 1.x pairs them by position, which gives devices the attributes of
    others where one tree lacks an id.

    Args:
        source: where to read.
        superblock: of the state to read.
        on_damage: what the devices tell of damage when their runs are read; damage
            to the two trees is returned instead.
        with_details: False where nobody knows where the details tree is.
    """
    lost: list[Damage] = []
    root_ids, roots = read_tree(
        source, superblock.data_mapping_root, DEVICE_ROOTS, on_damage=lost.append
    )
    if not with_details:
        devices = Devices.of((), source, on_damage)
        return DeviceTable(devices, _by_id(root_ids, roots), tuple(lost))
    ids, details = read_tree(source, superblock.device_details_root, DETAILS, on_damage=lost.append)
    unlisted: dict[DeviceId, MetadataBlock] = {}
    has_root = np.ones(len(ids), dtype=np.bool_)
    if not np.array_equal(ids, root_ids):
        at, has_root = places_among(root_ids, ids)
        is_unlisted = ~places_among(ids, root_ids)[1]
        unlisted = _by_id(root_ids[is_unlisted], roots[is_unlisted])
        roots = np.where(has_root, np.append(roots, np.uint64(0))[at], np.uint64(0))
    return DeviceTable(
        Devices(ids, details, roots, has_root, source, on_damage),
        unlisted,
        tuple(sorted(lost, key=lambda each: each.first_key or 0)),
    )


def read_roots(
    source: Metadata, superblock: Superblock, on_damage: OnDamage
) -> dict[DeviceId, MetadataBlock]:
    """Return the mapping tree of each device that the mapping tree has, by ascending id."""
    ids, roots = read_tree(source, superblock.data_mapping_root, DEVICE_ROOTS, on_damage=on_damage)
    return _by_id(ids, roots)


def _by_id(ids: Keys, roots: Keys) -> dict[DeviceId, MetadataBlock]:
    return {
        DeviceId(device_id): MetadataBlock(root)
        for device_id, root in zip(ids.tolist(), roots.tolist(), strict=True)
    }
