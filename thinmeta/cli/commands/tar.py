"""`thinmeta tar`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import (
    PATH,
    VolumeChoice,
    VolumeFiles,
    all_option,
    opened_volume,
    volume_options,
)
from thinmeta.cli.output import output_option
from thinmeta.cli.parameters import DEVICE
from thinmeta.cli.tar_output import refuse_terminal, write_tar

if TYPE_CHECKING:
    from thinmeta.files.file_system import Inode
    from thinmeta.files.file_tree import FoundFile
    from thinmeta.model.device_spec import DeviceSpec


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("path", type=PATH, default="/")
@all_option
@volume_options
@output_option
def tar(
    *,
    device: "DeviceSpec",
    path: bytes,
    all_of_it: bool,
    place: VolumeChoice,
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
    from thinmeta.archive.pax_headers import PaxHeaders
    from thinmeta.files.file_tree import find

    refuse_terminal(output)
    with opened_volume(place, device) as volume:
        top = volume.root(all_of_it=all_of_it)
        found = find(volume.opened.file_system, top, path, follow=False)
        write_tar(volume, PaxHeaders(), _files(volume, found), output, salvage=place.salvage)


def _files(volume: VolumeFiles, found: "FoundFile") -> "Iterator[tuple[bytes, Inode]]":
    """Yield the files with their names in the archive."""
    from thinmeta.files.file_tree import walk

    if not found.inode.is_directory:
        yield found.path.rpartition(b"/")[2], found.inode
        return
    yield b".", found.inode
    yield from walk(volume.opened.file_system, found.inode, b".", volume.on_error)
