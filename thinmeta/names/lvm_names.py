"""What LVM calls the devices of a pool, and called those that it removed since."""

from collections.abc import Iterable

from thinmeta.names.catalogue import NamedDevice, NameKind
from thinmeta.names.lvm_group import LogicalVolume, ThinVolume, VolumeGroup
from thinmeta.names.lvm_places import dashed


def spellings(group: str, volume: str) -> tuple[str, ...]:
    """Return the names that a logical volume goes by; first the one that is shown."""
    mapped = f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
    shown = f"{group}/{volume}"
    return shown, volume, f"/dev/{shown}", mapped, f"/dev/mapper/{mapped}"


def names_of(
    group: VolumeGroup, pool: LogicalVolume, older: Iterable[VolumeGroup]
) -> tuple[NamedDevice, ...]:
    """Return the names of the devices in a pool, by device id, then those that were removed.

    A removed volume is called `vg/lv#SEQNO`, after the last version of the text that has
    it, since both its name and its device id may have been given to another one. It is the
    device of the pool only if its transaction id is that of the device.

    Args:
        group: the volume group.
        pool: the thin pool's volume in it.
        older: earlier versions of the group, newest first.
    """
    thin = group.thin_volumes(pool.name)
    ids = {each.name: one.device_id for each, one in thin}
    there = {each.id for each in group.volumes.values()}
    taken = {spelling for name in group.volumes for spelling in spellings(group.name, name)}
    old_names: dict[str, dict[str, None]] = {}
    removed: dict[str, NamedDevice] = {}
    for version in older:
        pools = (each for each in version.volumes.values() if each.id == pool.id)
        for each, one in version.thin_volumes(next((at.name for at in pools), "")):
            if each.id in there:
                known = old_names.setdefault(each.id, {})
                known.update(dict.fromkeys(spellings(version.name, each.name)))
            elif each.id not in removed:
                origin = version.volumes.get(one.origin)
                removed[each.id] = NamedDevice(
                    one.device_id,
                    NameKind.VOLUME,
                    f"{version.name}/{each.name}#{version.seqno}",
                    aliases=(dashed(each.id),),
                    size=version.bytes_of(each),
                    transaction_id=one.transaction_id,
                    is_deleted=True,
                    origin=origin.thin.device_id if origin and origin.thin else None,
                )

    def named(each: LogicalVolume, one: ThinVolume) -> NamedDevice:
        shown, *others = spellings(group.name, each.name)
        former = [name for name in old_names.get(each.id, ()) if name not in taken]
        return NamedDevice(
            one.device_id,
            NameKind.VOLUME,
            shown,
            aliases=(*others, dashed(each.id), *former),
            size=group.bytes_of(each),
            transaction_id=one.transaction_id,
            origin=ids.get(one.origin),
        )

    return (*(named(*each) for each in thin), *removed.values())
