"""`thinmeta cat`."""

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
from thinmeta.cli.output import Writer, open_output, output_option
from thinmeta.cli.parameters import DEVICE
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.files.file_bytes import FileBytes
    from thinmeta.files.file_system import Inode
    from thinmeta.model.device_spec import DeviceSpec


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("paths", type=PATH, metavar="PATH...", nargs=-1, required=True)
@all_option
@volume_options
@output_option
def cat(
    *,
    device: "DeviceSpec",
    paths: tuple[bytes, ...],
    all_of_it: bool,
    place: VolumeChoice,
    output: Path | None,
) -> None:
    """Write the contents of the files PATH of DEVICE, one after the other.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. Of a Docker device PATH is below rootfs, where
    the files of the image or container are. Symbolic links are followed within it.

    A file of which a part is lost is left out; with --salvage that part is zeros.
    """
    with opened_volume(place, device) as volume:
        top = volume.root(all_of_it=all_of_it)
        with open_output(output, volume.inputs, ahead=False) as file:
            for path in paths:
                _write(volume, top, path, file, salvage=bool(place.salvage))
            volume.refuse_absent()  # before a file that would not be whole is put in place
        volume.finish()


def _write(volume: VolumeFiles, top: "Inode", path: bytes, file: Writer, *, salvage: bool) -> None:
    from thinmeta.errors import InputError, NotThereError
    from thinmeta.files.file_bytes import LostPart, zeros, zeros_instead
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import find, shown

    try:
        found = find(volume.opened.file_system, top, path, follow=True)
        content = _content(volume, found.path, found.inode)
    except NotThereError as error:
        return volume.miss(path, str(error))
    except FileError as error:
        return volume.lose(path, error)
    try:
        if not salvage:
            content.refuse_lost()
    except FileError as error:
        return volume.on_error(path, error)
    for piece in content.pieces():
        if isinstance(piece, memoryview):
            file.write(piece)
            continue
        if isinstance(piece, LostPart):
            if not salvage:
                raise InputError(f"{shown(path)}: {piece}; --salvage goes on, with zeros instead")
            volume.on_error(path, zeros_instead(piece, "output"))
        for part in zeros(piece.length):
            file.write(part)
    return None


def _content(volume: VolumeFiles, path: bytes, inode: "Inode") -> "FileBytes":
    import stat

    from thinmeta.errors import NotThereError
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import shown
    from thinmeta.formats.files import type_text

    if not stat.S_ISREG(inode.mode):
        what = f"{shown(path)}: is a {type_text(inode.mode)}, not a file with contents"
        raise NotThereError(f"{what}; thinmeta files lists it" if inode.is_directory else what)
    try:
        return volume.opened.bytes_of(inode)
    except FileError as error:
        raise FileError(f"{shown(path)}: {error}") from error
