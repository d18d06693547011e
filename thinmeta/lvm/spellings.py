"""The names that a logical volume goes by."""

from itertools import pairwise

from thinmeta.lvm.group import LogicalVolume, VolumeGroup


def spellings(group: str, volume: str) -> tuple[str, ...]:
    """Return the names that a logical volume goes by; first the one that is shown."""
    mapped = f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
    shown = f"{group}/{volume}"
    return shown, volume, f"/dev/{shown}", mapped, f"/dev/mapper/{mapped}"


def is_called(name: str, group: VolumeGroup, volume: LogicalVolume) -> bool:
    """Tell whether `name` is one of a logical volume's, or its uuid, or has its group's."""
    shown = name.replace("[", "").replace("]", "")  # as lvs shows hidden volumes
    by_uuid = (dashed(volume.id), f"{dashed(group.id)}/{volume.name}")
    return shown in (*spellings(group.name, volume.name), *by_uuid)


def dashed(uuid: str) -> str:
    """Return `uuid` as LVM shows it."""
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(uuid[begin:end] for begin, end in pairwise(cuts))
