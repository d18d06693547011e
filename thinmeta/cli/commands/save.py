"""`thinmeta save`."""

from pathlib import Path

import click

from thinmeta.cli.file_options import VolumeChoice, no_replay_option
from thinmeta.cli.file_report import report_option
from thinmeta.cli.image_options import ImageVolumes, ProofChoice, docker_root_of, proof_options
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import quiet_option
from thinmeta.cli.salvage_options import Salvage
from thinmeta.cli.tar_output import refuse_terminal
from thinmeta.cli.volume_options import Files, data_option, inputs_of


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@metadata_options
@data_option
@no_replay_option
@proof_options
@quiet_option
@report_option
@output_option
def save(  # noqa: PLR0913  # one parameter an option
    *,
    images: tuple[str, ...],
    choice: MetadataChoice,
    data: Path | None,
    no_replay: bool,
    proof: ProofChoice,
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
    from thinmeta.formats.file_report import summary_object
    from thinmeta.images.chosen_image import ContainerGivenError, choose_images
    from thinmeta.images.saved_images import saved

    refuse_terminal(output)
    files = Files(data, None)
    salvage = Salvage.PROVEN if proof.unproven else Salvage.NO
    place = VolumeChoice(
        choice, files, replay=not no_replay, salvage=salvage, quiet=quiet, is_json=is_json
    )
    report = place.report()
    lost = LostFiles(report)
    with opened(choice, report) as pool:
        report.warn_of(pool)
        docker = docker_root_of(place, pool, "images")
        try:
            chosen = choose_images(docker, images)
        except ContainerGivenError as error:
            raise click.UsageError(str(error)) from error
        inputs = inputs_of(pool, choice.names, files)
        with (
            ImageVolumes(place, pool, docker, report).images(chosen, proof, lost.lose) as to_save,
            open_output(output, inputs) as file,
        ):
            for piece in saved(to_save):
                file.write(piece)
        if is_json:
            nr_layers = len({layer.diff_id for image in to_save for layer in image.layers})
            report.say_objects([summary_object({"images": len(to_save), "layers": nr_layers})])
        lost.finish()
