"""Where a pool and those who name its devices disagree: what a crash leaves behind."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from thinmeta.errors import InputError, NotThereError
from thinmeta.model.pool import Pool
from thinmeta.model.state import Roots
from thinmeta.model.thin_device import ThinDevice
from thinmeta.names.catalogue import Catalogue, NamedDevice, best_names
from thinmeta.names.name_sources import NameSources
from thinmeta.units import DeviceId


class DisagreementKind(Enum):
    """What does not fit."""

    POOL_TRANSACTION = "pool_transaction"
    """The pool's transaction id is not the one that the source knows."""

    UNNAMED = "unnamed"
    """The pool has a device that no name knows."""

    GONE = "gone"
    """A name's device is not in the pool."""

    DELETED = "deleted"
    """The source deleted the device, but it is still in the pool."""

    REUSED = "reused"
    """The device was created in another transaction than the one the source knows."""


class Disagreement(NamedTuple):
    """One thing that does not fit.

    >>> import thinmeta
    >>> names = thinmeta.NameSources("fixtures/docker-loop-lvm-xfs-64k/docker-state")
    >>> path = "fixtures/a09-discards-and-deletes/meta.bin.xz"
    >>> with thinmeta.open_pool(path, names=names) as pool:
    ...     print([each.kind.name for each in pool.disagreements()[:2]])
    ['POOL_TRANSACTION', 'UNNAMED']

    Attributes:
        kind: what it is.
        device_id: the device; None if it is not about one.
        name: of the device; None if it has none, or it is not about one.
        what: a line for people.
    """

    kind: DisagreementKind
    device_id: DeviceId | None
    name: str | None
    what: str


def disagreements(
    devices: Mapping[int, ThinDevice],
    transaction_id: int,
    catalogues: Sequence[Catalogue],
    *,
    is_past: bool = False,
) -> list[Disagreement]:
    """Return where the pool and the sources of names disagree, the pool as a whole first.

    Args:
        devices: the pool's, by id.
        transaction_id: the pool's.
        catalogues: the sources; without any there is nothing to disagree with. One
            that names no device is of no account: Docker's pool is one of LVM's, too,
            and LVM does not know its devices.
        is_past: the devices are those of a state that is past, so that what the sources
            know of later ones is no disagreement.
    """
    telling = [catalogue for catalogue in catalogues if catalogue.devices]
    if not telling:
        return []
    created = {device.device_id: device.transaction_id for device in devices.values()}
    named = set(best_names(telling, created, is_live=not is_past))
    if is_past:
        return list(_unnamed(devices, named, set()))
    of_names = [found for each in telling for found in _of_names(created, each)]
    named |= {found.device_id for found in of_names if found.device_id is not None}
    changing = {catalogue.changing for catalogue in telling}
    return [
        *(found for each in telling if (found := _of_transaction(transaction_id, each))),
        *_unnamed(devices, named, changing),
        *of_names,
    ]


def _unnamed(
    devices: Mapping[int, ThinDevice], named: Set[int], changing: Set[DeviceId | None]
) -> Iterator[Disagreement]:
    for device_id, device in devices.items():
        if device_id not in named:
            what = f"device {device_id} has no name"
            if device_id in changing:
                what += ": it was just being created or deleted"
            yield Disagreement(DisagreementKind.UNNAMED, device.device_id, None, what)


def _of_transaction(transaction_id: int, catalogue: Catalogue) -> Disagreement | None:
    """Return how a source's transaction id is not the pool's, and how that is put right.

    Args:
        transaction_id: the pool's.
        catalogue: the source.
    """
    known = catalogue.transaction_id
    if known is None or known == transaction_id:
        return None
    what = f"the pool is at transaction {transaction_id}, {catalogue.source} at {known}"
    if known < transaction_id:
        what += ": what the pool did since is not recorded there"
    elif known == transaction_id + 1 and catalogue.changing is not None:
        what += f": device {catalogue.changing} was just being created or deleted"
    else:
        what += ": the pool's metadata is older"
    if catalogue.lvm_pool is not None:
        group, pool = catalogue.lvm_pool
        what += (
            f"; LVM works with it only where both are the same: `vgcfgbackup -f FILE {group}`, set "
            f"transaction_id of {pool} in FILE to {transaction_id}, then "
            f"`vgcfgrestore --force -f FILE {group}`"
        )
    return Disagreement(DisagreementKind.POOL_TRANSACTION, None, None, what)


def _of_names(created: Mapping[DeviceId, int], catalogue: Catalogue) -> list[Disagreement]:
    """Return where names and devices do not fit; of a device each kind once, by its best name.

    Args:
        created: the transaction in which each of the pool's devices was created, by id.
        catalogue: the names.
    """
    found = []
    told: dict[DisagreementKind, set[DeviceId]] = defaultdict(set)
    living = {named.device_id for named in catalogue.devices if _is_there(named, created)}
    for named in catalogue.devices:
        transaction_id = created.get(named.device_id)
        is_this = transaction_id is not None and named.transaction_id in (None, transaction_id)
        is_no_more = named.is_deleted and (not is_this or named.device_id in living)
        if named.is_later or is_no_more:
            continue
        if transaction_id is None:
            kind, what = DisagreementKind.GONE, "is not in the pool"
        elif named.is_deleted:
            kind, what = DisagreementKind.DELETED, "was deleted, but is still in the pool"
        elif not is_this:
            kind = DisagreementKind.REUSED
            what = (
                f"was created in transaction {named.transaction_id}, the pool's device in "
                f"{transaction_id}: it may be another"
            )
        else:
            continue
        known = told[kind]
        if named.device_id not in known:
            known.add(named.device_id)
            found.append(Disagreement(kind, named.device_id, named.name, f"{named} {what}"))
    return found


def _is_there(named: NamedDevice, created: Mapping[DeviceId, int]) -> bool:
    transaction_id = created.get(named.device_id)
    if transaction_id is None or not named.is_current:
        return False
    return named.fits(transaction_id, is_live=True)


def transaction_note(pool: Pool, names: NameSources) -> str | None:
    """Return how LVM's transaction id is not the pool's; None if it is, or nobody knows.

    What else is wrong with the names is for those who ask for names.
    """
    if not names.lvm or isinstance(pool.state, Roots) or pool.superblock_damage is not None:
        return None
    with suppress(InputError, NotThereError):
        for catalogue in names.catalogues(pool):
            is_lvms = catalogue.lvm_pool is not None and catalogue.devices
            odd = _of_transaction(pool.superblock.transaction_id, catalogue) if is_lvms else None
            if odd is not None:
                return odd.what
    return None
