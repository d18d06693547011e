"""`thinmeta save`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.file_options import VolumeChoice, no_replay_option, opened_device
from thinmeta.cli.file_report import report_option
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import quiet_option
from thinmeta.cli.tar_output import refuse_terminal
from thinmeta.cli.volume_files import VolumeFiles
from thinmeta.cli.volume_options import Files, data_option, inputs_of

if TYPE_CHECKING:
    from thinmeta.files.file_system import Inode
    from thinmeta.images.chosen_image import ImageLayer
    from thinmeta.images.layer_tar import LayerVolume
    from thinmeta.model.pool import Pool
    from thinmeta.names.docker.root import DockerRoot


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@metadata_options
@data_option
@no_replay_option
@click.option(
    "--unproven",
    is_flag=True,
    help="Write a layer that is not what its hash says, too, as another one.",
)
@click.option(
    "--search-seconds",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="Of a layer whose tar-split is missing, look so long for the time at which it was made.",
)
@quiet_option
@report_option
@output_option
def save(  # noqa: PLR0913  # one parameter an option
    *,
    images: tuple[str, ...],
    choice: MetadataChoice,
    data: Path | None,
    no_replay: bool,
    unproven: bool,
    search_seconds: float,
    quiet: bool,
    is_json: bool,
    output: Path | None,
) -> None:
    """Write images as one tar that docker load, podman load, skopeo and umoci read.

    IMAGE is a tag, a repository, the beginning of an image's id, or the id of its device.
    Each layer is put together from its volume and from what Docker kept of its tar, and
    its sha256 is held against the one that the image has: the images are the very ones
    that were built or pulled, by their ids. A layer that is not what its hash says is
    refused, and the files that differ are named.

    Where what Docker kept of a layer's tar is gone, the layer is made of what changed from
    the one below. It is as proven if its sha256 is right, as it may be of layers that were
    built on that host; of a pulled one there is no hope.

    With --unproven: a layer that cannot be proven is written as what its files are now,
    and the image with another id, whose history says so.
    """
    from thinmeta.formats.file_report import summary_object, wrong_file_objects
    from thinmeta.images.chosen_image import ContainerGivenError, choose_images
    from thinmeta.images.layer_tar import LayerVolume
    from thinmeta.images.remade_images import ImageMaker, Proof
    from thinmeta.images.saved_images import saved
    from thinmeta.images.saved_layers import UnprovenLayerError
    from thinmeta.model.device_spec import DeviceSpec

    refuse_terminal(output)
    files = Files(data, None)
    place = VolumeChoice(
        choice, files, replay=not no_replay, salvage=unproven, quiet=quiet, is_json=is_json
    )
    report = place.report()
    with opened(choice, report) as pool:
        report.warn_of(pool)
        docker = choice.names.docker(pool)
        if docker is None:
            raise click.UsageError("images are Docker's: --docker-root says where its files are")
        try:
            chosen = choose_images(docker, images)
        except ContainerGivenError as error:
            raise click.UsageError(str(error)) from error

        @contextmanager
        def open_layer(layer: "ImageLayer") -> "Iterator[LayerVolume]":
            spec = DeviceSpec.parse(str(layer.device_id))
            with opened_device(place, pool, choice.choose(pool, spec), report) as volume:
                yield LayerVolume(volume.opened, _root(volume, layer))

        def inspect(layer: "ImageLayer") -> None:
            _refuse_other_device(choice, pool, docker, layer)

        lost = LostFiles(report)
        proof = Proof(is_needed=not unproven, search_seconds=search_seconds)
        maker = ImageMaker(open_layer, inspect, proof, report.warn, lost.lose)
        try:
            to_save = [maker.image(image) for image in chosen]
            with open_output(output, inputs_of(pool, choice.names, files)) as file:
                for piece in saved(to_save):
                    file.write(piece)
        except UnprovenLayerError as error:
            if is_json:
                report.say_objects(wrong_file_objects(error.wrong_files))
            what = "--unproven writes it as another layer, of an image with another id"
            raise UnprovenLayerError(f"{error}; {what}") from error
        if is_json:
            nr_layers = len({layer.diff_id for image in to_save for layer in image.layers})
            report.say_objects([summary_object({"images": len(to_save), "layers": nr_layers})])
        lost.finish()


def _root(volume: VolumeFiles, layer: "ImageLayer") -> "Inode":
    """Return the directory of a layer's files.

    Raises:
        InputError: there is none, or nobody can tell.
    """
    from thinmeta.errors import InputError
    from thinmeta.files.file_system import FileError

    try:
        root = volume.docker_root()
    except FileError as error:
        raise InputError(f"device {layer.device_id}: {error}") from error
    if root is None:
        raise InputError(f"device {layer.device_id}: has no rootfs, as Docker's have")
    return root


def _refuse_other_device(
    choice: MetadataChoice, pool: "Pool", docker: "DockerRoot", layer: "ImageLayer"
) -> None:
    """Refuse a layer whose device id is that of another device by now; see `presence`."""
    from thinmeta.formats.printable import command_text
    from thinmeta.names.docker.devices import named
    from thinmeta.names.presence import refuse_other_device

    device = docker.device(layer.device_id)
    scan = command_text("scan", *choice.words(pool.source.device.name))
    for name in named(device, None)[:1] if device else ():
        refuse_other_device(pool, name, scan)
