"""`thinmeta layers`."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.compared_files import StackFiles
from thinmeta.cli.damage import DamageReport, lost_lines, report_for
from thinmeta.cli.file_options import VolumeChoice, no_replay_option
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.name_options import ENVIRONMENT
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import format_option, quiet_option, refuse_options
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.together import Group, freed_lines
from thinmeta.cli.volume_options import Files, data_option, inputs_of, open_needed_data

if TYPE_CHECKING:
    from thinmeta.formats.layers import ChangesOf
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool
    from thinmeta.names.docker.root import DockerRoot


@click.command()
@click.argument("name", metavar="[IMAGE|CONTAINER]", required=False)
@click.option("--files", "of_files", is_flag=True, help="Show the files that each layer changed.")
@click.option(
    "--together",
    multiple=True,
    metavar="IMAGE|CONTAINER",
    help="Show what removing it with all that stands on it frees; `containers` are all. "
    "Repeatable.",
)
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
    together: tuple[str, ...],
    choice: MetadataChoice,
    data: Path | None,
    no_replay: bool,
    salvage: Salvage,
    format_name: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show what images and containers are made of, layer by layer: those of Docker and others.

    Of an image or a container: its stack, from the base device to the top, with the
    instruction that made each layer, and what it added, changed and removed against
    the layer below. Without one: all of them as a tree, and what the pool and Docker
    disagree on. The pool need not be active, and Docker need not run.

    With --files: below each layer the files that it added (A), changed (C) and removed
    (D), as docker diff shows them; they are read from the pool's data.

    With --together: what the pool gains when a container is removed with its -init
    device, or an image with all that stands on it and the layers that only it has.

    IMAGE or CONTAINER is a tag, a name, the beginning of an id, or a device id.
    """
    if together and (name or of_files):
        raise click.UsageError("--together is instead of a stack: give what to remove with it")
    if not of_files:
        refuse_options(("data", "no_replay"), "only goes")
    elif not name:
        raise click.UsageError("--files shows those of an image or a container: say of which")
    files = Files(data, None)
    place = VolumeChoice(choice, files, replay=not no_replay, salvage=salvage, quiet=quiet)
    report = report_for(salvage=salvage, quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        pool, losses = report.prepared(whole_pool, progress := Progress(quiet=quiet))
        docker = choice.names.containers(pool)
        if docker is None:
            what = f"--docker-root, {ENVIRONMENT} or --containerd-root"
            raise click.UsageError(f"layers needs the root of Docker or containerd: {what}")
        if of_files:  # before anything is printed
            open_needed_data(
                pool, files, choice.names, report_for(salvage=Salvage.NO, quiet=True), direct=False
            )
        for note in docker.notes:
            report.warn(f"{docker.path}: {note}")
        shown = _Shown(pool, docker, losses, report, progress, as_json=format_name == "json")
        lost = LostFiles(report)
        if together:
            lines = shown.together(together)
        else:
            changes_of = StackFiles(place, whole_pool, report, lost).changes if of_files else None
            lines = shown.stack(name, changes_of)
        with open_output(output, inputs_of(pool, choice.names, files)) as file:
            for line in chain(lines, lost_lines(losses) if format_name == "json" else ()):
                file.write(line)
        lost.finish()


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is asked of Docker's devices in a pool, and how it is printed."""

    pool: "Pool"
    docker: "DockerRoot"
    losses: "Losses | None"
    report: DamageReport
    progress: Progress
    as_json: bool

    def together(self, names: Iterable[str]) -> Iterable[bytes]:
        """Return what the pool gains when Docker removes each of `names`."""
        groups = [self._removed(name) for name in names]
        with self.progress:
            return freed_lines(
                self.pool, self.losses, groups, self.report, self.progress, as_json=self.as_json
            )

    def _removed(self, name: str) -> Group:
        from thinmeta.names.docker.removal import removed_together

        gone = removed_together(self.docker, name)
        ids = [device.record.device_id for device in gone if device.record]
        return Group(name, [each for each in ids if each in self.pool.devices])

    def stack(self, name: str | None, changes_of: "ChangesOf | None") -> Iterable[bytes]:
        """Return the stack of one, or all devices as a tree."""
        from thinmeta.analyse.layers import measured, stack
        from thinmeta.formats.disagreements import disagreements_json, disagreements_text
        from thinmeta.formats.layers import forest_text, layers_json, stack_text
        from thinmeta.names.disagreements import disagreements

        pool, docker, progress = self.pool, self.docker, self.progress
        devices = docker.devices
        chosen = stack(devices, docker.called(name)) if name else devices.values()
        with progress:
            measures = measured(
                pool, devices, chosen, losses=self.losses, on_progress=progress.advance
            )
        found = disagreements(pool.devices, pool.superblock.transaction_id, [docker.catalogue()])
        if name:
            ids = {device.record.device_id for device in chosen if device.record}
            found = [each for each in found if each.device_id is None or each.device_id in ids]
        block_bytes = pool.data_block_bytes()
        if self.as_json:
            text = layers_json(measures, block_bytes, changes_of)
        elif name:
            text = stack_text(measures, block_bytes, docker.file_system, changes_of)
        else:
            text = forest_text(measures, block_bytes, docker.file_system)
        if self.as_json:
            return chain(text, disagreements_json(found))
        return chain(text, disagreements_text(found, docker.whose))
