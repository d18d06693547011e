"""A pool: opened from a path, asked for its devices and space maps."""

from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.kernel import holders_of
from thinmeta.device.opening import live_message, open_blocks
from thinmeta.errors import InputError, LiveDeviceError, NoSnapshotError, OnDamage, raise_damage
from thinmeta.model.ref_counts import RefCounts
from thinmeta.model.superblock import Superblock, read_superblock
from thinmeta.model.thin_device import DeviceTable, ThinDevice, read_device_table
from thinmeta.schemas.signatures import refuse_foreign
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import MetadataBlock
from thinmeta.walk.nodes import Metadata

_LIVE = MetadataBlock(SUPERBLOCK_LOCATION)


class State(Enum):
    """Which state of a pool to read."""

    LIVE = "live"
    SNAP = "snap"


class Pool:
    """The metadata of a pool, open for reading; a context manager.

    Attributes:
        superblock: of the state that is read: live, or the metadata snapshot.
        live_superblock: the one in block 0, which alone knows the space maps.
        source: the device, and how many of its blocks are metadata.
        on_damage: told of each damage that a reader of this pool meets.
    """

    def __init__(
        self,
        device: BlockDevice,
        live_superblock: Superblock,
        superblock: Superblock,
        on_damage: OnDamage = raise_damage,
    ) -> None:
        """Take over `device`; see `open_pool`."""
        self.live_superblock = live_superblock
        self.superblock = superblock
        self.source = Metadata(device, live_superblock.metadata_space_map.nr_blocks)
        self.on_damage = on_damage

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the device."""
        self.close()

    def close(self) -> None:
        """Close the device; further reads fail."""
        self.source.device.close()

    def in_state(self, state: State) -> "Pool":
        """Return the same pool in another state; it reads through the same device.

        Raises:
            NoSnapshotError: no metadata snapshot is held.
            DamagedMetadataError: the snapshot's superblock is damaged.
            LiveDeviceError: the live state of a pool that is active, which changes
                while it is read.
        """
        device = self.source.device
        is_snapshot = self.superblock is not self.live_superblock
        if is_snapshot == (state is State.SNAP):
            return self
        if state is State.SNAP:
            held_root = _held_root(self.live_superblock, device.name)
            superblock = read_superblock(device, held_root, ignore_unsupported=True)
            return Pool(device, self.live_superblock, superblock, self.on_damage)
        path = Path(device.name)
        try:
            holders = holders_of(path)
        except OSError as error:
            raise InputError(f"{path}: nobody can tell whether it is live: {error}") from error
        if holders:
            raise LiveDeviceError(live_message(path, holders))
        return Pool(device, self.live_superblock, self.live_superblock, self.on_damage)

    @cached_property
    def device_table(self) -> DeviceTable:
        """All that the two device trees hold, damaged or not."""
        return read_device_table(self.source, self.superblock, self.on_damage)

    @cached_property
    def devices(self) -> Mapping[int, ThinDevice]:
        """The thin devices by ascending id.

        Raises:
            DamagedMetadataError: a part of them is lost, and `on_damage` raises.
        """
        for damage in self.device_table.lost:
            self.on_damage(damage)
        for damage in self.device_table.disagreements():
            self.on_damage(damage)
        return MappingProxyType({device.device_id: device for device in self.device_table.devices})

    @property
    def data_ref_counts(self) -> RefCounts:
        """How many leaves map each data block, as the data space map says."""
        root = self.live_superblock.data_space_map
        return RefCounts(self.source, root, self.on_damage, is_metadata=False)

    @property
    def metadata_ref_counts(self) -> RefCounts:
        """How many references each metadata block has, as the metadata space map says."""
        root = self.live_superblock.metadata_space_map
        return RefCounts(self.source, root, self.on_damage, is_metadata=True)

    def verify_unchanged(self) -> None:
        """Read the live superblock again, if it is a metadata snapshot that was read.

        Raises:
            InputError: the snapshot was released, or the pool moved on meanwhile.
        """
        if self.superblock is self.live_superblock:
            return
        now = read_superblock(self.source.device, _LIVE, ignore_unsupported=True)
        before = self.live_superblock
        for what, old, new in (
            ("held root", before.held_root, now.held_root),
            ("transaction id", before.transaction_id, now.transaction_id),
        ):
            if old != new:
                raise InputError(
                    f"{self.source.device.name}: the {what} changed from {old} to {new} during "
                    "the read, so what was read is not one state; read it again"
                )


def _held_root(live: Superblock, name: str) -> MetadataBlock:
    if not live.held_root:
        raise NoSnapshotError(f"{name}: no metadata snapshot is held")
    return live.held_root


def open_pool(
    path: str | Path,
    *,
    metadata_snapshot: bool = False,
    ignore_unsupported: bool = False,
    on_damage: OnDamage = raise_damage,
) -> Pool:
    """Open a pool's metadata: a device, an image of one, or a compressed image.

    Args:
        path: where it is; it is only read, never written.
        metadata_snapshot: read the state that a metadata snapshot holds, which is
            the only way to read a pool that is active.
        ignore_unsupported: take superblock versions and incompat flags that are
            not known here.
        on_damage: told of each damage; the default raises where mappings are lost.

    Raises:
        InputError: `path` cannot be read, is no thin-pool metadata, or is live.
        NoSnapshotError: no metadata snapshot is held.
        DamagedMetadataError: the superblock is damaged.
    """
    device = open_blocks(Path(path), inspect=refuse_foreign, exclusive=not metadata_snapshot)
    try:
        live = superblock = read_superblock(device, _LIVE, ignore_unsupported=ignore_unsupported)
        if metadata_snapshot:
            superblock = read_superblock(
                device, _held_root(live, device.name), ignore_unsupported=ignore_unsupported
            )
    except BaseException:
        device.close()
        raise
    return Pool(device, live, superblock, on_damage)
