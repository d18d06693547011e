"""A thin device: what the pool's two trees say of one device id, and its runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from thinmeta.errors import Damage, DamageKind, OnDamage
from thinmeta.model.superblock import Superblock
from thinmeta.units import LAST_KEY, DeviceId, MetadataBlock
from thinmeta.walk.leaves import read_tree
from thinmeta.walk.nodes import DETAILS, DEVICE_ROOTS, Metadata
from thinmeta.walk.runs import Run, Runs
from thinmeta.walk.stretches import read_runs


@dataclass(frozen=True, slots=True)
class RunStream:
    """A device's runs, read again each time they are asked for, in bounded pieces."""

    device: "ThinDevice"

    def __iter__(self) -> Iterator[Run]:
        """Return the runs one by one, as tuples of ints."""
        for chunk in self.chunks():
            yield from chunk

    def chunks(self) -> Iterator[Runs]:
        """Return the runs in pieces of arrays: at most those of some thousand nodes.

        Raises:
            DamagedMetadataError: a node is bad and the pool's `on_damage` raises;
                the runs that precede it have been returned.
        """
        device = self.device
        return read_runs(device.source, device.mapping_root, device.device_id, device.on_damage)

    def read(self) -> Runs:
        """Return all runs at once; their size is the device's."""
        return Runs.joined([Runs.none(), *self.chunks()])


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """One thin device as the metadata describes it.

    Attributes:
        device_id: the id by which the pool knows it.
        mapped_blocks: mappings that it should have.
        transaction_id: the pool's transaction id when it was created.
        creation_time: the pool's clock then.
        snap_time: the pool's clock when it was last snapshotted, or created as a snapshot.
        mapping_root: its mapping tree; None if the mapping tree does not know the id.
    """

    device_id: DeviceId
    mapped_blocks: int
    transaction_id: int
    creation_time: int
    snap_time: int
    mapping_root: MetadataBlock | None
    source: Metadata = field(repr=False, compare=False)
    on_damage: OnDamage = field(repr=False, compare=False)

    def runs(self) -> RunStream:
        """Return the device's mappings, neighbours joined into runs."""
        return RunStream(self)


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """All devices of a pool, and what is wrong with the trees that list them.

    Attributes:
        devices: by ascending id; those of the details tree.
        unlisted: roots of the ids that only the mapping tree has.
        lost: ranges of ids that cannot be read, ascending by first id.
    """

    devices: tuple[ThinDevice, ...]
    unlisted: dict[DeviceId, MetadataBlock]
    lost: tuple[Damage, ...]

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
                device_id=device.device_id,
                kind=DamageKind.DEVICE_IDS,
            )
            for device in self.devices
            if device.mapping_root is None
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


def read_device_table(source: Metadata, superblock: Superblock, on_damage: OnDamage) -> DeviceTable:
    """Join the details tree and the mapping tree by device id.

    thin_dump 1.x pairs them by position, which gives devices the attributes of
    others where one tree lacks an id.

    Args:
        source: where to read.
        superblock: of the state to read.
        on_damage: what the devices tell of damage when their runs are read; damage
            to the two trees is returned instead.
    """
    lost: list[Damage] = []
    root_of = read_roots(source, superblock, lost.append)
    ids, details = read_tree(source, superblock.device_details_root, DETAILS, on_damage=lost.append)
    devices = tuple(
        ThinDevice(
            device_id=device_id,
            mapped_blocks=mapped_blocks,
            transaction_id=transaction_id,
            creation_time=creation_time,
            snap_time=snap_time,
            mapping_root=root_of.pop(device_id, None),
            source=source,
            on_damage=on_damage,
        )
        for device_id, (mapped_blocks, transaction_id, creation_time, snap_time) in zip(
            ids.tolist(), details.tolist(), strict=True
        )
    )
    return DeviceTable(devices, root_of, tuple(sorted(lost, key=lambda each: each.first_key or 0)))


def read_roots(
    source: Metadata, superblock: Superblock, on_damage: OnDamage
) -> dict[DeviceId, MetadataBlock]:
    """Return the mapping tree of each device that the mapping tree has, by ascending id."""
    ids, roots = read_tree(source, superblock.data_mapping_root, DEVICE_ROOTS, on_damage=on_damage)
    return {
        DeviceId(device_id): MetadataBlock(root)
        for device_id, root in zip(ids.tolist(), roots.tolist(), strict=True)
    }
