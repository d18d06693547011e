"""Thin devices as columns, and by their ids."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas.columns import DEVICE_DETAILS
from thinmeta.units import LAST_KEY
from thinmeta.walk.nodes import Keys, Mask
from thinmeta.walk.ragged import Places

_DEVICES_AT_ONCE = 4096


class Devices(Sequence[ThinDevice]):
    """Thin devices by ascending id; each is a `ThinDevice` only while somebody looks at it.

    Attributes:
        ids: shape `(n,)`, dtype uint64.
        details: what the details tree says, shape `(n,)`, dtype `DEVICE_DETAILS`.
        roots: the mapping trees, shape `(n,)`, dtype uint64.
        has_root: False where the mapping tree does not know the id, shape `(n,)`.
    """

    def __init__(self, ids: Keys, details: npt.NDArray[Any], roots: Keys, has_root: Mask) -> None:
        """Take the columns."""
        self.ids = ids
        self.details = details
        self.roots = roots
        self.has_root = has_root

    @classmethod
    def of(cls, devices: Sequence[ThinDevice]) -> Self:
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
            self.ids[place], self.details[place], self.roots[place], self.has_root[place]
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
        place = int(self.ids.searchsorted(np.uint64(device_id)))
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

    def __contains__(self, device_id: object) -> bool:
        """Tell whether a device has this id, and make none."""
        return isinstance(device_id, int) and self._devices.place_of(device_id) is not None

    def __iter__(self) -> Iterator[int]:
        """Return the ids."""
        return iter(self._devices.ids.tolist())

    def __len__(self) -> int:
        """Return how many devices there are."""
        return len(self._devices)
