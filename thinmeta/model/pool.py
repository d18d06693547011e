"""A pool: opened from a path, asked for its devices and space maps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.kernel import holders_of
from thinmeta.device.opening import live_message, open_blocks
from thinmeta.device.signatures import counted, refuse_foreign, refuse_other_formats
from thinmeta.errors import (
    Damage,
    DamagedMetadataError,
    InputError,
    LiveDeviceError,
    NoSnapshotError,
    OnDamage,
    raise_damage,
)
from thinmeta.model.device_columns import DevicesById
from thinmeta.model.device_table import DeviceTable, read_device_table
from thinmeta.model.state import AnyState, Roots, State
from thinmeta.model.superblock import Superblock, copied_superblock, read_superblock, with_roots
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import SECTOR_BYTES, MetadataBlock
from thinmeta.walk.nodes import Metadata

if TYPE_CHECKING:
    from thinmeta.model.ref_counts import RefCounts

_LIVE = MetadataBlock(SUPERBLOCK_LOCATION)


@dataclass(frozen=True, eq=False)
class Pool:
    """The metadata of a pool, open for reading; a context manager.

    It is a value: what reads otherwise, as `in_state`, is another pool over the same device.

    Attributes:
        source: the device, and how many of its blocks are metadata.
        live_superblock: the one in block 0, which alone knows the space maps.
        superblock: of the state that is read: live, the metadata snapshot, or the live
            one with the roots of a state that is past.
        on_damage: told of each damage that a reader of this pool meets.
        state: the one that is read.
        superblock_damage: what is wrong with block 0, whose place in `live_superblock`
            something else has taken (see `open_pool`); None if nothing is.
        known_devices: the devices, where they are not what the two device trees say.
        given_block_sectors: the data block size in all states, instead of what superblocks say.
    """

    source: Metadata
    live_superblock: Superblock
    superblock: Superblock
    on_damage: OnDamage = raise_damage
    state: AnyState = State.LIVE
    superblock_damage: Damage | None = None
    known_devices: DeviceTable | None = None
    given_block_sectors: int | None = None

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the device."""
        self.close()

    def close(self) -> None:
        """Close the device; further reads fail."""
        self.source.device.close()

    def in_state(self, state: AnyState) -> "Pool":
        """Return the same pool in another state; it reads through the same device.

        Raises:
            NoSnapshotError: no metadata snapshot is held.
            NotThereError: a root is past the end of the metadata.
            DamagedMetadataError: the snapshot's superblock is damaged.
            LiveDeviceError: a state other than the snapshot's of a pool that is active,
                which changes while it is read.
        """
        device = self.source.device
        if state == self.state:
            return self
        if state is not State.SNAP and self.state is State.SNAP:
            _refuse_active(Path(device.name))
        if state is State.SNAP:
            held_root = _held_root(self.live_superblock, device.name)
            superblock = read_superblock(device, held_root, ignore_unsupported=True)
        elif isinstance(state, Roots):
            superblock = with_roots(self.live_superblock, state, device.name)
        else:
            superblock = self.live_superblock
        pool = replace(self, superblock=superblock, state=state, known_devices=None)
        given = self.given_block_sectors
        return pool if given is None else pool.with_data_block_sectors(given)

    def doubting_leaves(self) -> "Pool":
        """Return the same pool for who does not believe a leaf that holds what others do."""
        return replace(self, source=self.source._replace(doubts_leaves=True))

    def for_salvage(self, on_damage: OnDamage) -> "Pool":
        """Return the same pool for who reads past any damage.

        It leaves out mappings past the data device's end, and leaves that are internal nodes.
        """
        source = self.source._replace(
            nr_data_blocks=self.live_superblock.data_space_map.nr_blocks or None,
            doubts_leaves=True,
        )
        return replace(self, source=source, on_damage=on_damage, known_devices=None)

    def with_data_block_sectors(self, sectors: int) -> "Pool":
        """Return the same pool with a data block size that somebody else than it says."""
        return replace(
            self,
            live_superblock=self.live_superblock._replace(data_block_sectors=sectors),
            superblock=self.superblock._replace(data_block_sectors=sectors),
            given_block_sectors=sectors,
        )

    def data_block_bytes(self) -> int:
        """Return the size of a data block.

        Raises:
            InputError: the superblock is lost, and with it the size.
        """
        sectors = self.superblock.data_block_sectors
        if not sectors and self.superblock_damage is not None:
            raise InputError(
                f"{self.source.device.name}: the data block size is not known, for the "
                "superblock is damaged; give it with --data-block-size SECTORS, or ask for "
                "blocks only"
            )
        return sectors * SECTOR_BYTES

    @property
    def knows_details(self) -> bool:
        """Whether the details root is known, as it is but for a past state without one."""
        return not isinstance(self.state, Roots) or self.state.details_root is not None

    @cached_property
    def device_table(self) -> DeviceTable:
        """All that the two device trees hold, damaged or not.

        In a past state whose details root is not known, all devices are without details.
        """
        return self.known_devices or read_device_table(
            self.source, self.superblock, with_details=self.knows_details
        )

    @cached_property
    def devices(self) -> Mapping[int, ThinDevice]:
        """The thin devices by ascending id.

        Raises:
            DamagedMetadataError: a part of them is lost, and `on_damage` raises.
        """
        for damage in self.device_table.damages():
            self.on_damage(damage)
        return DevicesById(self.device_table.devices)

    @property
    def data_ref_counts(self) -> "RefCounts":
        """How many leaves map each data block, as the data space map says."""
        from thinmeta.model.ref_counts import RefCounts

        root = self.live_superblock.data_space_map
        return RefCounts(self.source, root, self.on_damage, is_metadata=False)

    @property
    def metadata_ref_counts(self) -> "RefCounts":
        """How many references each metadata block has, as the metadata space map says."""
        from thinmeta.model.ref_counts import RefCounts

        root = self.live_superblock.metadata_space_map
        return RefCounts(self.source, root, self.on_damage, is_metadata=True)

    def verify_unchanged(self) -> None:
        """Read the live superblock again, if it is a metadata snapshot that was read.

        Raises:
            InputError: the snapshot was released, or the pool moved on meanwhile.
        """
        if self.state is not State.SNAP:
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


def _refuse_active(path: Path) -> None:
    try:
        holders = holders_of(path)
    except OSError as error:
        raise InputError(f"{path}: nobody can tell whether it is live: {error}") from error
    if holders:
        raise LiveDeviceError(live_message(path, holders))


def open_pool(  # noqa: PLR0913  # each is a choice of its own
    path: str | Path | BlockDevice,
    *,
    state: AnyState = State.LIVE,
    needs_superblock: bool = True,
    ignore_unsupported: bool = False,
    data_block_sectors: int | None = None,
    on_damage: OnDamage = raise_damage,
) -> Pool:
    """Open a pool's metadata: a device, an image of one, or a compressed image.

    Args:
        path: where it is; it is only read, never written. Of a compressed image no more
            is unpacked than the blocks that its superblock counts. A device that is open
            already, as one that lies in pieces of a disk, is taken over.
        state: what to read: the live state, that of the metadata snapshot (the only one
            that can be read while the pool is active), or a past one by its roots. Only
            the last can be read where the superblock is damaged: what a superblock says
            comes from a copy then, if there is one.
        needs_superblock: False is to open the live state, too, where the superblock is
            damaged; nothing of it can then be read, but all else that is there.
        ignore_unsupported: take superblock versions and incompat flags that are
            not known here.
        data_block_sectors: the data block size, instead of what the superblock says.
        on_damage: told of each damage; the default raises where mappings are lost.

    Raises:
        InputError: `path` cannot be read, is no thin-pool metadata, or is live.
        NoSnapshotError: no metadata snapshot is held.
        NotThereError: a root is past the end of the metadata.
        DamagedMetadataError: the superblock is damaged.
    """
    needs_superblock = state is State.SNAP or (needs_superblock and not isinstance(state, Roots))
    if isinstance(path, BlockDevice):
        device = path
    else:
        inspect = refuse_foreign if needs_superblock else refuse_other_formats
        device = open_blocks(
            Path(path), inspect=counted(inspect), exclusive=state is not State.SNAP
        )
    damage = None
    try:
        try:
            live = read_superblock(device, _LIVE, ignore_unsupported=ignore_unsupported)
        except DamagedMetadataError as error:
            if needs_superblock:
                raise
            damage = error.damage
            live = copied_superblock(device)
        superblock = live
        if state is State.SNAP:
            held_root = _held_root(live, device.name)
            superblock = read_superblock(device, held_root, ignore_unsupported=ignore_unsupported)
        elif isinstance(state, Roots):
            superblock = with_roots(live, state, device.name)
    except BaseException:
        device.close()
        raise
    source = Metadata(device, live.metadata_space_map.nr_blocks)
    pool = Pool(source, live, superblock, on_damage, state, damage)
    return pool if data_block_sectors is None else pool.with_data_block_sectors(data_block_sectors)
