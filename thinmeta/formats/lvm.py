"""LVM's groups, as text for people and as JSON lines; `docs/names.md` documents both."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import command_text, printable
from thinmeta.formats.sizes import size_text
from thinmeta.names.lvm_groups import ListedDisk, ListedGroup, ListedVersion, ListedVolume

_DISKS = ("DISK", "UUID", "SIZE", "WHERE")
_VERSIONS = ("VERSION", "WRITTEN", "VOLUMES", "DESCRIPTION")
_VOLUMES = ("NAME", "TYPE", "SIZE", "DEV", "CREATED", "POOL")


def lvm_text(groups: Sequence[ListedGroup], words: Sequence[str]) -> Iterator[bytes]:
    """Return tables for people, and what to type next.

    Args:
        groups: what there is.
        words: that name the disks and texts in a command.
    """
    for group in groups:
        yield f"Group {printable(group.name)}, uuid {group.uuid}\n\n".encode()
        there = [each for each in group.volumes if each.version is None]
        gone = [each for each in group.volumes if each.version is not None]
        yield from _table(_DISKS, map(_disk, group.disks), {0, 1, 3})
        yield from _table(_VERSIONS, map(_version, group.versions), {1, 3})
        yield from _table(_VOLUMES, map(_volume, there), {0, 1, 5})
        if gone:
            yield b"Only in other versions of the text, removed since or made later:\n"
            yield from _table(_VOLUMES, map(_volume, gone), {0, 1, 5})
    for volume in (each for group in groups for each in group.volumes if each.metadata):
        yield f"{command_text('ls', *words, '--lv', volume.name)}\n".encode()


def _table(
    header: tuple[str, ...], rows: Iterable[tuple[str, ...]], left: set[int]
) -> Iterator[bytes]:
    for line in aligned([header, *rows], frozenset(left)):
        yield f"{line.rstrip()}\n".encode()
    yield b"\n"


def _disk(disk: ListedDisk) -> tuple[str, ...]:
    if disk.given_as is None:
        where = f"not given; once {disk.device}" if disk.device else "not given"
    else:
        where = f"{disk.given_as}, from byte {disk.offset} on" if disk.offset else disk.given_as
    return printable(disk.name), disk.uuid, size_text(disk.size), printable(where)


def _version(version: ListedVersion) -> tuple[str, ...]:
    when = "-"
    if version.written is not None:
        when = f"{datetime.fromtimestamp(version.written, UTC):%Y-%m-%d %H:%M:%S} UTC"
    what = [version.description, "counts"] if version.counts else [version.description]
    said = "; ".join(printable(each) for each in what if each)
    return f"#{version.number}", when, str(version.nr_volumes), said


def _volume(volume: ListedVolume) -> tuple[str, ...]:
    return (
        printable(volume.name),
        volume.kind,
        size_text(volume.size),
        "-" if volume.device_id is None else str(volume.device_id),
        "-" if volume.device_id is None else str(volume.transaction_id),
        printable(volume.pool or "-"),
    )


def lvm_json(groups: Sequence[ListedGroup]) -> Iterator[bytes]:
    """Return an object for each group, for each of its disks, versions and volumes; and the end."""
    for group in groups:
        yield json_line(type="group", name=group.name, uuid=group.uuid, shown=group.shown)
        for disk in group.disks:
            yield json_line(type="disk", group_uuid=group.uuid, **disk._asdict())
        for version in group.versions:
            yield json_line(type="version", group_uuid=group.uuid, **version._asdict())
        for volume in group.volumes:
            yield json_line(type="volume", group_uuid=group.uuid, **volume._asdict())
    yield json_line(type="end")
