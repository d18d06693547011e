"""All devices of a pool: its two trees of devices joined by device id, as columns."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from thinmeta.errors import Damage, DamageKind, OnDamage
from thinmeta.model.device_columns import Devices
from thinmeta.model.superblock import Superblock
from thinmeta.units import LAST_KEY, DeviceId, MetadataBlock
from thinmeta.walk.leaves import read_tree
from thinmeta.walk.nodes import DETAILS, DEVICE_ROOTS, Keys, Metadata, TreeKind
from thinmeta.walk.ragged import places_among


class DeviceTable(NamedTuple):
    """All devices of a pool, and what is wrong with the trees that list them.

    Attributes:
        devices: those of the details tree.
        without_details: roots of the ids that only the mapping tree has.
        lost: ranges of ids that cannot be read, ascending by first id.
        lost_details: those of them that the details tree has lost.
    """

    devices: Devices
    without_details: dict[DeviceId, MetadataBlock]
    lost: tuple[Damage, ...]
    lost_details: tuple[Damage, ...] = ()

    def mapping_trees(self) -> tuple[Keys, Keys]:
        """Return the ids and the roots of all mapping trees, by ascending id."""
        listed = self.devices.mapped()
        if not self.without_details:
            return listed.ids, listed.roots
        ids = np.append(listed.ids, np.array(list(self.without_details), dtype=np.uint64))
        roots = np.append(
            listed.roots, np.array(list(self.without_details.values()), dtype=np.uint64)
        )
        order = np.argsort(ids)
        return ids[order], roots[order]

    def damages(self) -> list[Damage]:
        """Return all that is wrong: what cannot be read, then what the trees disagree on."""
        return [*self.lost, *self.disagreements()]

    def hidden(self) -> list[Damage]:
        """Return what may hide mappings: all that is wrong but devices without details."""
        return [each for each in self.damages() if each.device_id not in self.without_details]

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
            for device_id, root in self.without_details.items()
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


class DeviceTree(NamedTuple):
    """One of the two trees by device id.

    Attributes:
        ids: ascending, shape `(n,)`, dtype uint64.
        values: what it holds, shape `(n,)`.
        lost: ranges of ids that cannot be read, ascending.
    """

    ids: Keys
    values: npt.NDArray[Any]
    lost: tuple[Damage, ...]

    @classmethod
    def read(cls, source: Metadata, root: int, kind: TreeKind) -> Self:
        """Read all of it."""
        lost: list[Damage] = []
        ids, values = read_tree(source, root, kind, on_damage=lost.append)
        return cls(ids, values, tuple(lost))


def read_device_table(
    source: Metadata, superblock: Superblock, *, with_details: bool = True
) -> DeviceTable:
    """Join the details tree and the mapping tree by device id.

    thin_dump 1.x pairs them by position, which gives devices the attributes of
    others where one tree lacks an id.

    Args:
        source: where to read.
        superblock: of the state to read.
        with_details: False where nobody knows where the details tree is.
    """
    roots = DeviceTree.read(source, superblock.data_mapping_root, DEVICE_ROOTS)
    if not with_details:
        return DeviceTable(Devices.of(()), _by_id(roots.ids, roots.values), roots.lost)
    details = DeviceTree.read(source, superblock.device_details_root, DETAILS)
    return joined_trees(roots, details)


def joined_trees(of_roots: DeviceTree, of_details: DeviceTree) -> DeviceTable:
    """Join what was read of the two trees by device id; see `read_device_table`."""
    root_ids, roots = of_roots.ids, of_roots.values
    ids, details = of_details.ids, of_details.values
    without_details: dict[DeviceId, MetadataBlock] = {}
    has_root = np.ones(len(ids), dtype=np.bool_)
    if not np.array_equal(ids, root_ids):
        at, has_root = places_among(root_ids, ids)
        is_without_details = ~places_among(ids, root_ids)[1]
        without_details = _by_id(root_ids[is_without_details], roots[is_without_details])
        roots = np.where(has_root, np.append(roots, np.uint64(0))[at], np.uint64(0))
    return DeviceTable(
        Devices(ids, details, roots, has_root),
        without_details,
        tuple(sorted((*of_roots.lost, *of_details.lost), key=lambda each: each.first_key or 0)),
        of_details.lost,
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
