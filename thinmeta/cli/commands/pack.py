"""`thinmeta pack`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.output import force_option, open_output, output_option
from thinmeta.cli.parameters import quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.whole_metadata import (
    WholeChoice,
    opened_whole,
    refuse_damaged_superblock,
    warn_of,
    whole_metadata_argument,
)
from thinmeta.errors import SalvagedError

if TYPE_CHECKING:
    from thinmeta.errors import Damage


@click.command()
@whole_metadata_argument
@output_option
@force_option("-f", "--force")
@quiet_option
def pack(*, choice: WholeChoice, output: Path | None, force: bool, quiet: bool) -> None:
    """Write METADATA as thin_metadata_pack does: small enough to be sent.

    All blocks whose checksum is right are packed, so damaged metadata is packed, too.
    All commands take the pack file as METADATA.
    """
    from thinmeta.device.pack.writer import pack as packed

    if output is None and sys.stdout.isatty():
        raise click.UsageError("a pack file is no text for a terminal; give --output FILE")
    report = DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    nr_lost = 0

    def warn(damage: "Damage") -> None:
        nonlocal nr_lost
        nr_lost += 1
        report.warn(str(damage))

    with opened_whole(choice) as device:
        warn_of(device, choice, report)
        with open_output(output, choice.names.inputs(device.name), force=force) as file, progress:
            for part in packed(device, warn, progress.advance):
                file.write(part)
        refuse_damaged_superblock(device)
        if nr_lost:
            raise SalvagedError(
                f"{device.name}: {nr_lost} blocks cannot be read; all that is sound was packed"
            )
