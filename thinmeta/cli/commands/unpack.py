"""`thinmeta unpack`."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.output import force_option, open_output, output_option
from thinmeta.cli.parameters import from_environment, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.whole_metadata import (
    WholeChoice,
    opened_whole,
    refuse_damaged_superblock,
    warn_of,
    whole_metadata_argument,
)
from thinmeta.errors import DamagedMetadataError, InputError, OutputError

if TYPE_CHECKING:
    from thinmeta.device.blocks import BlockDevice
    from thinmeta.schemas.checksum import Rows

_HOLE_BLOCKS = 16
"""Zeros in this many blocks become a hole, as in `device.containers`."""


@click.command()
@whole_metadata_argument
@output_option
@force_option("-f", "--force")
@quiet_option
def unpack(*, choice: WholeChoice, output: Path | None, force: bool, quiet: bool) -> None:
    """Write the image that METADATA, a pack file, was made from.

    Blocks that the pack file does not have are zeros. Any other METADATA, as a
    compressed image, is written as the image that it is.
    """
    from thinmeta.device.outputs import OutputKind, kind_of

    if output is None and sys.stdout.isatty():
        raise click.UsageError("an image is no text for a terminal; give --output FILE")
    progress = Progress(quiet=quiet)
    with ExitStack() as stack:
        with progress:
            if output is None or kind_of(output) is OutputKind.STREAM:
                device = _opened(choice, stack)
                with open_output(output, choice.names.inputs(device.name)) as file:
                    for rows in _pieces(device, progress):
                        file.write(rows.data.cast("B"))
            else:
                device = _write_image(choice, output, stack, progress, force=force)
        warn_of(device, choice, DamageReport(quiet=quiet))
        refuse_damaged_superblock(device)


def _opened(choice: WholeChoice, stack: ExitStack, into: int | None = None) -> "BlockDevice":
    device = stack.enter_context(opened_whole(choice, into))
    is_on_disks = choice.path is None and choice.names.has_disks
    if device.notes and not is_on_disks:  # so it is of a compressed image that is damaged
        raise InputError(f"{device.notes[0]}; nothing was written")
    return device


def _pieces(device: "BlockDevice", progress: Progress) -> Iterator["Rows"]:
    from thinmeta.device.sweep import nr_blocks_of, sweep, unreadable

    for blocks, batch in sweep(device, nr_blocks_of(device), progress.advance):
        if batch.faults.any():
            damage = unreadable(blocks, batch, int(batch.faults.argmax()))
            raise DamagedMetadataError(damage, device.name)
        yield batch.rows


def _write_image(
    choice: WholeChoice, output: Path, stack: ExitStack, progress: Progress, *, force: bool
) -> "BlockDevice":
    """Write a file or a block device; what is compressed is unpacked right into it."""
    from thinmeta.builder.metadata_target import open_target
    from thinmeta.device.sweep import nr_blocks_of
    from thinmeta.units import METADATA_BLOCK_BYTES

    path = choice.path or from_environment()
    inputs = choice.names.inputs(*([str(path)] if path else []))
    with open_target(output, inputs, force=force, size_bytes=None) as target:
        try:
            device = _opened(choice, stack, target.fd)
        except OutputError as error:
            raise OutputError(f"{output}: {error}") from error
        choice.names.inputs(device.name).refuse(output)
        nr_blocks = nr_blocks_of(device)
        if target.is_device and (target.nr_blocks or 0) < nr_blocks:
            raise OutputError(
                f"{output}: has {target.nr_blocks} blocks of 4 KiB, the image {nr_blocks}"
            )
        is_there = os.fstat(target.fd).st_size > 0
        os.ftruncate(target.fd, nr_blocks * METADATA_BLOCK_BYTES)
        if not is_there:
            _copy(_pieces(device, progress), target.fd)
    return device


def _copy(pieces: Iterator["Rows"], fd: int) -> None:
    with os.fdopen(os.dup(fd), "wb") as file:
        for rows in pieces:
            for begin in range(0, len(rows), _HOLE_BLOCKS):
                part = rows[begin : begin + _HOLE_BLOCKS]
                if part.any():
                    file.write(part.data.cast("B"))
                else:
                    file.seek(part.nbytes, os.SEEK_CUR)
