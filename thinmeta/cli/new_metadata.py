"""What commands take that write new metadata."""

import click
from click.decorators import FC

from thinmeta.cli.parameters import FILE, NUMBER, QUANTITY


def new_metadata_options(function: FC) -> FC:
    """Add `-o`, `--force`, `--metadata-size`, and what the superblock is to say at least.

    They arrive as `output`, `force`, `metadata_size`, `transaction_id`, `nr_data_blocks`.
    """
    for decorate in (
        click.option(
            "--nr-data-blocks",
            type=NUMBER,
            metavar="N",
            default=0,
            help="Write N where it is higher.",
        ),
        click.option(
            "--transaction-id",
            type=NUMBER,
            metavar="N",
            default=0,
            help="Write N where it is higher.",
        ),
        click.option(
            "--metadata-size",
            type=QUANTITY,
            metavar="SIZE",
            help="Of the new metadata, in blocks of 4 KiB or with a unit.",
        ),
        click.option("--force", is_flag=True, help="Write over existing metadata."),
        click.option(
            "-o",
            "--output",
            type=FILE,
            required=True,
            help="A file, which appears whole or not at all, or a metadata device that nobody "
            "uses.",
        ),
    ):
        function = decorate(function)
    return function
