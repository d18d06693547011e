"""`thinmeta lookup`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, report_for
from thinmeta.cli.file_options import (
    PATH,
    VolumeChoice,
    all_option,
    opened_device,
    volume_options,
)
from thinmeta.cli.metadata import opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, QUANTITY, format_option, refuse_options
from thinmeta.cli.salvage_options import Salvage
from thinmeta.errors import DamagedMetadataError, SalvagedError

if TYPE_CHECKING:
    from thinmeta.analyse.sharers import Answer
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.model.pool import Pool
    from thinmeta.units import Quantity

_OF_FILES = ("all_of_it", "data", "origin", "size", "no_replay", "partition", "inside")


@click.command()
@click.argument("device", type=DEVICE)
@click.argument("blocks", type=QUANTITY, metavar="[BLOCK...]", nargs=-1)
@click.option(
    "--file",
    "paths",
    type=PATH,
    metavar="PATH",
    multiple=True,
    help="Show where this file of the device is, instead of blocks. Repeatable.",
)
@all_option
@format_option("text", "json", "csv")
@click.option("--path", "with_path", is_flag=True, help="Show the B-tree nodes passed.")
@click.option(
    "--all-sharers",
    "everywhere",
    is_flag=True,
    help="Find mappings of the data block at other blocks, too; reads all mappings.",
)
@volume_options
@output_option
def lookup(  # noqa: PLR0912, PLR0913  # one parameter an option
    *,
    device: "DeviceSpec",
    blocks: "tuple[Quantity, ...]",
    paths: tuple[bytes, ...],
    all_of_it: bool,
    format_name: str,
    with_path: bool,
    everywhere: bool,
    place: VolumeChoice,
    output: Path | None,
) -> None:
    """Show where each BLOCK of DEVICE is on the data device, and who shares it.

    DEVICE is an id such as 186, a name, or root:N for the mapping tree at metadata block
    N; append @snap for the state that a metadata snapshot holds, @live for the state
    now, @MAPROOT for one that is past. BLOCK is a number of blocks, or an offset in bytes
    where it has a unit: 64K, 8s (sectors), 512b.

    A block that is not mapped is an answer, too. Only nodes on the way are read, so
    damage elsewhere does not matter.

    With --file: the data blocks that hold a file of DEVICE, and which of its bytes; its
    inode, extended attributes and the blocks that say where it is, too. It takes the data:
    --data, --lvm or --docker-root say where it is.
    """
    from thinmeta.analyse.lookup import choose_despite_damage, look_up, position_of
    from thinmeta.analyse.recover.from_below import rebuilt_where_lost
    from thinmeta.analyse.recover.salvaging import rebuilt_ranges
    from thinmeta.analyse.sharers import with_sharers
    from thinmeta.formats import lookup as formats
    from thinmeta.formats.losses import rebuilt_text

    _refuse_what_does_not_go_together(bool(blocks), bool(paths), with_path, format_name)
    if paths:
        _look_up_files(place, device, paths, output, all_of_it=all_of_it, form=format_name)
        return
    choice, salvage, quiet = place.choice, place.salvage, place.quiet
    report = report_for(salvage=salvage, quiet=quiet)
    # What is damaged is known from the answers, so it stops nothing before.
    with opened(choice.for_devices(device), lambda _damage: None) as pool:
        report.warn_of(pool)
        spec = choice.resolved_anywhen(pool, device, report)
        again = None
        if salvage:
            again = rebuilt_where_lost(pool, likely=salvage is Salvage.LIKELY)
        try:
            found = choose_despite_damage(
                again.pool if again else pool, spec, without_details=bool(salvage)
            )
        except DamagedMetadataError as error:
            report.fail_for(error.damage, pool.source.device.name)
        chosen = choice.names.introduced(found)
        is_likely = False
        if again:
            if chosen.pool is again.pool:  # else it is of another state
                is_likely = again.likely.is_any
                for told in rebuilt_text(rebuilt_ranges(again, {chosen.device_id})):
                    report.warn(told)
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
        if is_likely:
            raise SalvagedError(f"{chosen.pool.source.device.name}: not all answers are proven")


def _refuse_what_does_not_go_together(
    has_blocks: bool,  # noqa: FBT001  # what was given
    has_files: bool,  # noqa: FBT001
    with_path: bool,  # noqa: FBT001
    format_name: str,
) -> None:
    if has_files:
        if has_blocks:
            raise click.UsageError("give blocks or --file, not both")
        refuse_options(("with_path", "everywhere"), "does not go", "--file")
        if format_name == "csv":
            raise click.UsageError("--file goes with text and json, not with csv")
        return
    if not has_blocks:
        raise click.UsageError("give a BLOCK, or a file with --file PATH")
    refuse_options(_OF_FILES, "only goes", "--file")
    if with_path and format_name == "csv":
        raise click.UsageError("--path goes with text and json, not with csv")


def _look_up_files(  # noqa: PLR0913  # what the command was given
    place: VolumeChoice,
    device: "DeviceSpec",
    paths: tuple[bytes, ...],
    output: Path | None,
    *,
    all_of_it: bool,
    form: str,
) -> None:
    from thinmeta.analyse.file_places import places_of
    from thinmeta.files.file_system import FileError
    from thinmeta.files.file_tree import find
    from thinmeta.formats.file_places import places_json, places_text
    from thinmeta.volume.layout import Source

    report = place.report()
    with opened(place.choice.for_devices(device), report) as pool:
        report.warn_of(pool)
        chosen = place.choice.choose(pool, device)
        block_bytes = pool.data_block_bytes()
        with opened_device(place, pool, chosen, report) as volume:
            top = volume.root(all_of_it=all_of_it)
            lines: list[bytes] = []
            for path in paths:
                file = find(volume.opened.file_system, top, path, follow=False)
                found = places_of(volume.opened, volume.volume.layout, file.inode)
                form_of = places_json if form == "json" else places_text
                lines += form_of(chosen, file, found.places, block_bytes)
                if found.fault is not None:
                    volume.on_error(file.path, found.fault)
                for each in found.places:
                    if each.source in (Source.PAST_END, Source.LOST):
                        cause = volume.volume.sources.missing(
                            each.source, each.device_byte, each.place, each.length
                        )
                        volume.on_error(file.path, FileError(str(cause)))
            pool.verify_unchanged()
            with open_output(output, volume.inputs) as out:
                for line in lines:
                    out.write(line)
            volume.finish()


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
