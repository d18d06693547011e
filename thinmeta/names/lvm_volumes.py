"""A thin volume where it lies on LVM's disks, with the size and the origin that LVM gave it."""

from thinmeta.device.extents import Extents
from thinmeta.errors import InputError, NotThereError, ThinmetaError
from thinmeta.lvm.lvm_state import LvmState
from thinmeta.lvm.places import TableLine
from thinmeta.model.device_spec import ChosenDevice, ExternalOrigin
from thinmeta.model.pool import Pool, open_pool
from thinmeta.model.state import State
from thinmeta.model.volumes import volume_of
from thinmeta.names.catalogue import known_as
from thinmeta.names.lvm_catalogue import lvm_catalogue
from thinmeta.volume.contents import Volume
from thinmeta.volume.laid_out import LaidOut
from thinmeta.volume.sources import Sources


def open_lvm_volume(
    state: LvmState, pool: Pool, device_id: int, *, lv: str | None = None
) -> Volume:
    """Open the contents of a device, all of which is on the disks of `state`.

    Args:
        state: the disks, with LVM's metadata; they must stay open.
        pool: its metadata, in the state to read; it must stay open until a byte was read.
        device_id: the device.
        lv: the pool among those of `state`; None for the only one.

    Raises:
        NotThereError: there is no such device, or LVM does not know it: the id alone says
            neither its size nor its origin, for it may have been given again.
        InputError: its data or its external origin cannot be read.

    Example:
        >>> from thinmeta.lvm.lvm_state import read_lvm
        >>> with read_lvm(["fixtures/c01-lvm-thin-one-pv/pv.bin.xz"]) as disks:
        ...     with open_pool(disks.open_metadata("vgthin/pool-b")) as pool:
        ...         with open_lvm_volume(disks, pool, 1, lv="vgthin/pool-b") as volume:
        ...             print(volume.size)
        83886080
    """
    return _open(state, pool, device_id, lv, ())


def open_external_origin(state: LvmState, origin: ExternalOrigin) -> Extents:
    """Open an external origin where it lies on the disks: a thin volume through its own pool.

    Raises:
        InputError: it cannot be read.
    """
    return _open_origin(state, origin, ())


def external_origin_table(state: LvmState, origin: ExternalOrigin) -> list[TableLine]:
    """Return the device-mapper table of an external origin, which is one on disks.

    Raises:
        InputError: it is neither linear nor striped, or is there no more.
    """
    try:
        return state.linear_table(origin.id or origin.name)
    except ThinmetaError as error:
        raise InputError(
            f"the external origin {origin.name}: {error}; give a device with --origin"
        ) from error


def _open(
    state: LvmState, pool: Pool, device_id: int, lv: str | None, within: tuple[str, ...]
) -> Volume:
    device = pool.devices.get(device_id)
    if device is None:
        raise NotThereError(f"{pool.source.device.name}: there is no device {device_id}")
    is_live = pool.state is State.LIVE
    catalogues = [lvm_catalogue(state, lv)]
    known = known_as(catalogues, device_id, device.transaction_id, is_live=is_live)
    if not known:
        raise NotThereError(
            f"{state.source}: LVM does not know device {device_id}, which was created in "
            f"transaction {device.transaction_id}"
        )
    origin = known[0].external_origin
    opened = None if origin is None else _open_origin(state, origin, within)
    sources = Sources(state.open_data(lv), pool.data_block_bytes(), opened)
    return volume_of(ChosenDevice.of(pool, device), sources, size=known[0].size)


def _open_origin(state: LvmState, origin: ExternalOrigin, within: tuple[str, ...]) -> Extents:
    try:
        if not origin.id:
            raise InputError(f"{state.source}: LVM has it no more")
        if origin.id in within:
            raise InputError(f"{state.source}: it is its own origin")
        group, volume = state.find(origin.id)
        if volume.thin is None:
            return state.open_lv(origin.id)
        lv = f"{group.name}/{volume.thin.pool}"
        with open_pool(state.open_metadata(lv)) as pool:
            device = pool.devices.get(volume.thin.device_id)
            if device is None or device.transaction_id != volume.thin.transaction_id:
                raise InputError(f"{lv}: has no such device")
            inside = (*within, origin.id)
            return LaidOut(_open(state, pool, volume.thin.device_id, lv, inside))
    except (ThinmetaError, OSError) as error:
        raise InputError(
            f"the external origin {origin.name} cannot be read: {error}; without it nobody knows "
            f"what the device has where it maps nothing: give it with --origin ({origin.path} on "
            "its host, or an image of that)"
        ) from error
