"""`thinmeta files`."""

from collections.abc import Iterator
from pathlib import Path
from stat import S_ISLNK
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import (
    PATH,
    VolumeChoice,
    all_option,
    opened_volume,
    volume_options,
)
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, format_option
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.files.file_system import Inode
    from thinmeta.files.file_tree import FoundFile
    from thinmeta.model.device_spec import DeviceSpec


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("path", type=PATH, default="/")
@click.option("-l", "--long", "is_long", is_flag=True, help="Say what ls -l says of each.")
@click.option("-R", "--recursive", is_flag=True, help="List all that is below PATH, by its paths.")
@click.option("-0", "--null", is_flag=True, help="End names with NUL, and escape nothing in them.")
@all_option
@format_option("text", "json")
@volume_options
@output_option
def files(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    path: bytes,
    is_long: bool,
    recursive: bool,
    null: bool,
    all_of_it: bool,
    format_name: str,
    place: VolumeChoice,
    output: Path | None,
) -> None:
    """List the files of DEVICE: what is in the directory PATH, or the file PATH.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. Of a Docker device PATH is below rootfs, where
    the files of the image or container are.
    """
    from thinmeta.files.file_tree import find
    from thinmeta.formats.files import joined

    if null and (is_long or format_name != "text"):
        raise click.UsageError("-0 goes with names alone, not with -l nor with -f json")
    with opened_volume(place, device) as volume:
        top = volume.root(all_of_it=all_of_it)
        found = find(volume.opened.file_system, top, path, follow=False)
        if is_long or format_name == "json":
            lines = _lines(volume, found, recursive=recursive, is_json=format_name == "json")
        else:
            lines = _names(volume, found, recursive=recursive, is_raw=null)
        with open_output(output, volume.inputs) as file:
            for part in joined(lines):
                file.write(part)
        volume.finish()


def _names(
    volume: VolumeFiles, found: "FoundFile", *, recursive: bool, is_raw: bool
) -> Iterator[bytes]:
    from thinmeta.files.file_tree import entries_of
    from thinmeta.formats.files import name_line, raw_name

    line = raw_name if is_raw else name_line
    path, inode = found
    if recursive or not inode.is_directory:
        return (line(name) for name, _ in _files(volume, found, recursive=recursive))
    entries = entries_of(volume.opened.file_system, inode, path, volume.on_error)
    return (line(entry.name) for entry in entries)


def _lines(
    volume: VolumeFiles, found: "FoundFile", *, recursive: bool, is_json: bool
) -> Iterator[bytes]:
    from thinmeta.formats.files import ListedFile, file_object, long_line

    line = file_object if is_json else long_line
    for name, inode in _files(volume, found, recursive=recursive):
        target = _target(volume, name, inode) if S_ISLNK(inode.mode) else None
        yield line(ListedFile(name, inode, target))


def _files(
    volume: VolumeFiles, found: "FoundFile", *, recursive: bool
) -> Iterator[tuple[bytes, "Inode"]]:
    """Yield the files to list, each with the name by which it is."""
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import below, entries_of, walk

    file_system = volume.opened.file_system
    path, inode = found
    if not inode.is_directory:
        yield b"/" + path, inode
    elif recursive:
        for name, each in walk(file_system, inode, path, volume.on_error):
            yield b"/" + name, each
    else:
        for name, number in entries_of(file_system, inode, path, volume.on_error):
            try:
                yield name, file_system.inode(number)
            except FileError as error:
                volume.on_error(below(path, name), error)


def _target(volume: VolumeFiles, name: bytes, link: "Inode") -> bytes | None:
    from thinmeta.files.file_system import FileError

    try:
        return volume.opened.file_system.link_target(link)
    except FileError as error:
        volume.on_error(name, error)
        return None
