"""`thinmeta copy`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
from thinmeta.cli.parameters import DEVICE, FILE
from thinmeta.cli.progress import Progress, copied_text
from thinmeta.cli.volume_files import VolumeFiles

if TYPE_CHECKING:
    from thinmeta.device.inputs import Inputs
    from thinmeta.files.file_system import FileError, Inode
    from thinmeta.files.file_tree import FoundFile
    from thinmeta.model.device_spec import DeviceSpec

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("paths", type=PATH, metavar="PATH...", nargs=-1, required=True)
@click.argument("destination", type=FILE, metavar="DEST")
@click.option(
    "--archive",
    is_flag=True,
    help="Keep owners, all bits of modes, devices, pipes, sockets, extended attributes and "
    "ACLs; for root only.",
)
@click.option("--force", is_flag=True, help="Replace files that are in DEST already.")
@all_option
@volume_options
@report_option
def copy(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    paths: tuple[bytes, ...],
    destination: Path,
    archive: bool,
    force: bool,
    all_of_it: bool,
    place: VolumeChoice,
    is_json: bool,
) -> None:
    """Copy the files and directories PATH of DEVICE to DEST.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. Of a Docker device PATH is below rootfs, where
    the files of the image or container are.

    If DEST is a folder, or more than one PATH is given, each goes into it by its last
    name; otherwise DEST is the new name. Of / and of a PATH that ends in /. the contents
    go into the folder, not the directory itself.

    Copies have modes without setuid, setgid and sticky, times, symbolic and hard links,
    and holes. Files that exist are left as they are, and no link in DEST is followed.

    A file of which a part is lost is left out; with --salvage that part is zeros.
    """
    from thinmeta.copies.tree_copy import CopyRules, TreeCopy

    if archive and os.geteuid() != 0:
        raise click.UsageError("--archive gives files to their owners, which only root may do")
    with opened_volume(place._replace(is_json=is_json), device) as volume:
        top = volume.root(all_of_it=all_of_it)
        found = _found(volume, top, paths)
        if not found:
            volume.finish(files=0, special=0)
        progress = Progress(quiet=place.quiet, text=copied_text)

        def on_error(path: bytes, error: "FileError") -> None:
            progress.take_away()
            volume.on_error(path, error)

        def on_refused(target: bytes, what: str) -> None:
            progress.take_away()
            volume.fail_to_write(target, what)

        with (
            progress,
            _opened(destination, volume.inputs, several=len(paths) > 1) as (base, name, target),
        ):
            made = TreeCopy(
                volume.opened,
                base,
                name,
                volume.inputs,
                CopyRules(bool(place.salvage), force, archive),
                on_error=on_error,
                on_refused=on_refused,
                on_written=lambda nr_bytes: progress.advance(nr_bytes, nr_bytes),
            )
            try:
                for last, each in found:
                    made.add(each, last if target is None else target)
                made.finish()
            finally:
                made.close()
        if (nr := made.nr_special) and not is_json:
            what = f"devices, pipes and sockets that were left out: {nr}"
            volume.report.warn(f"{what}; root gets them with --archive")
        volume.finish(files=made.nr_files, special=made.nr_special)


def _found(
    volume: VolumeFiles, top: "Inode", paths: tuple[bytes, ...]
) -> "list[tuple[bytes, FoundFile]]":
    """Return what is there, with its last name; that of a directory's contents is empty."""
    from thinmeta.errors import NotThereError
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import find, shown

    found: list[tuple[bytes, FoundFile]] = []
    taken: dict[bytes, bytes] = {}
    for path in paths:
        try:
            each = find(volume.opened.file_system, top, path, follow=False)
        except NotThereError as error:
            volume.miss(path, str(error))
            continue
        except FileError as error:
            volume.lose(path, error)
            continue
        last = each.path.rpartition(b"/")[2]
        if path.rpartition(b"/")[2] == b"." and each.inode.is_directory:
            last = b""
        if last and last in taken:
            both = f"{shown(taken[last])} and {shown(path)}"
            raise click.UsageError(f"{both} would be one file of DEST: copy them one by one")
        taken[last] = path
        found.append((last, each))
    return found


@contextmanager
def _opened(
    destination: Path, inputs: "Inputs", *, several: bool
) -> "Iterator[tuple[int, str, bytes | None]]":
    """Open the folder that copies go into; the name in it that one copy gets, if it is new.

    Raises:
        OutputError: it cannot be opened or made, or is read.
    """
    from thinmeta.device.outputs import errors_of

    with errors_of(str(destination)):
        is_folder = destination.is_dir()
        if is_folder or several:
            inputs.refuse_folder(destination)
            if not is_folder:
                destination.mkdir()
            folder, target = destination, None
        else:
            inputs.refuse(destination)
            folder, target = destination.parent, os.fsencode(destination.name)
        base = os.open(folder, _FOLDER)
    try:
        yield base, "" if folder == Path() else str(folder), target
    finally:
        os.close(base)
