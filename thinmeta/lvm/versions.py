"""Which version of which volume group counts, of all that several files and disks hold."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thinmeta.device.occupants import occupant_of
from thinmeta.device.signatures import disk_image
from thinmeta.errors import InputError
from thinmeta.lvm.disk import Disk
from thinmeta.lvm.group import VolumeGroup, read_group
from thinmeta.lvm.label import FoundText, FoundVolume, Trust, physical_volumes
from thinmeta.lvm.text import MOST_TEXT_BYTES
from thinmeta.units import METADATA_BLOCK_BYTES

_MOST_FILES = 4096
"""How many files of a folder are looked at."""

_MOST_TRIED = 16
"""How many texts of a group are tried until one can be read."""


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A volume group in the version that counts.

    Attributes:
        group: the group.
        others: all other texts about it, newest first, each once.
    """

    group: VolumeGroup
    others: tuple[str, ...]


def read_file(disk: Disk) -> FoundText | list[FoundVolume[Disk]]:
    """Return the text that a file is, or the physical volumes that it holds.

    Raises:
        InputError: it is neither.
    """
    if disk.offset is None and disk.size <= MOST_TEXT_BYTES and 0 not in disk.read(0, 512):
        text = disk.read(0, disk.size).decode(errors="replace")
        group = read_group(text, disk.name)
        return FoundText(group.id, group.seqno, text, Trust.GIVEN, disk.name)
    try:
        return physical_volumes(disk)
    except InputError as error:
        what = disk_image(disk.read(0, METADATA_BLOCK_BYTES))
        if what is None and (held := occupant_of(disk.fd)) is not None:
            what = f"{error}; it holds {held}"
            if "LUKS" in held:
                what += "; `cryptsetup open --readonly DISK NAME` makes /dev/mapper/NAME of it"
            raise InputError(what) from error
        if what is not None:
            raise InputError(f"{disk.name}: {what}") from error
        raise


def texts_in(folder: Path) -> list[FoundText]:
    """Return the texts in a folder such as /etc/lvm, in it and in its `backup` and `archive`.

    They count where no disk has one, the newest first. What is no text is passed over.

    Raises:
        InputError: there is none.
    """
    found = []
    paths = [each for part in ("", "backup", "archive") for each in (folder / part).glob("*")]
    for path in sorted(paths)[:_MOST_FILES]:
        with suppress(InputError, OSError):
            if path.is_file() and path.stat().st_size <= MOST_TEXT_BYTES:
                text = path.read_text(errors="replace")
                group = read_group(text, str(path))
                found.append(FoundText(group.id, group.seqno, text, Trust.FOUND, str(path)))
    if not found:
        raise InputError(f"{folder}: there is no text metadata in it, nor in backup and archive")
    return found


def newest_groups(texts: Iterable[FoundText]) -> tuple[list[FoundGroup], list[str]]:
    """Return each group in the version that counts, and what is odd, one line each.

    A more trusted text comes before a newer one.
    """
    by_group: dict[str, list[FoundText]] = {}
    for found in texts:
        by_group.setdefault(found.group_id, []).append(found)
    groups, notes = [], []
    for about in by_group.values():
        best_first = sorted(about, key=lambda found: (found.trust, found.seqno), reverse=True)
        group, wrong = _first_readable(best_first[:_MOST_TRIED])
        notes += wrong
        if group is None:
            continue
        on_disk = [found.seqno for found in about if found.trust is Trust.SOUND]
        if max(on_disk, default=group.seqno) != group.seqno:
            notes.append(
                f"{group.name}: version {group.seqno} counts, as it was given; "
                f"the disks have version {max(on_disk)}"
            )
        # A restored group counts on from its backup, so that two texts may have one number.
        newest_first = sorted(about, key=lambda found: found.seqno, reverse=True)
        others = dict.fromkeys(found.text for found in newest_first)
        groups.append(FoundGroup(group, tuple(others)))
    return groups, notes


def _first_readable(best_first: Sequence[FoundText]) -> tuple[VolumeGroup | None, list[str]]:
    wrong: list[str] = []
    for found in best_first:
        try:
            return read_group(found.text, found.source), wrong
        except InputError as error:
            wrong.append(f"{error}; an older text is taken, if there is one")
    return None, wrong
