"""`thinmeta export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import VolumeChoice, opened_device, volume_options
from thinmeta.cli.file_report import report_option
from thinmeta.cli.metadata import opened
from thinmeta.cli.output import output_option
from thinmeta.cli.parameters import DEVICE
from thinmeta.cli.tar_output import refuse_terminal, write_tar

if TYPE_CHECKING:
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.names.catalogue import NamedDevice


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
@report_option
@output_option
def export(
    *, device: "DeviceSpec", version: str, place: VolumeChoice, is_json: bool, output: Path | None
) -> None:
    """Write the files of CONTAINER as a tar, byte for byte what docker export writes.

    CONTAINER is its name, the beginning of its id, or the id of its device. As in Docker,
    what is in volumes mounted there is not in the tar, and sockets are not.

    A file of which a part is lost is left out; with --salvage that part is zeros.
    """
    from thinmeta.archive.docker_export import DockerVersion, headers_of
    from thinmeta.files.file_tree import walk

    refuse_terminal(output)
    place = place._replace(is_json=is_json)
    report = place.report()
    with opened(place.choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = place.choice.choose(pool, device)
        _refuse_image(place.choice.names.names_of(chosen))
        with opened_device(place, pool, chosen, report) as volume:
            top = volume.root(all_of_it=False)
            headers = headers_of(volume.opened, top, DockerVersion(version))
            files = walk(volume.opened.file_system, top, b"", volume.on_error)
            write_tar(volume, headers, files, output, salvage=bool(place.salvage))


def _refuse_image(names: "list[NamedDevice]") -> None:
    """Refuse a device that is known as an image, by a UsageError that says what writes it."""
    from thinmeta.formats.printable import command_text
    from thinmeta.names.catalogue import NameKind

    if names and names[0].kind is NameKind.IMAGE:
        name = names[0].name
        save, tar = command_text("save", name), command_text("tar", name)
        what = f"{name} is an image: `{save}` writes it, `{tar}` its files"
        raise click.UsageError(what)
