"""Devices by names that they had: of one that was deleted, the newest state that has all of it."""

from typing import NamedTuple

from thinmeta.analyse.deleted import PastDevice, past_devices
from thinmeta.analyse.recover.block_classes import BlockClass
from thinmeta.analyse.recover.scan import Scan, scan
from thinmeta.errors import NoLongerThereError
from thinmeta.model.device_spec import DeviceSpec
from thinmeta.model.pool import Pool
from thinmeta.model.state import State
from thinmeta.names.name_sources import NameSources


class Resolved(NamedTuple):
    """Whom a DEVICE that was typed names.

    Attributes:
        spec: with its id, and its state where it is not of the one that was opened.
        past: where it was found, if it was deleted since; None if it is there.
        known: what is known of that, in words.
        nr_unreadable: blocks of the metadata that could not be read: what is newer may be there.
    """

    spec: DeviceSpec
    past: PastDevice | None = None
    known: str = ""
    nr_unreadable: int = 0


def resolved_anywhen(
    names: NameSources, pool: Pool, spec: DeviceSpec, scan_command: str
) -> Resolved:
    """Return whom `spec` names, in the newest state that has all of it if it was deleted.

    Older states are looked at only where the live one has not the device, and no state was
    named. An id is none of a name's: it means the device that has it.

    Args:
        names: who knows names.
        pool: the pool.
        spec: as it was typed.
        scan_command: lists the states of `pool`, for messages.

    Raises:
        NotThereError: see `NameSources.resolved`; or no state has all of the device.
    """
    try:
        return Resolved(names.resolved(pool, spec, scan_command))
    except NoLongerThereError as error:
        if spec.state is not None or pool.state is not State.LIVE:
            raise
        found = scan(pool.source.device)
        past = _newest(found, pool, error)
        if past is None:
            raise
        if past.fuller is not None or not past.found.is_whole:
            raise NoLongerThereError(
                error.known,
                _choices(spec, past),
                error.device_id,
                error.transaction_id,
            ) from error
        state = past.state.roots
        at = f"{spec.text}@{state}"
        found_spec = spec._replace(text=at, device_id=error.device_id, state=state)
        nr_unreadable = found.count(BlockClass.UNREADABLE)
        return Resolved(found_spec, past, error.known, nr_unreadable)


def _choices(spec: DeviceSpec, past: PastDevice) -> str:
    """Say what there is where no state has all that the device had."""
    there, full = past.found, (past.fuller or past).found
    return (
        f"no state has all of it any more: it had {full.mapped_blocks} blocks; "
        f"{spec.text}@{past.state.roots} has {there.nr_mappings} of the {there.mapped_blocks} that "
        "it had then"
    )


def _newest(scanned: Scan, pool: Pool, error: NoLongerThereError) -> PastDevice | None:
    """Return the device that is meant; None if no state has it, or there may be several."""
    found = [
        each
        for each in past_devices(scanned, pool)
        if each.found.device_id == error.device_id
        and error.transaction_id in (None, each.found.transaction_id)
    ]
    return found[0] if len(found) == 1 else None
