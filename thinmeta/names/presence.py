"""Whether a pool, in one of its states, has the device that a name is about."""

from thinmeta.errors import NoLongerThereError, NotThereError
from thinmeta.model.device_columns import DevicesById
from thinmeta.model.pool import Pool
from thinmeta.model.state import State
from thinmeta.names.catalogue import NamedDevice
from thinmeta.units import DeviceId


def refuse_other_device(pool: Pool, named: NamedDevice, scan: str) -> None:
    """Refuse a name whose device id is that of another device in the state of `pool`.

    Where the list of devices is damaged at that id, nothing is refused: whoever reads the
    device tells of the damage.

    Args:
        pool: the pool.
        named: the device, as its name says.
        scan: the command that lists the states of `pool`.

    Raises:
        NoLongerThereError: the device is not there, or is another.
        NotThereError: nobody can tell.
    """
    table = pool.device_table
    is_live = pool.state is State.LIVE
    where = "the pool" if is_live else f"state {pool.state}"
    by_id = f"{named.device_id}" if is_live else f"{named.device_id}@{pool.state}"
    device = DevicesById(table.devices).get(named.device_id)
    if device is not None:
        if not named.fits(device.transaction_id, is_live=is_live):
            raise NoLongerThereError(
                _told(named),
                f"device {device.device_id} of {where} was created in "
                f"transaction {device.transaction_id}, so it may be another; "
                f"{by_id} reads that one{_hint(named, scan)}",
                *_identity(named),
            )
    elif named.device_id in table.without_details:
        if not named.fits(None, is_live=is_live):
            raise NotThereError(
                f"{_told(named)}; {where} has a device {named.device_id}, but its details are not "
                f"known, so nobody can tell whether it is the same; {by_id} reads it all the same"
            )
    elif not table.is_lost(named.device_id):
        raise NoLongerThereError(
            _told(named), f"it is not in {where}{_hint(named, scan)}", *_identity(named)
        )


def _identity(named: NamedDevice) -> tuple[DeviceId, int | None]:
    return named.device_id, named.transaction_id


def _told(named: NamedDevice) -> str:
    created = named.transaction_id
    of = "" if created is None else f", created in transaction {created}"
    if named.is_deleted:
        after = "" if named.version is None else f" after version {named.version}"
        return f"{named.name} was removed{after}; it was device {named.device_id}{of}"
    return f"{named.kind.value} {named.name} is device {named.device_id}{of}"


def _hint(named: NamedDevice, scan: str) -> str:
    return (
        f"; if its mappings are still on disk, `{scan}` finds the state, to be appended: "
        f"{named.name}@MAPROOT:DETAILSROOT"
    )
