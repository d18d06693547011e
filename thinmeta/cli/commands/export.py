"""`thinmeta export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import VolumeChoice, opened_volume, volume_options
from thinmeta.cli.output import output_option
from thinmeta.cli.parameters import DEVICE
from thinmeta.cli.tar_output import refuse_terminal, write_tar

if TYPE_CHECKING:
    from thinmeta.model.device_spec import DeviceSpec


@click.command()
@click.argument("device", metavar="CONTAINER", type=DEVICE)
@click.option(
    "--as",
    "version",
    type=click.Choice(["20.10", "23"]),
    default="20.10",
    show_default=True,
    help="Write what docker export of this version writes: from 23 on owners have no names.",
)
@volume_options
@output_option
def export(*, device: "DeviceSpec", version: str, place: VolumeChoice, output: Path | None) -> None:
    """Write the files of CONTAINER as a tar, byte for byte what docker export writes.

    CONTAINER is its name or the beginning of its id; a device id does, too. As in Docker,
    what is in volumes mounted there is not in the tar, and sockets are not.

    A file of which a part is lost is left out; with --salvage that part is zeros.
    """
    from thinmeta.archive.docker_export import DockerVersion, headers_of
    from thinmeta.files.file_tree import walk

    refuse_terminal(output)
    with opened_volume(place, device) as volume:
        top = volume.root(all_of_it=False)
        headers = headers_of(volume.opened, top, DockerVersion(version))
        files = walk(volume.opened.file_system, top, b"", volume.on_error)
        write_tar(volume, headers, files, output, salvage=place.salvage)
