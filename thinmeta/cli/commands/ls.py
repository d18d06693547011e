"""`thinmeta ls`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from thinmeta.cli.damage import DamageReport, lost_lines, report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_argument, opened
from thinmeta.cli.output import long_output_option, open_output
from thinmeta.cli.parameters import ParameterType, format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.cli.together import DeviceListParameter, chosen_groups, freed_lines

if TYPE_CHECKING:
    from thinmeta.formats.ls_fields import Field
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool
    from thinmeta.names.disagreements import Disagreement
    from thinmeta.units import DeviceId


class _FieldList(ParameterType):
    name = "fields"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.formats.ls_fields import fields_of

        if not isinstance(value, str):
            return value
        try:
            return fields_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Sort(NamedTuple):
    """The field to sort by."""

    field: "Field"
    descending: bool


class _SortField(ParameterType):
    name = "field"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from thinmeta.formats.ls_fields import fields_of

        if not isinstance(value, str):
            return value
        try:
            [field] = fields_of(value.removeprefix("-").replace(",", " "))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return _Sort(field, value.startswith("-"))


@click.command()
@metadata_argument
@click.option(
    "-o",
    "--fields",
    type=_FieldList(),
    metavar="FIELD,...",
    help="The columns: thin_ls's 20 fields, NEW, RUNS and NAME.  "
    "[default: DEV,MAPPED,CREATE_TIME,SNAP_TIME, and NAME where there are names]",
)
@click.option("--no-headers", is_flag=True, help="No line with the names of the columns.")
@click.option("--tree", is_flag=True, help="Show which device is a snapshot of which.")
@click.option(
    "--together",
    type=DeviceListParameter(),
    multiple=True,
    metavar="DEVICE,...",
    help="Show what deleting all of these devices frees. Repeatable.",
)
@click.option(
    "--sort",
    type=_SortField(),
    metavar="[-]FIELD",
    help="Sort by this field, shown or not; with - the largest first.",
)
@format_option("text", "json", "csv")
@click.option(
    "--compat",
    type=click.Choice(["1.1", "0.9"]),
    default="1.1",
    show_default=True,
    help="With -f text: the thin_ls to equal.",
)
@salvage_option
@long_output_option
@quiet_option
def ls(  # noqa: PLR0913  # one parameter an option
    *,
    choice: MetadataChoice,
    fields: "list[Field] | None",
    no_headers: bool,
    tree: bool,
    together: "tuple[list[DeviceSpec], ...]",
    sort: _Sort | None,
    format_name: str,
    compat: str,
    salvage: Salvage,
    output: Path | None,
    quiet: bool,
) -> None:
    """List the devices of a pool, and what each of them takes, as thin_ls does.

    EXCLUSIVE is what the pool gains when the device is deleted: mapped once in the
    whole pool. NEW is mapped since the device was last snapshotted; RUNS are runs
    of neighbouring blocks. NAME is who it is to Docker (--docker-root) or LVM (--lvm).

    Of several devices, EXCLUSIVE says too little: what only they share goes, too. --together
    counts that, and so does the column FREES of --tree, for a device with all that was
    created from it.

    Where metadata is damaged nothing is listed, and the exit code is 5, unless the
    fields need no mapping. With --salvage what is left is: then numbers are bounds.
    """
    if tree and (fields or format_name == "csv"):
        raise click.UsageError("--tree has its own columns, as text or json")
    if together and (tree or fields or format_name == "csv"):
        raise click.UsageError("--together has its own columns, as text or json")
    if sort and (tree or together):
        raise click.UsageError("--sort is for the table of devices alone")
    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    with opened(choice, report) as whole_pool:
        report.warn_of(whole_pool)
        pool, losses = report.prepared(whole_pool, progress)
        names, odd = _named(choice, pool, report)
        listed = _Listed(pool, format_name, compat, losses, progress, names)
        groups = chosen_groups(choice, pool, together)
        with progress:
            if groups:
                as_json = format_name == "json"
                lines = freed_lines(
                    pool, losses, groups, report, progress, as_json=as_json, headers=not no_headers
                )
            elif tree:
                lines = listed.tree(headers=not no_headers)
            else:
                lines = listed.table(fields, sort, headers=not no_headers)
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            for line in lines:
                file.write(line)
            if format_name == "json":
                from thinmeta.formats.disagreements import disagreements_json

                for line in (*disagreements_json(odd), *lost_lines(losses)):
                    file.write(line)
        report.finish()


def _named(
    choice: MetadataChoice, pool: "Pool", report: DamageReport
) -> "tuple[dict[DeviceId, str] | None, list[Disagreement]]":
    """Return the names that there are a source of, and what of them does not fit the pool."""
    catalogues = choice.names.catalogues(pool)
    if not catalogues:
        return None, []
    from thinmeta.model.device_columns import DevicesById
    from thinmeta.model.state import Roots, State
    from thinmeta.names.catalogue import best_names
    from thinmeta.names.disagreements import disagreements

    for note in (note for catalogue in catalogues for note in catalogue.notes):
        report.warn(note)
    listed = pool.device_table.devices
    devices = DevicesById(listed)
    transactions = listed.details["transaction_id"].tolist()
    created = dict(zip(listed.ids.tolist(), transactions, strict=True))
    names = best_names(catalogues, created, is_live=pool.state is State.LIVE)
    is_past = isinstance(pool.state, Roots)
    odd = disagreements(devices, pool.superblock.transaction_id, catalogues, is_past=is_past)
    for each in odd:
        report.warn(each.what)
    return names, odd


class _Listed(NamedTuple):
    """What is asked of the pool, and how it is printed."""

    pool: "Pool"
    format_name: str
    compat: str
    losses: "Losses | None"
    progress: Progress
    names: "dict[DeviceId, str] | None"

    def table(
        self, fields: "list[Field] | None", sort: _Sort | None, *, headers: bool
    ) -> Iterator[bytes]:
        from thinmeta.analyse.usage import Usages, bounded, listed, usage
        from thinmeta.formats import ls_fields, thin_ls

        fields = ls_fields.fields_with_names(fields, self.names, always=self.format_name == "json")
        by = ls_fields.fields_with_names([sort.field], self.names, always=False) if sort else []
        ask = ls_fields.needed([*fields, *by], self.compat)
        if ask is None:
            rows = Usages.unread(listed(self.pool))
        else:
            rows = usage(self.pool, ask, on_progress=self.progress.advance)
            if self.losses is not None:
                rows = bounded(self.pool, rows, self.losses)
        in_blocks = all(field.in_blocks for field in (*fields, *by))
        block_bytes = 0 if in_blocks else self.pool.data_block_bytes()
        if sort:
            rows = ls_fields.in_order(rows, by[0], block_bytes, descending=sort.descending)
        if self.format_name == "json":
            return thin_ls.json_table(fields, rows, block_bytes)
        if self.format_name == "csv":
            return thin_ls.csv_table(fields, rows, block_bytes, headers=headers)
        return thin_ls.text_table(fields, rows, block_bytes, headers=headers, compat=self.compat)

    def tree(self, *, headers: bool) -> Iterator[bytes]:
        from thinmeta.analyse.branches import Branches
        from thinmeta.analyse.freed import freed
        from thinmeta.analyse.snapshots import snapshots
        from thinmeta.formats.snapshot_tree import Tree, json_tree, text_tree

        found = snapshots(self.pool, losses=self.losses, on_progress=self.progress.advance)
        branches = Branches.of_parents(
            {each.usage.device.device_id: each.parent_id for each in found}
        )
        counts = freed(self.pool, branches, on_progress=self.progress.advance)
        block_bytes = self.pool.data_block_bytes()
        tree = Tree(found, branches, counts, self.losses, self.names, block_bytes)
        if self.format_name == "json":
            return json_tree(tree)
        return text_tree(tree, headers=headers)
