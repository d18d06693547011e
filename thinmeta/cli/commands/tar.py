"""`thinmeta tar`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import (
    PATH,
    VolumeChoice,
    all_option,
    opened_volume,
    volume_options,
)
from thinmeta.cli.file_report import report_option
from thinmeta.cli.output import output_option
from thinmeta.cli.parameters import DEVICE
from thinmeta.cli.tar_output import refuse_terminal, write_tar
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.files.file_system import FileError, Inode
    from thinmeta.files.file_tree import FoundFile
    from thinmeta.model.device_spec import DeviceSpec


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("path", type=PATH, default="/")
@all_option
@volume_options
@report_option
@output_option
def tar(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    path: bytes,
    all_of_it: bool,
    place: VolumeChoice,
    is_json: bool,
    output: Path | None,
) -> None:
    """Write the files of DEVICE as a tar: all that is below the directory PATH, or one file.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. Of a Docker device PATH is below rootfs, where
    the files of the image or container are.

    The tar has all that files have: owners as numbers, all bits of modes, times to the ns,
    hard links, devices, extended attributes and ACLs, holes. GNU tar takes them all out
    with tar --xattrs --xattrs-include='*' --numeric-owner -xpf.

    A file of which a part is lost is left out; with --salvage that part is zeros.
    """
    from thinmeta.files.file_tree import find

    refuse_terminal(output)
    with opened_volume(place._replace(is_json=is_json), device) as volume:
        top = volume.root(all_of_it=all_of_it)
        found = find(volume.opened.file_system, top, path, follow=False)
        _write(volume, found, output, salvage=bool(place.salvage))


def _write(volume: VolumeFiles, found: "FoundFile", output: Path | None, *, salvage: bool) -> None:
    """Write a file, or a directory with all that is in it, which is called `.` there."""
    from thinmeta.archive.pax_headers import PaxHeaders
    from thinmeta.files.file_tree import walk

    path, inode = found

    def on_error(name: bytes, error: "FileError") -> None:
        volume.on_error(path + name[1:] if inode.is_directory else path, error)

    def files() -> "Iterator[tuple[bytes, Inode]]":
        if not inode.is_directory:
            yield path.rpartition(b"/")[2], inode
            return
        yield b".", inode
        yield from walk(volume.opened.file_system, inode, b".", on_error)

    write_tar(volume, PaxHeaders(), files(), output, salvage=salvage, on_error=on_error)
