"""`thinmeta commit`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinmeta.cli.file_options import VolumeChoice, no_replay_option
from thinmeta.cli.file_report import report_option
from thinmeta.cli.image_options import (
    ImageVolumes,
    ProofChoice,
    docker_root_of,
    proof_options,
    rootfs_of,
)
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, ParameterType, quiet_option
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.tar_output import refuse_terminal, warn_of_sockets
from thinmeta.cli.volume_files import VolumeFiles
from thinmeta.cli.volume_options import Files, data_option, inputs_of

if TYPE_CHECKING:
    from thinmeta.images.chosen_container import ChosenContainer
    from thinmeta.images.committed_layer import CommittedLayer
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.names.catalogue import NamedDevice
    from thinmeta.names.docker.root import DockerRoot


class _ImageName(ParameterType):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.images.repository_name import tag_of

        try:
            return tag_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("device", metavar="CONTAINER", type=DEVICE)
@click.argument("name", metavar="NAME", type=_ImageName())
@click.option("--author", default="", metavar="TEXT", help="Who made the image.")
@click.option("--message", default="", metavar="TEXT", help="What to say about it.")
@metadata_options
@data_option
@no_replay_option
@salvage_option
@proof_options
@quiet_option
@report_option
@output_option
def commit(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    name: str,
    author: str,
    message: str,
    choice: MetadataChoice,
    data: Path | None,
    no_replay: bool,
    salvage: Salvage,
    proof: ProofChoice,
    quiet: bool,
    is_json: bool,
    output: Path | None,
) -> None:
    """Write CONTAINER as an image that docker load takes, so that it can run again.

    CONTAINER is its name or the beginning of its id; a device id does, too. NAME is what
    the image is called: a repository, and a tag, which is latest if there is none.

    As docker commit makes it, it is the container's image with one more layer, which has
    what the container changed, and it is run as the container was. What was on volumes
    mounted there is not in it; they are listed. Its time is that at which the container
    stopped: the same container gives the same image.

    A file of which a part is lost is left out; with --salvage that part is zeros. The
    layers of the container's image are as thinmeta save writes them.
    """
    from thinmeta.images.committed_image import Said, committed_image
    from thinmeta.images.saved_images import saved

    refuse_terminal(output)
    files = Files(data, None)
    place = VolumeChoice(
        choice, files, replay=not no_replay, salvage=salvage, quiet=quiet, is_json=is_json
    )
    report = place.report()
    with opened(choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        docker = docker_root_of(place, pool, "containers")
        volumes = ImageVolumes(place, pool, docker, report, device.state)
        # It takes a while until there is something to be written: what may not be is refused first.
        with open_output(output, inputs_of(pool, choice.names, files)) as file:
            chosen = choice.choose(pool, device)
            container = _container(docker, chosen, choice.names.names_of(chosen))
            volumes.refuse_other_device(container.below)
            for mount in container.mounts:
                report.warn(f"what is in {mount.destination} is not in the image: {mount.source}")
            with (
                volumes.opened(container.below) as old,
                volumes.opened(container.device_id) as new,
                volumes.images([container.image], proof, new.lose_other) as (below,),
            ):
                layer, created = _layer(container, old, new, salvage=bool(salvage))
                said = Said(name, created, author, message)
                for piece in saved([committed_image(container, below, layer, said)]):
                    file.write(piece)
        warn_of_sockets(report, layer.nr_sockets)
        new.finish(files=layer.nr_files, sockets=layer.nr_sockets)


def _container(
    docker: "DockerRoot", chosen: "ChosenDevice", names: "list[NamedDevice]"
) -> "ChosenContainer":
    """Return the container that a device is of.

    Raises:
        UsageError: it is an image's; the message says what writes that.
        NotThereError: it is no container's.
        InputError: what Docker kept of it is not complete.
    """
    from thinmeta.errors import NotThereError
    from thinmeta.formats.printable import command_text
    from thinmeta.images.chosen_container import chosen_container
    from thinmeta.names.catalogue import NameKind

    named = names[0] if names else None
    if named is not None and named.kind is NameKind.IMAGE:
        save = command_text("save", named.name)
        raise click.UsageError(f"{named.name} is an image: `{save}` writes it")
    device = docker.device(named.device_id) if named else None
    if named is None or device is None or device.kind is not NameKind.CONTAINER:
        what = f"Docker calls it {named.kind.value}" if named else "Docker does not know it"
        raise NotThereError(f"{docker.path}: {chosen.name} is no container: {what}")
    return chosen_container(docker, device)


def _layer(
    container: "ChosenContainer", old: VolumeFiles, new: VolumeFiles, *, salvage: bool
) -> "tuple[CommittedLayer, str]":
    """Return what a container changed, and when it was that."""
    from thinmeta.archive.layer_archive import layer_members
    from thinmeta.files.file_changes import ComparedTree
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import shown
    from thinmeta.images.committed_image import time_of
    from thinmeta.images.committed_layer import CommittedLayer, newest
    from thinmeta.images.docker_times import seconds_of

    def on_error(path: bytes, error: FileError) -> None:
        what = f"{shown(path)} of device {container.below}, which it was created from: {error}"
        new.lose(path, FileError(f"{what}: nobody can tell whether it changed"))

    members = layer_members(
        ComparedTree(old.opened.file_system, rootfs_of(old, container.below), on_error),
        ComparedTree(new.opened.file_system, rootfs_of(new, container.device_id), new.on_error),
    )
    created = time_of(container, newest(new.opened, members))
    removed_at, owners = seconds_of(created) or 0, container.image.owners
    return CommittedLayer(
        new.opened, members, removed_at, owners, new.on_error, salvage=salvage
    ), created
