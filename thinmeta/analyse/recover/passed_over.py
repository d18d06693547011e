"""What a chosen state costs: newer states that were not chosen, older ones that have more.

A repair goes on with the best state that is whole enough. One that is newer may have been
passed over, because its details are lost or some of its nodes are; and an older one may
still have a device whole of which the chosen one has lost a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.scan import Scan
from thinmeta.model.device_loss import DeviceLoss
from thinmeta.model.thin_device import ThinDevice
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import DeviceId, MetadataBlock
from thinmeta.walk.changes import Change, compared
from thinmeta.walk.difference import unshared_leaves, windows
from thinmeta.walk.nodes import Metadata

_MOST_STATES = 1000
"""States that are looked at: there may be very many, and the best come first."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A state that may be newer than the chosen one.

    Attributes:
        candidate: the state; without a mapping root only its details are left. None is the
            superblock's, of whose mappings nothing is left.
        devices: those of which it has, or had, what the chosen one has not.
    """

    candidate: Candidate | None
    devices: tuple[FoundDevice, ...]


@dataclass(frozen=True, slots=True)
class WholeDevice:
    """An older state that has a device whole.

    Attributes:
        candidate: the state.
        device: as it has it.
    """

    candidate: Candidate
    device: FoundDevice


def passed_over(source: Metadata, scan: Scan, chosen: Candidate) -> PassedOver | None:
    """Return the best state that may be newer than `chosen` and has what that has not.

    Args:
        source: where to read.
        scan: of the same metadata.
        chosen: one of its candidates.
    """
    devices = {each.device_id: each for each in scan.devices(chosen)}
    others = (each for each in scan.candidates if each is not chosen)
    for other in islice((each for each in others if _may_be_newer(each, chosen)), _MOST_STATES):
        found = tuple(
            device
            for device in scan.devices(other)
            if _has_more(source, device, devices.get(device.device_id))
        )
        if found:
            return PassedOver(other, found)
    return None


def left_out(scan: Scan, chosen: Candidate) -> PassedOver | None:
    """Return what the best state has, or had, more of than one that somebody asked for.

    Args:
        scan: of the metadata.
        chosen: one of its candidates.
    """
    best = scan.candidates[0]
    kept = {each.device_id: each.nr_mappings for each in scan.devices(chosen)}
    devices = tuple(
        each
        for each in scan.devices(best)
        if max(each.nr_mappings, each.mapped_blocks or 0) > kept.get(each.device_id, -1)
    )
    return PassedOver(best, devices) if devices and best is not chosen else None


def whole_devices(
    scan: Scan,
    live: Sequence[ThinDevice],
    losses: Sequence[DeviceLoss],
) -> dict[DeviceId, WholeDevice]:
    """Return the best state that has each device whole of which something is lost.

    Only a state in which the id meant the same device counts: one that was made in the
    same transaction and at the same time.

    Args:
        scan: of the metadata.
        live: the devices as they are, of which some are incomplete.
        losses: what is lost of them.
    """
    wanted = {
        loss.tree.device_id: loss
        for loss in losses
        if loss.tree.device_id is not None and loss.missing and not loss.is_complete
    }
    births = {each.device_id: (each.transaction_id, each.creation_time) for each in live}
    found: dict[DeviceId, WholeDevice] = {}
    states = (each for each in scan.candidates if each.is_pair and not each.is_live)
    for candidate in islice(states, _MOST_STATES):
        if len(found) == len(wanted):
            break
        for device in scan.devices(candidate):
            loss = wanted.get(device.device_id)
            if loss is None or device.device_id in found:
                continue
            is_same = births.get(device.device_id) == (device.transaction_id, device.creation_time)
            if is_same and device.is_whole and device.nr_mappings > loss.found:
                found[device.device_id] = WholeDevice(candidate, device)
    return found


def _may_be_newer(other: Candidate, chosen: Candidate) -> bool:
    """Tell whether a state would rank above the chosen one if it were whole.

    What its lost nodes held is taken for as new as can be: of the state's own time.
    """
    if other.mapping_root is None:
        is_named = other.superblock == SUPERBLOCK_LOCATION
        return is_named or _are_later_details(other, chosen)
    if other.is_pair and (other.time < chosen.time or not other.nr_nodes_lost):
        return False
    return _rank_if_whole(other) > _rank_if_whole(chosen)


def _are_later_details(other: Candidate, chosen: Candidate) -> bool:
    """Tell whether details without mappings may be later than the chosen state.

    Where the times are the same, neither place nor sum can tell by itself: blocks are given
    out upwards until the end is reached, and a discard leaves fewer mappings.
    """
    times, chosen_times = ((each.time, each.transaction_id or 0) for each in (other, chosen))
    if times != chosen_times:
        return times > chosen_times
    is_above = (other.details_root or 0) > (chosen.details_root or 0)
    return is_above or (other.mapped_blocks or 0) > (chosen.mapped_blocks or chosen.nr_mappings)


def _rank_if_whole(state: Candidate) -> tuple[int, ...]:
    root = state.mapping_root or MetadataBlock(0)
    if not state.nr_nodes_lost:
        return (state.mapping_time, state.nr_newest, state.nr_mappings, root)
    lost = max(0, (state.mapped_blocks or 0) - state.nr_mappings)
    time = max(state.mapping_time, state.time)
    newest = lost + (state.nr_newest if time == state.mapping_time else 0)
    return (time, newest, state.nr_mappings + lost, root)


def _has_more(source: Metadata, device: FoundDevice, chosen: FoundDevice | None) -> bool:
    """Tell whether a device has, or had, mappings that the chosen state's device has not."""
    if chosen is None:
        return True
    roots = device.mapping_root, chosen.mapping_root
    if roots[0] is not None and roots[0] == roots[1]:
        return False
    if max(device.nr_mappings, device.mapped_blocks or 0) > chosen.nr_mappings:
        return True
    if device.nr_nodes_lost:
        return True  # nobody can tell what they held
    return any(_more(source, (roots[0], roots[1])))


def _more(
    source: Metadata, roots: tuple[MetadataBlock | None, MetadataBlock | None]
) -> Iterator[bool]:
    """Tell, piece by piece, whether the first tree has mappings that the other has not."""

    def go_on(_: object) -> None:
        """Pass over damage: what is lost of either is known already."""

    left, right = unshared_leaves(source, roots, prune=True)
    for window in windows(source, left, right, (go_on, go_on)):
        change = compared(window).change
        yield bool(((change == Change.CHANGED) | (change == Change.REMOVED)).any())
