"""Devices that were deleted: which, in which state they are still whole, and what is left of them.

A device is its id together with the transaction and the time that it was created in, since
ids are given again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from thinmeta.analyse.fate import fates_of
from thinmeta.analyse.fate_ranges import Fate, Fates
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.scan import Scan
from thinmeta.errors import Damage
from thinmeta.model.device_columns import DevicesById
from thinmeta.model.device_spec import ChosenDevice, DeviceSpec, typed_name
from thinmeta.model.pool import Pool
from thinmeta.model.thin_device import ThinDevice
from thinmeta.names.catalogue import Catalogue, NamedDevice
from thinmeta.units import DeviceId, OnProgress

_Identity = tuple[int, int | None, int | None]
"""Device id, transaction and time of its creation."""

_AT_ONCE = 1 << 22
"""Mappings of deleted devices that are in memory together."""


class PastDevice(NamedTuple):
    """A device of which a state is left, though the pool has it no more.

    Attributes:
        state: the newest state in which all of it is there; if there is none, that with most.
        found: what that state has of it.
        fuller: where the device had more blocks, not all of which are there any more; None
            if there is no such state. Which of both is the newer one is not known.
    """

    state: Candidate
    found: FoundDevice
    fuller: "PastDevice | None" = None

    def spec(self, name: str | None = None) -> DeviceSpec:
        """Return how it is named on a command line, by its id or a name."""
        device_id = self.found.device_id
        shown = str(device_id) if name is None else typed_name(name)
        return DeviceSpec(f"{shown}@{self.state.roots}", device_id, None, self.state.roots, name)


@dataclass(frozen=True, slots=True)
class DeletedDevice:
    """A device that the pool has no more.

    Attributes:
        device_id: its id, which another device may have now.
        transaction_id: the pool's when it was created; None if nobody says.
        names: what it was called, best first.
        past: where it is still found; None if nowhere.
        fates: what became of its blocks; None likewise.
    """

    device_id: DeviceId
    transaction_id: int | None
    names: tuple[NamedDevice, ...]
    past: PastDevice | None = None
    fates: Fates | None = None

    @property
    def nr_mapped(self) -> int:
        """How many blocks it had."""
        return 0 if self.past is None else self.past.found.mapped_blocks or 0

    @property
    def nr_missing(self) -> int:
        """How many of them nothing is known of, since their mappings are lost."""
        return 0 if self.past is None else max(0, self.nr_mapped - self.past.found.nr_mappings)

    @property
    def nr_lost(self) -> int:
        """How many of them cannot be read back."""
        counts = {} if self.fates is None else self.fates.counts
        return self.nr_missing + sum(counts.get(each, 0) for each in _LOST)


_LOST = (Fate.TAKEN, Fate.UNKNOWN, Fate.PAST_END)


def past_devices(found: Scan, live: Pool) -> list[PastDevice]:
    """Return the devices of past states that the pool does not have now.

    Where the live list of devices is damaged, what it may have is left out.

    Args:
        found: of the pool's metadata.
        live: the pool in its live state.
    """
    table = live.device_table
    now = DevicesById(table.devices)
    best: dict[_Identity, tuple[tuple[int, int], PastDevice]] = {}
    fullest: dict[_Identity, PastDevice] = {}
    for state in found.candidates:
        if state.is_live:
            continue
        can_be_read = _can_be_read(state, live)
        for device in found.devices(state):
            if device.transaction_id is None or _may_be_there(device, now.get(device.device_id)):
                continue
            if device.device_id in table.without_details or table.is_lost(device.device_id):
                continue
            identity = (device.device_id, device.transaction_id, device.creation_time)
            is_better = (-_wholeness(state, device), -device.nr_mappings)
            if can_be_read and (identity not in best or is_better < best[identity][0]):
                best[identity] = is_better, PastDevice(state, device)
            if not device.is_whole and (device.mapped_blocks or 0) > _most(fullest.get(identity)):
                fullest[identity] = PastDevice(state, device)
    return [_beside(past, fullest.get(identity)) for identity, (_, past) in best.items()]


def _can_be_read(state: Candidate, live: Pool) -> bool:
    """Tell whether both trees of a state are there, within what the pool says is metadata."""
    roots = state.roots
    if roots is None or roots.details_root is None:
        return False
    return max(roots.mapping_root, roots.details_root) < live.source.nr_blocks


def _most(past: PastDevice | None) -> int:
    return -1 if past is None else past.found.mapped_blocks or 0


def _beside(past: PastDevice, fullest: PastDevice | None) -> PastDevice:
    return past._replace(fuller=fullest) if _most(fullest) > _most(past) else past


def _wholeness(state: Candidate, device: FoundDevice) -> int:
    if not device.is_whole:
        return 0
    return 2 if state.is_whole else 1


def _may_be_there(device: FoundDevice, now: ThinDevice | None) -> bool:
    created = (device.transaction_id, device.creation_time)
    return now is not None and created == (now.transaction_id, now.creation_time)


def named_as(past: FoundDevice, catalogues: Sequence[Catalogue]) -> tuple[NamedDevice, ...]:
    """Return what a deleted device was called, best first."""
    return tuple(
        named
        for catalogue in catalogues
        for named in catalogue.devices
        if named.device_id == past.device_id and named.fits(past.transaction_id, is_live=False)
    )


def deleted_devices(
    found: Scan,
    live: Pool,
    catalogues: Sequence[Catalogue],
    on_progress: OnProgress | None = None,
) -> tuple[DeletedDevice, ...]:
    """Return the devices that a pool has no more, best kept first.

    What LVM or Docker know of, and no state has any more, comes last.

    Args:
        found: of the pool's metadata.
        live: the pool in its live state; its `on_damage` is told what is damaged of that.
        catalogues: who may know their names.
        on_progress: told of each piece of the live mapping trees that was read.

    Raises:
        DamagedMetadataError: the live state is damaged, and `on_damage` raises.
    """
    past = past_devices(found, live)
    whole = [
        DeletedDevice(
            each.found.device_id,
            each.found.transaction_id,
            named_as(each.found, catalogues),
            each,
            fates,
        )
        for some in _batches(past)
        for each, fates in zip(some, past_fates(live, some, on_progress), strict=True)
    ]
    whole.sort(key=_best_kept_first)
    known = {(each.device_id, each.transaction_id) for each in whole}
    return (*whole, *_only_named(live, catalogues, known))


def past_fates(
    live: Pool, past: Sequence[PastDevice], on_progress: OnProgress | None = None
) -> list[Fates]:
    """Return what became of the blocks of some devices; what is lost of them raises nothing."""
    return fates_of(live, [_chosen(live, each) for each in past], on_progress)


def _chosen(live: Pool, past: PastDevice) -> ChosenDevice:
    roots, found = past.state.roots, past.found
    assert roots is not None  # as of all that `past_devices` returns
    pool = replace(live, on_damage=_go_on).in_state(roots)
    device = ThinDevice(
        found.device_id,
        found.mapped_blocks or 0,
        found.transaction_id or 0,
        found.creation_time or 0,
        found.snap_time or 0,
        found.mapping_root,
    )
    return ChosenDevice(past.spec().text, pool, found.mapping_root, device, found.device_id)


def _go_on(_: Damage) -> None:
    """What is lost is counted."""


def _batches(past: Sequence[PastDevice]) -> Iterator[list[PastDevice]]:
    """Return devices together, as many as are not too much in memory at once."""
    some: list[PastDevice] = []
    nr_mappings = 0
    for each in past:
        if some and nr_mappings + each.found.nr_mappings > _AT_ONCE:
            yield some
            some, nr_mappings = [], 0
        some.append(each)
        nr_mappings += each.found.nr_mappings
    if some:
        yield some


def _best_kept_first(deleted: DeletedDevice) -> tuple[float, int, int]:
    mapped = deleted.nr_mapped
    return (deleted.nr_lost / mapped if mapped else 1.0, -mapped, deleted.device_id)


def _only_named(
    live: Pool, catalogues: Sequence[Catalogue], known: set[tuple[DeviceId, int | None]]
) -> Iterator[DeletedDevice]:
    """Return what only the sources of names know of."""
    now = DevicesById(live.device_table.devices)
    named: dict[tuple[DeviceId, int | None], list[NamedDevice]] = {}
    for each in (each for catalogue in catalogues for each in catalogue.devices):
        device = now.get(each.device_id)
        is_there = device is not None and each.fits(device.transaction_id, is_live=True)
        if not is_there and not each.is_later:
            named.setdefault((each.device_id, each.transaction_id), []).append(each)
    for (device_id, transaction_id), names in sorted(named.items(), key=lambda item: item[0][0]):
        is_lost = live.device_table.is_lost(device_id)
        if (device_id, transaction_id) not in known and not is_lost:
            yield DeletedDevice(device_id, transaction_id, tuple(names))
