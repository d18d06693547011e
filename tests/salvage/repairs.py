"""Damages that a repair meets, by kind, of every image of `fixtures/`; and what is left of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

import thinmeta
from tests.anatomy import Anatomy
from tests.damage import DamagedImage
from tests.single_damages import SingleDamage, single_damages
from thinmeta.errors import ThinmetaError

Apply = Callable[[DamagedImage], None]

_MOST_OF_A_KIND = 3
"""Damages that are tried of a kind and an image."""

_MOST_OF_A_LARGE_ONE = 1

_LARGE = 100_000
"""Mappings."""

_SHIFT = np.uint64(40)
"""Data blocks and origin blocks of all images take fewer bits than half of a number."""


@dataclass(frozen=True)
class RepairCase:
    """A damage.

    Attributes:
        kind: what is lost, in words.
        name: which one it is.
        apply: does it.
    """

    kind: str
    name: str
    apply: Apply

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


class Kept(NamedTuple):
    """What a repair kept.

    Attributes:
        right: mappings that the sound pool has, too: device, origin block and data block.
        wrong: all others.
    """

    right: int
    wrong: int


class Mapped:
    """All that a pool maps."""

    def __init__(self, devices: dict[int, npt.NDArray[np.uint64]]) -> None:
        self._devices = devices

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a pool, as far as it can be read."""
        devices = {}
        try:
            with thinmeta.open_pool(path, on_damage=lambda _: None) as pool:
                for device_id, device in pool.devices.items():
                    devices[device_id] = _mappings(device)
        except ThinmetaError:
            pass
        return cls(devices)

    @property
    def total(self) -> int:
        return sum(len(each) for each in self._devices.values())

    def kept_by(self, other: "Mapped") -> Kept:
        right = sum(
            len(np.intersect1d(mapped, other._devices.get(device_id, mapped[:0])))
            for device_id, mapped in self._devices.items()
        )
        return Kept(right, other.total - right)


def _mappings(device: thinmeta.Device) -> npt.NDArray[np.uint64]:
    columns = device.runs().columns()
    origin, data, length = (columns[name] for name in ("origin_begin", "data_begin", "length"))
    steps = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    keys, values = (
        (np.repeat(begins, length) + steps).astype(np.uint64) for begins in (origin, data)
    )
    pairs: npt.NDArray[np.uint64] = (keys << _SHIFT) | values
    return pairs


def repair_cases(image: DamagedImage, *, fields: bool) -> Iterator[RepairCase]:
    """Return what can be done to a pool.

    Args:
        image: the pool.
        fields: whether each field of each structure is changed as well, its checksum right.
    """
    anatomy = Anatomy(image)
    places = anatomy.mapping_places()
    inner = sorted({each.block for each in places if not each.is_leaf})
    leaves = sorted({each.block for each in places if each.is_leaf})
    roots = sorted({each.block for each in places if each.is_root})
    devices = sorted({each.block for each in anatomy.devices})
    details = sorted({each.block for each in anatomy.details})
    maps = sorted({each for some in anatomy.space_map_blocks().values() for each in some})
    nr_mappings = sum(map(anatomy.mapped_blocks, anatomy.device_ids))
    most = _MOST_OF_A_LARGE_ONE if nr_mappings > _LARGE else _MOST_OF_A_KIND
    tops = anatomy.devices[0].block, anatomy.details[0].block
    sets: dict[str, list[tuple[int, ...]]] = {
        "a leaf of mappings": _each(leaves),
        "a node above the leaves": _each(inner),
        "two nodes of mapping trees": _pairs(inner, leaves[::2]),
        "the list of devices": _each(devices),
        "the details": _each(details),
        "both lists": [tops],
        "the superblock": [(0,)],
        "the superblock and the list of devices": [(0, tops[0])],
        "the superblock and the details": [(0, tops[1])],
        "the superblock and a mapping tree's root": [(0, each) for each in roots],
        "the superblock and a leaf": [(0, each) for each in leaves],
        "a list and a mapping tree's root": [(top, each) for top in tops for each in roots],
        "a block of a space map": _each(maps),
    }
    for kind, some in sets.items():
        for blocks in _sample(some, most):
            yield RepairCase(kind, " ".join(map(str, blocks)), zeroed(*blocks))
    for number, device_id in enumerate(anatomy.device_ids[:most]):
        if len(anatomy.devices) == 1:
            yield RepairCase("a device's root in the list", str(device_id), misled(tops[0], number))
    if fields:
        for damage in single_damages(image):
            yield RepairCase(f"a field of {_structure(damage)}", str(damage), damage.apply)


def zeroed(*blocks: int) -> Apply:
    return lambda image: image.zero(*blocks)


def misled(device_list: int, number: int) -> Apply:
    """Return what has a device's root be a block that holds nothing."""

    def apply(image: DamagedImage) -> None:
        (free,) = image.free_blocks(1)
        image.children(device_list)[number] = free
        image.restamp(device_list)

    return apply


def _structure(damage: SingleDamage) -> str:
    name = damage.name.partition(":")[0]
    if "superblock" in name:
        return "the superblock"
    if name.startswith(("top level", "details")):
        return "a list"
    return "a mapping tree" if name.startswith(("shared", "mapping")) else "a space map"


def _each(blocks: list[int]) -> list[tuple[int, ...]]:
    return [(block,) for block in blocks]


def _pairs(some: list[int], others: list[int]) -> list[tuple[int, ...]]:
    both = sorted({*some, *others})
    return [(one, other) for at, one in enumerate(both) for other in both[at + 1 :]]


def _sample(some: list[tuple[int, ...]], most: int) -> Iterator[tuple[int, ...]]:
    step = -(-len(some) // most) or 1
    return islice(some, 0, None, step)
