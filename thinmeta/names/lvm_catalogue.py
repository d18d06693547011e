"""What LVM calls the devices of a pool, and called those that it removed since."""

from collections.abc import Iterable

from thinmeta.lvm.group import LogicalVolume, ThinVolume, VolumeGroup
from thinmeta.lvm.lvm_state import LvmState
from thinmeta.lvm.spellings import dashed, spellings
from thinmeta.model.device_spec import ExternalOrigin
from thinmeta.names.catalogue import Catalogue, NamedDevice, NameKind

_VolumeIdentity = tuple[int, int]
"""Device id, and the transaction that the device was created in."""

_ThinOfGroup = tuple[VolumeGroup, LogicalVolume, ThinVolume]
"""A thin volume, and the version of its group that has it."""


def lvm_catalogue(state: LvmState, pool: str | None) -> Catalogue:
    """Return the names of a pool's devices, by device id, then those that were removed.

    Raises:
        NotThereError: there is no such pool, or `pool` is None and there are several.
    """
    found = state.pool(pool)
    group, volume, thin_pool, note = found
    devices = names_of(group, volume, state.versions(group))
    # A pool in which LVM made nothing is somebody else's, as Docker's: LVM leaves 0 there.
    is_ours = bool(devices or thin_pool.transaction_id)
    waiting = (f"{found}: LVM was about to tell it: {each}" for each in thin_pool.messages)
    return Catalogue(
        state.source,
        devices,
        transaction_id=thin_pool.transaction_id if is_ours else None,
        data_block_sectors=thin_pool.chunk_sectors,
        notes=(*state.notes, *filter(None, [note]), *waiting),
        lvm_pool=None if thin_pool.messages else (group.name, volume.name),
    )


def names_of(
    group: VolumeGroup, pool: LogicalVolume, versions: Iterable[VolumeGroup]
) -> tuple[NamedDevice, ...]:
    """Return the names of the devices in a pool, by device id, then those of other versions.

    A volume that the version that counts has not is called `vg/lv#SEQNO`, after the last
    version of the text that has it, since both its name and its device id may have been
    given to another one; where nobody else has the plain name now, that is an alias of it.
    What tells a device from all others is its id together with the transaction that it was
    created in: a volume keeps its uuid when a snapshot is merged
    into it, but is another device from then on.

    Args:
        group: the volume group.
        pool: the thin pool's volume in it.
        versions: all known versions of the group, newest first.
    """
    current = [(group, *found) for found in group.thin_volumes(pool.name)]
    there = {_identity(one) for _, _, one in current}
    others: dict[_VolumeIdentity, _ThinOfGroup] = {}
    called: dict[_VolumeIdentity, dict[str, None]] = {}
    for version in versions:
        pools = (each.name for each in version.volumes.values() if each.id == pool.id)
        for each, one in version.thin_volumes(next(pools, "")):
            identity = _identity(one)
            names = called.setdefault(identity, {})
            names[f"{version.name}/{each.name}#{version.seqno}"] = None
            names[f"{each.name}#{version.seqno}"] = None
            names.update(dict.fromkeys(spellings(version.name, each.name)))
            if identity not in there:
                others.setdefault(identity, (version, each, one))
    taken = {spelling for name in group.volumes for spelling in spellings(group.name, name)}
    taken |= {dashed(each.id) for each in group.volumes.values()}

    def aliases(identity: _VolumeIdentity, *own: str) -> tuple[str, ...]:
        return (*own, *(name for name in called.get(identity, ()) if name not in taken))

    found = []
    for version, each, one in current:
        shown, *spelt = spellings(group.name, each.name)
        known = aliases(_identity(one), *spelt, dashed(each.id))
        found.append(_named(group, (version, each, one), shown, known))
    shown_others: set[str] = set()
    for identity, (version, each, one) in others.items():
        shown = f"{version.name}/{each.name}#{version.seqno}"
        if shown in shown_others:  # two texts of one number have it
            shown = f"{shown}.{one.device_id}.{one.transaction_id}"
        shown_others.add(shown)
        uuid = () if dashed(each.id) in taken else (dashed(each.id),)
        found.append(_named(group, (version, each, one), shown, aliases(identity, *uuid)))
    return tuple(found)


def _identity(one: ThinVolume) -> _VolumeIdentity:
    return one.device_id, one.transaction_id


def _named(
    group: VolumeGroup, found: _ThinOfGroup, shown: str, aliases: tuple[str, ...]
) -> NamedDevice:
    version, each, one = found
    origin = version.volumes.get(one.origin)
    is_other = version is not group
    return NamedDevice(
        one.device_id,
        NameKind.VOLUME,
        shown,
        aliases=aliases,
        size=version.bytes_of(each),
        transaction_id=one.transaction_id,
        version=version.seqno if is_other else None,
        is_deleted=is_other and version.seqno <= group.seqno,
        is_later=is_other and version.seqno > group.seqno,
        origin=origin.thin.device_id if origin and origin.thin else None,
        external_origin=_external_origin(group, version, one),
    )


def _external_origin(
    group: VolumeGroup, version: VolumeGroup, one: ThinVolume
) -> ExternalOrigin | None:
    """Return it as it is called now; without an id where it is there no more."""
    if not one.external_origin:
        return None
    then = version.volumes.get(one.external_origin)
    now = (each for each in group.volumes.values() if then is not None and each.id == then.id)
    volume = next(now, None)
    shown, *_, path = spellings(group.name, volume.name if volume else one.external_origin)
    if volume is None:
        return ExternalOrigin(shown, "", path, version.bytes_of(then) if then else 0)
    return ExternalOrigin(shown, dashed(volume.id), path, group.bytes_of(volume))
