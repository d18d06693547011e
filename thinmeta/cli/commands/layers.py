"""`thinmeta layers`."""

from itertools import chain
from pathlib import Path

import click

from thinmeta.cli.compared_files import StackFiles, refuse_options
from thinmeta.cli.damage import LostFiles, lost_lines, report_for, salvage_option
from thinmeta.cli.file_options import VolumeChoice, no_replay_option
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.name_options import ENVIRONMENT
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.volume_options import Files, data_option, inputs_of, open_needed_data


@click.command()
@click.argument("name", metavar="[IMAGE|CONTAINER]", required=False)
@click.option("--files", "of_files", is_flag=True, help="Show the files that each layer changed.")
@metadata_options
@data_option
@no_replay_option
@salvage_option
@format_option("text", "json")
@output_option
@quiet_option
def layers(  # noqa: PLR0913  # one parameter an option
    *,
    name: str | None,
    of_files: bool,
    choice: MetadataChoice,
    data: Path | None,
    no_replay: bool,
    salvage: bool,
    format_name: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show what Docker's images and containers are made of, layer by layer.

    Of an image or a container: its stack, from the base device to the top, with the
    instruction that made each layer, and what it added, changed and removed against
    the layer below. Without one: all of them as a tree, and what the pool and Docker
    disagree on. The pool need not be active, and Docker need not run.

    With --files: below each layer the files that it added (A), changed (C) and removed
    (D), as docker diff shows them; they are read from the pool's data.

    IMAGE or CONTAINER is a tag, a name, the beginning of an id, or a device id.
    """
    from thinmeta.analyse.layers import measured, stack
    from thinmeta.formats.disagreements import disagreements_json, disagreements_text
    from thinmeta.formats.layers import forest_text, layers_json, stack_text
    from thinmeta.names.disagreements import disagreements

    if not of_files:
        refuse_options(("data", "no_replay"), "only goes")
    elif not name:
        raise click.UsageError("--files shows those of an image or a container: say of which")
    files = Files(data, None)
    place = VolumeChoice(choice, files, replay=not no_replay, salvage=salvage, quiet=quiet)
    report = report_for(salvage=salvage, quiet=quiet)
    lost = LostFiles(report)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        pool, losses = report.prepared(whole_pool, progress)
        docker = choice.names.docker(pool)
        if docker is None:
            raise click.UsageError(f"layers needs Docker's root: --docker-root, or {ENVIRONMENT}")
        if of_files:  # before anything is printed
            open_needed_data(
                pool, files, choice.names, report_for(salvage=False, quiet=True), direct=False
            )
        for note in docker.notes:
            report.warn(f"{docker.path}: {note}")
        devices = docker.devices
        chosen = stack(devices, docker.called(name)) if name else devices.values()
        with progress:
            measures = measured(pool, devices, chosen, losses=losses, on_progress=progress.advance)
        found = disagreements(pool.devices, pool.superblock.transaction_id, [docker.catalogue()])
        if name:
            ids = {device.record.device_id for device in chosen if device.record}
            found = [each for each in found if each.device_id is None or each.device_id in ids]
        block_bytes = pool.data_block_bytes()
        changes_of = StackFiles(place, whole_pool, report, lost).changes if of_files else None
        if format_name == "json":
            lines = [layers_json(measures, block_bytes, changes_of), disagreements_json(found)]
        elif name:
            text = stack_text(measures, block_bytes, docker.file_system, changes_of)
            lines = [text, disagreements_text(found)]
        else:
            text = forest_text(measures, block_bytes, docker.file_system)
            lines = [text, disagreements_text(found)]
        with open_output(output, inputs_of(pool, choice.names, files)) as file:
            for line in chain.from_iterable(lines):
                file.write(line)
            if format_name == "json":
                for line in lost_lines(losses):
                    file.write(line)
        lost.finish()
