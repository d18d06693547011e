"""What commands take that write new metadata."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.decorators import FC

from thinmeta.cli.output import force_option
from thinmeta.cli.parameters import FILE, NUMBER, QUANTITY

if TYPE_CHECKING:
    from thinmeta.builder.restore import Restored
    from thinmeta.cli.damage import DamageReport
    from thinmeta.units import Quantity

_MOST_BYTES = 2**63 - 1  # of a file


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
            help="Write N where it is higher; restore writes it also where it is lower.",
        ),
        click.option(
            "--metadata-size",
            type=QUANTITY,
            metavar="SIZE",
            help="Of the new metadata, in blocks of 4 KiB or with a unit.",
        ),
        force_option("--force"),
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


def bytes_of(metadata_size: "Quantity | None", report: "DamageReport") -> int | None:
    """Return `--metadata-size` in bytes; warn of what the kernel would not use.

    Raises:
        click.UsageError: nothing can have that size.
    """
    from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES, SECTOR_BYTES

    if metadata_size is None:
        return None
    size = metadata_size.in_bytes(METADATA_BLOCK_BYTES)
    if not METADATA_BLOCK_BYTES <= size <= _MOST_BYTES:
        raise click.UsageError(
            f"--metadata-size: {size} bytes are less than a block of {METADATA_BLOCK_BYTES} bytes, "
            "or more than any file has"
        )
    if size > MAX_METADATA_BLOCKS * METADATA_BLOCK_BYTES:
        most = MAX_METADATA_BLOCKS * METADATA_BLOCK_BYTES // SECTOR_BYTES
        report.warn(
            f"--metadata-size: the kernel uses {most} sectors of metadata (15.9 GiB) and no more; "
            "the rest stays unused"
        )
    return size


def size_as_before(size: int | None, output: Path, nr_blocks: int) -> int | None:
    """Return how large new metadata is to be: as large as the old, where nothing else says it.

    Args:
        size: `--metadata-size` in bytes.
        output: where it goes, which may have a size already.
        nr_blocks: of the old metadata.
    """
    from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

    has_size = output.is_block_device() or (output.exists() and output.stat().st_size)
    if size is not None or has_size:
        return size
    return min(nr_blocks, MAX_METADATA_BLOCKS) * METADATA_BLOCK_BYTES or None


def warn_of_unusable_ids(restored: "Restored", report: "DamageReport") -> None:
    """Warn of devices that were written, and that no kernel activates."""
    from thinmeta.units import MAX_DEVICE_ID

    if restored.unusable_ids:
        first, *others = restored.unusable_ids
        which = f"devices {first} and {len(others)} more" if others else f"device {first}"
        report.warn(
            f"{which}: the kernel activates no device with an id above {MAX_DEVICE_ID}; "
            "`thinmeta extract` reads it all the same"
        )
