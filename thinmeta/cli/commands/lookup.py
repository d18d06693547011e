"""`thinmeta lookup`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, report_for, salvage_option
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, QUANTITY, format_option, quiet_option
from thinmeta.errors import DamagedMetadataError

if TYPE_CHECKING:
    from thinmeta.analyse.sharers import Answer
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.units import Quantity


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("blocks", type=QUANTITY, metavar="BLOCK...", nargs=-1, required=True)
@metadata_options
@format_option("text", "json", "csv")
@click.option("--path", "with_path", is_flag=True, help="Show the B-tree nodes passed.")
@click.option(
    "--all-sharers",
    "everywhere",
    is_flag=True,
    help="Find mappings of the data block at other blocks, too; reads all mappings.",
)
@salvage_option
@output_option
@quiet_option
def lookup(  # noqa: PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    blocks: "tuple[Quantity, ...]",
    choice: MetadataChoice,
    format_name: str,
    with_path: bool,
    everywhere: bool,
    salvage: bool,
    output: Path | None,
    quiet: bool,
) -> None:
    """Show where each BLOCK of DEVICE is on the data device, and who shares it.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. BLOCK is a number of blocks, or an offset in bytes
    where it has a unit: 64K, 8s (sectors), 512b.

    A block that is not mapped is an answer, too. Only nodes on the way are read, so
    damage elsewhere does not matter.
    """
    from thinmeta.analyse.lookup import choose_despite_damage, look_up, position_of
    from thinmeta.analyse.sharers import with_sharers
    from thinmeta.formats import lookup as formats

    if with_path and format_name == "csv":
        raise click.UsageError("--path goes with text and json, not with csv")
    report = report_for(salvage=salvage, quiet=quiet)
    # What is damaged is known from the answers, so it stops nothing before.
    with opened(choice.for_devices(device), lambda _damage: None) as pool:
        report.warn_of(pool)
        spec = choice.resolved_anywhen(pool, device, report)
        try:
            found = choose_despite_damage(pool, spec, without_details=salvage)
        except DamagedMetadataError as error:
            report.fail_for(error.damage, pool.source.device.name)
        chosen = choice.names.introduced(found)
        if salvage:
            chosen = chosen._replace(pool=chosen.pool.doubting_leaves())
        if any(block.is_bytes for block in blocks):
            chosen.pool.data_block_bytes()  # fails where nobody knows it
        try:
            positions = [position_of(block, chosen.pool.superblock) for block in blocks]
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        answers = with_sharers(chosen, look_up(chosen, positions), everywhere=everywhere)
        chosen.pool.verify_unchanged()
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            if format_name == "csv":
                lines = formats.lookup_csv(chosen, answers)
            elif format_name == "json":
                lines = formats.lookup_json(chosen, answers, with_path=with_path)
            else:
                lines = formats.lookup_text(chosen, answers, with_path=with_path)
            for line in lines:
                file.write(line)
        _finish(chosen.pool, answers, report)


def _finish(pool: "Pool", answers: "list[Answer]", report: DamageReport) -> None:
    """Tell what is damaged; fail if an answer misses something by it."""
    lost = [answer.lookup.lost for answer in answers if answer.lookup.lost is not None]
    lost += [damage for answer in answers for damage in answer.sharers.lost]
    disagreements = pool.device_table.disagreements() if pool.knows_details else []
    for damage in [*dict.fromkeys(lost[1:]), *disagreements]:
        if lost[:1] != [damage]:
            report.warn(str(damage))
    if lost:
        report.fail_for(lost[0], pool.source.device.name)
