"""`thinmeta scan` of a whole disk: where metadata is on it, if it does not begin with it."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from thinmeta.cli.bad_map_option import bad_map_words
from thinmeta.cli.damage import DamageReport
from thinmeta.cli.parameters import from_environment
from thinmeta.cli.progress import Progress
from thinmeta.cli.whole_metadata import WholeChoice
from thinmeta.errors import InputError, SalvagedError

if TYPE_CHECKING:
    from thinmeta.analyse.recover.whole_disk import DiskSearch


def path_of(choice: WholeChoice) -> Path | None:
    """Return where METADATA is, if that is a file or a device of its own."""
    if choice.path is not None or choice.names.has_disks:
        return choice.path
    return choice.names.metadata_path(from_environment())


def disk_lines(
    choice: WholeChoice, format_name: str, report: DamageReport, progress: Progress
) -> Iterator[bytes] | None:
    """Return what to print of a disk with metadata further on; None where there is no such thing.

    Args:
        choice: METADATA, or the disk.
        format_name: how to print.
        report: is told what else the disk is.
        progress: of the search.
    """
    path = path_of(choice)
    if path is None or choice.metadata_snapshot:
        return None
    found = _searched(path, report, progress)
    if found is None or not found.places or any(each.begin == 0 for each in found.places):
        return None
    return _lines(path, found, format_name)


def _searched(path: Path, report: DamageReport, progress: Progress) -> "DiskSearch | None":
    """Search a disk; None where it begins with metadata, or cannot be read."""
    from thinmeta.analyse.recover.glance import glance
    from thinmeta.analyse.recover.whole_disk import metadata_places
    from thinmeta.device.opening import open_blocks
    from thinmeta.device.signatures import refuse_other_formats

    beginnings: list[bytes] = []
    try:
        device = open_blocks(path, inspect=partial(_refuse_superblock, beginnings))
    except InputError:
        return None
    with closing(device):
        if glance(device).sound_block is not None:
            return None
        with progress:
            found = metadata_places(device, progress.advance)
    if found.places:
        try:
            refuse_other_formats(beginnings[0] if beginnings else b"")
        except InputError as error:
            report.warn(f"{path}: {error}")
    return found


def _refuse_superblock(beginnings: list[bytes], beginning: bytes) -> None:
    """Keep the first block; a sound superblock needs no search, and no disk to be unpacked."""
    import numpy as np

    from thinmeta.schemas.decode import checked_superblock
    from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION

    beginnings.append(beginning)
    row = np.frombuffer(beginning, dtype=np.uint8)
    if checked_superblock(row, SUPERBLOCK_LOCATION).fault is None:
        raise InputError("begins with metadata")


def _lines(path: Path, found: "DiskSearch", format_name: str) -> Iterator[bytes]:
    from thinmeta.device.part_of_file import PartOfFile
    from thinmeta.formats.disk_places import places_json, places_text

    part = PartOfFile.of(path)
    if format_name == "json":
        yield from places_json(found.places, part.offset or 0)
    else:
        disk, words = str(part.path), bad_map_words()
        yield from places_text(found.places, disk, part.offset or 0, words)
    if found.nr_unreadable:
        raise SalvagedError(
            f"{path}: blocks that cannot be read: {found.nr_unreadable}; metadata that is there "
            "is missing"
        )
