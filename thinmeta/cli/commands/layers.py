"""`thinmeta layers`."""

from itertools import chain
from pathlib import Path

import click

from thinmeta.cli.damage import lost_lines, report_for, salvage_option
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.name_options import ENVIRONMENT
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option
from thinmeta.cli.progress import Progress


@click.command()
@click.argument("name", metavar="[IMAGE|CONTAINER]", required=False)
@metadata_options
@salvage_option
@format_option("text", "json")
@output_option
@quiet_option
def layers(  # noqa: PLR0913  # one parameter an option
    *,
    name: str | None,
    choice: MetadataChoice,
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

    IMAGE or CONTAINER is a tag, a name, the beginning of an id, or a device id.
    """
    from thinmeta.analyse.layers import measured, stack
    from thinmeta.formats.disagreements import disagreements_json, disagreements_text
    from thinmeta.formats.layers import forest_text, layers_json, stack_text
    from thinmeta.names.disagreements import disagreements

    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        pool, losses = report.prepared(whole_pool, progress)
        docker = choice.names.docker(pool)
        if docker is None:
            raise click.UsageError(f"layers needs Docker's root: --docker-root, or {ENVIRONMENT}")
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
        if format_name == "json":
            lines = [layers_json(measures, block_bytes), disagreements_json(found)]
        else:
            text = stack_text if name else forest_text
            lines = [text(measures, block_bytes, docker.file_system), disagreements_text(found)]
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            for line in chain.from_iterable(lines):
                file.write(line)
            if format_name == "json":
                for line in lost_lines(losses):
                    file.write(line)
        report.finish()
