"""What each choice of a repair keeps and what it loses, in devices and mappings."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.choice import Choice
from thinmeta.analyse.recover.scan import Scan
from thinmeta.model.losses import Losses
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION
from thinmeta.units import DeviceId

_MOST_OTHERS = 5


class Weighed(NamedTuple):
    """A choice.

    Attributes:
        candidate: the state; None is the superblock's.
        is_rebuilt: whether it is with what was put together of it, or stands in.
        is_chosen: whether it is gone on with.
        time: the pool's clock stood there or further.
        nr_devices: of which anything is left, or that have no mappings.
        nr_mappings: that are left.
        nr_missing: of those that the newest details count; None where these are lost.
    """

    candidate: Candidate | None
    is_rebuilt: bool
    is_chosen: bool
    time: int
    nr_devices: int
    nr_mappings: int
    nr_missing: int | None


def weighed(chosen: Choice, found: Scan, losses: Losses) -> tuple[Weighed, ...]:
    """Return the choices that there were, the chosen one and better ones first.

    Args:
        chosen: what is gone on with.
        found: all states of its pool.
        losses: what is lost of it, of all its devices.
    """
    stored = _stored(chosen, found, losses)
    kept = {each.tree.device_id: each.found for each in losses.devices}
    own = Weighed(
        chosen.candidate,
        is_rebuilt=bool(losses.rebuilt or chosen.stand_ins),
        is_chosen=True,
        time=chosen.pool.superblock.time,
        nr_devices=sum(bool(each.found) or each.is_complete for each in losses.devices),
        nr_mappings=sum(each.found for each in losses.devices),
        nr_missing=_missing(stored, kept),
    )
    states = (each for each in found.candidates if each.mapping_root is not None)
    others = [
        own if each is chosen.candidate else _other(found, each, stored)
        for each in islice(states, _MOST_OTHERS)
        if chosen.candidate is not None or not each.is_live
    ]
    if chosen.live_left is not None:
        live = Weighed(
            None,
            is_rebuilt=True,
            is_chosen=False,
            time=chosen.pool.live_superblock.time,
            **chosen.live_left._asdict(),
        )
        others.insert(0, live)
    if chosen.candidate is not None:
        return tuple(others if own in others else (*others, own))
    return (*_before(chosen, own, losses), own, *others)


def _stored(chosen: Choice, found: Scan, losses: Losses) -> dict[DeviceId, int]:
    """Return how many mappings each device has by the newest details that can be read."""
    if chosen.candidate is None:
        return {
            each.tree.device_id: each.tree.stored
            for each in losses.devices
            if each.tree.device_id is not None and each.tree.stored is not None
        }
    states = [each for each in found.candidates if each.details_root is not None]
    named = (each for each in states if each.superblock == SUPERBLOCK_LOCATION)
    newest = next(named, next(iter(states), None))
    devices = () if newest is None else found.devices(newest)
    return {
        each.device_id: each.mapped_blocks for each in devices if each.mapped_blocks is not None
    }


def _missing(stored: Mapping[DeviceId, int], kept: Mapping[Any, int]) -> int | None:
    """Return how many of them are not kept; None if nobody knows how many there were."""
    lost = (max(0, number - kept.get(each, 0)) for each, number in stored.items())
    return sum(lost) if stored else None


def _before(chosen: Choice, own: Weighed, losses: Losses) -> Iterator[Weighed]:
    """Return the superblock's state as it is read, if more of it was put together."""
    again = {each.device_id: 0 for each in losses.rebuilt}
    for each in losses.rebuilt:
        again[each.device_id] += each.nr_mappings
    for stand_in in chosen.stand_ins:
        again[stand_in.device.device_id] = stand_in.device.nr_mappings
    if not again:
        return
    nr_again = min(own.nr_mappings, sum(again.values()))
    nr_emptied = sum(
        each.tree.device_id in again and each.found <= again[each.tree.device_id]
        for each in losses.devices
    )
    yield own._replace(
        is_rebuilt=False,
        is_chosen=False,
        nr_devices=own.nr_devices - nr_emptied,
        nr_mappings=own.nr_mappings - nr_again,
        nr_missing=None if own.nr_missing is None else own.nr_missing + nr_again,
    )


def _other(found: Scan, state: Candidate, stored: Mapping[DeviceId, int]) -> Weighed:
    left = {each.device_id: each.nr_mappings for each in found.devices(state)}
    return Weighed(
        state,
        is_rebuilt=False,
        is_chosen=False,
        time=state.time,
        nr_devices=state.nr_devices - state.nr_devices_lost,
        nr_mappings=state.nr_mappings,
        nr_missing=_missing(stored, left),
    )
