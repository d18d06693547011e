"""`thinmeta ls`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinmeta.cli.messages import DamageReport, Progress
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import long_output_option, open_output
from thinmeta.cli.parameters import ParameterType, format_option, quiet_option
from thinmeta.units import SECTOR_BYTES

if TYPE_CHECKING:
    from thinmeta.formats.thin_ls import Field
    from thinmeta.model.pool import Pool


class _Fields(ParameterType):
    name = "fields"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.formats.thin_ls import fields_of

        if not isinstance(value, str):
            return value
        try:
            return fields_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@metadata_argument
@click.option(
    "-o",
    "--fields",
    type=_Fields(),
    metavar="FIELD,...",
    help="The columns: thin_ls's 20 fields, NEW and RUNS.  "
    "[default: DEV,MAPPED,CREATE_TIME,SNAP_TIME]",
)
@click.option("--no-headers", is_flag=True, help="No line with the names of the columns.")
@click.option("--tree", is_flag=True, help="Show which device is a snapshot of which.")
@format_option("text", "json", "csv")
@click.option(
    "--compat",
    type=click.Choice(["1.1", "0.9"]),
    default="1.1",
    show_default=True,
    help="With -f text: the thin_ls to equal.",
)
@long_output_option
@quiet_option
def ls(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    fields: "list[Field] | None",
    no_headers: bool,
    tree: bool,
    format_name: str,
    compat: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """List the devices of a pool, and what each of them takes, as thin_ls does.

    EXCLUSIVE is what the pool gains when the device is deleted: mapped once in the
    whole pool. NEW is mapped since the device was last snapshotted; RUNS are runs
    of neighbouring blocks.

    Where metadata is damaged nothing is listed, and the exit code is 5, unless the
    fields need no mapping.
    """
    if tree and (fields or format_name == "csv"):
        raise click.UsageError("--tree has its own columns, as text or json")
    report = DamageReport(quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as pool:
        report.warn_of(pool)
        try:
            if tree:
                lines = _tree(pool, format_name, progress, headers=not no_headers)
            else:
                lines = _table(
                    pool, fields, (format_name, compat), progress, headers=not no_headers
                )
        finally:
            progress.clear()
        with open_output(output, pool.source.device.name) as file:
            for line in lines:
                file.write(line)
        report.finish()


def _table(
    pool: "Pool",
    fields: "list[Field] | None",
    style: tuple[str, str],
    progress: Progress,
    *,
    headers: bool,
) -> Iterator[bytes]:
    from thinmeta.analyse.usage import listed, unread, usage
    from thinmeta.formats import thin_ls

    format_name, compat = style
    fields = fields or thin_ls.fields_of(thin_ls.DEFAULT_FIELDS)
    ask = thin_ls.needed(fields, compat)
    if ask is None:
        rows = [unread(device) for device in listed(pool)]
    else:
        rows = usage(pool, ask, on_progress=progress.advance)
    block_bytes = pool.superblock.data_block_sectors * SECTOR_BYTES
    if format_name == "json":
        return thin_ls.json_table(fields, rows, block_bytes)
    if format_name == "csv":
        return thin_ls.csv_table(fields, rows, block_bytes, headers=headers)
    return thin_ls.text_table(fields, rows, block_bytes, headers=headers, compat=compat)


def _tree(pool: "Pool", format_name: str, progress: Progress, *, headers: bool) -> Iterator[bytes]:
    from thinmeta.analyse.snapshots import snapshots
    from thinmeta.formats.snapshot_tree import json_tree, text_tree

    found = snapshots(pool, on_progress=progress.advance)
    block_bytes = pool.superblock.data_block_sectors * SECTOR_BYTES
    if format_name == "json":
        return json_tree(found, block_bytes)
    return text_tree(found, block_bytes, headers=headers)
