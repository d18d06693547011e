"""`thinmeta restore`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.new_metadata import bytes_of, new_metadata_options, warn_of_unusable_ids
from thinmeta.cli.parameters import BLOCK_SIZE, FILE, quiet_option
from thinmeta.cli.progress import Progress

if TYPE_CHECKING:
    from thinmeta.units import Quantity


@click.command()
@click.option(
    "-i",
    "--input",
    "source",
    type=FILE,
    required=True,
    help="XML of a dump; - is standard input.",
)
@new_metadata_options
@quiet_option
@click.option(
    "--data-block-size", type=BLOCK_SIZE, metavar="SECTORS", help="Write this one instead."
)
@click.option(
    "--never-lower",
    is_flag=True,
    hidden=True,
    help="Leave the transaction id where it is higher, as thin_restore does.",
)
def restore(  # noqa: PLR0913  # one parameter an option
    *,
    source: Path,
    output: Path,
    force: bool,
    metadata_size: "Quantity | None",
    quiet: bool,
    transaction_id: int | None,
    data_block_size: int | None,
    nr_data_blocks: int,
    never_lower: bool,
) -> None:
    """Make a pool's metadata from XML, as thin_dump, thin_dump --repair or dump print it.

    A new file is made as large as the pool may ever need; of an existing file or a
    device the size is kept. Mappings that several devices share stay shared, where they
    are 126 or more in one <def>, or all of the devices that refer to it.

    What is written is a pool that needs no check and holds no metadata snapshot.
    """
    from thinmeta.builder.restore import restore as restored
    from thinmeta.builder.xml_input import Overrides

    report = DamageReport(quiet=quiet)
    size_bytes = bytes_of(metadata_size, report)
    progress = Progress(quiet=quiet)
    with progress:
        result = restored(
            None if source == Path("-") else source,
            output,
            overrides=Overrides(
                transaction_id, data_block_size, nr_data_blocks, may_lower=not never_lower
            ),
            force=force,
            size_bytes=size_bytes,
            on_progress=progress.advance,
        )
    warn_of_unusable_ids(result, report)
    if result.lowered_from is not None:
        report.warn(
            f"the XML says transaction {result.lowered_from}; {transaction_id} was written, as "
            "asked for: LVM, or whoever keeps the pool's transaction id, must know this one"
        )
    if result.counted_data_blocks:
        report.warn(
            f"nr_data_blocks is 0; {result.nr_data_blocks} was written, "
            "one more than the highest block in use"
        )
    for device_id, said, counted in result.miscounted:
        report.warn(
            f"device {device_id} has {counted} mappings, but its mapped_blocks is {said}; "
            f"{counted} was written"
        )
