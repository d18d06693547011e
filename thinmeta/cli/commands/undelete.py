"""`thinmeta undelete`."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, lost_lines, report_for
from thinmeta.cli.metadata import MetadataChoice, metadata_options, opened
from thinmeta.cli.new_metadata import (
    bytes_of,
    new_metadata_options,
    size_as_before,
    warn_of_unusable_ids,
)
from thinmeta.cli.output import open_output
from thinmeta.cli.parameters import DEVICE, format_option, quiet_option
from thinmeta.cli.progress import Progress
from thinmeta.cli.repairing import tell_of_written
from thinmeta.cli.salvage_options import Salvage, salvage_option
from thinmeta.errors import NotThereError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from thinmeta.analyse.undelete import Undeleted
    from thinmeta.builder.restore import Restored
    from thinmeta.formats.style import Buffer
    from thinmeta.formats.undelete import Back
    from thinmeta.model.device_spec import ChosenDevice, DeviceSpec
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool
    from thinmeta.units import Quantity

_ANY_POOL = "/dev/mapper/POOL"


@click.command()
@click.argument("devices", metavar="DEVICE...", type=DEVICE, nargs=-1, required=True)
@partial(metadata_options, has_states=False)
@new_metadata_options
@salvage_option
@format_option("text", "json")
@quiet_option
def undelete(  # noqa: PLR0913  # one parameter an option
    *,
    devices: "tuple[DeviceSpec, ...]",
    choice: MetadataChoice,
    output: Path,
    force: bool,
    metadata_size: "Quantity | None",
    transaction_id: int | None,
    nr_data_blocks: int,
    salvage: Salvage,
    format_name: str,
    quiet: bool,
) -> None:
    """Make new metadata that has the pool's devices and, beside them, deleted ones.

    DEVICE is the name that a volume had, or an id with a state, as `thinmeta deleted`
    lists them: 6@124:126. It keeps its id where that is free. The old metadata is only
    read, and the data not at all: blocks that another device has now are left out and
    listed, and the exit code is 6.

    What is printed goes into LVM's text, if --lvm has the volume's, or activates it by
    dmsetup. The transaction id stays as it is, so that LVM or Docker take the new metadata
    for the old.
    """
    from thinmeta.analyse.recover.choice import Choice
    from thinmeta.analyse.recover.repair import header_of
    from thinmeta.analyse.undelete import undelete as undelete_devices
    from thinmeta.builder.metadata_target import open_target
    from thinmeta.builder.restore import build_within
    from thinmeta.model.listing import Listing
    from thinmeta.model.losses import losses_of_pool
    from thinmeta.walk.left_out import without

    if choice.state is not None:
        raise click.UsageError(
            "undelete goes on with the live state: it takes no -m and no --state"
        )
    report = report_for(salvage=salvage, quiet=quiet)
    progress = Progress(quiet=quiet)
    size = bytes_of(metadata_size, report)
    with opened(choice, report) as pool:
        report.warn_of(pool)
        inputs = choice.names.inputs(pool.source.device.name)
        inputs.refuse(output)
        live, _ = report.prepared(pool, progress)
        chosen = [_past(choice, live, each, report) for each in devices]
        _refuse_twice(chosen)
        with progress:
            found = undelete_devices(
                live, chosen, _reserved(choice, live, chosen), progress.advance
            )
        together = found.pool
        for damage in live.device_table.damages():
            live.on_damage(damage)
        losses = losses_of_pool(together) if salvage else None
        if not salvage:
            report.finish()  # before there is any output
        listing = Listing(together, sharing=True, losses=losses, apart=found.left_out)
        header = header_of(together)
        header = header._replace(
            transaction_id=max(transaction_id or 0, header.transaction_id),
            nr_data_blocks=max(nr_data_blocks, header.nr_data_blocks or 0) or None,
        )
        size = size_as_before(size, output, pool.source.nr_blocks)
        with open_target(output, inputs, force=force, size_bytes=size) as target:
            restored = build_within(
                header, lambda: without(listing.parts(), found.left_out), target
            )
        tell_of_written(Choice(live), output, report)
    warn_of_unusable_ids(restored, report)
    backs = _backs(choice, live, found.undeleted)
    _warn_of_free(backs, report)
    printed = (backs, losses, header.transaction_id)
    with open_output(None, inputs) as file:
        for text in _text(output, restored, *printed, is_json=format_name == "json"):
            file.write(text)
    for device_id in found.copying:
        report.warn(
            f"device {device_id}: was given a later time of its last snapshot, so that what it "
            "shares with its former state is copied before it is written"
        )
    nr_left_out = sum(each.nr_left_out for each in found.undeleted)
    if nr_left_out:
        report.costs(
            f"{output}: {nr_left_out} blocks that others have now, or may, were left out; "
            "they are listed"
        )
    report.finish()


def _warn_of_free(backs: "Sequence[Back]", report: DamageReport) -> None:
    from thinmeta.analyse.fate_ranges import Fate

    counted = [(each.undeleted.fates.counts[Fate.FREE], each.name) for each in backs]
    if free := ", ".join(f"{blocks} blocks of {name}" for blocks, name in counted if blocks):
        report.warn(
            f"{free} were in use by nobody: likely they are as they were, but nobody can tell "
            "whether they were discarded, or used by another device in between and freed again"
        )


def _text(  # noqa: PLR0913  # all that there is to say
    output: Path,
    restored: "Restored",
    back: "Sequence[Back]",
    losses: "Losses | None",
    transaction_id: int,
    *,
    is_json: bool,
) -> "Iterator[Buffer]":
    from thinmeta.formats.repair import repaired_json, repaired_text
    from thinmeta.formats.undelete import undeleted_json, undeleted_text

    if is_json:
        yield from repaired_json(output, restored)
        yield from undeleted_json(back)
        yield from lost_lines(losses)
    else:
        yield from repaired_text(output, restored)
        yield from undeleted_text(back, transaction_id)


def _past(
    choice: MetadataChoice, live: "Pool", spec: "DeviceSpec", report: DamageReport
) -> "ChosenDevice":
    """Return the device that `spec` names, which is past, with what is left of it."""
    from thinmeta.formats.printable import command_text
    from thinmeta.model.state import State

    words = choice.words(live.source.device.name)
    hint = f"`{command_text('deleted', *words)}` lists what was deleted, and how it is named"
    if spec.root is not None:
        raise NotThereError(f"{spec.text}: nobody knows the details of a bare tree; {hint}")
    try:
        chosen = choice.choose(live, spec)
    except NotThereError as error:
        if spec.name is not None or spec.state is not None:
            raise
        raise NotThereError(f"{error}; {hint}") from error
    if chosen.pool.state is State.LIVE:
        raise NotThereError(
            f"{spec.text}: the pool has this device; to have a former state of it beside it, "
            f"append that state: {spec.text}@MAPROOT:DETAILSROOT; {hint}"
        )
    if chosen.device is None:
        raise NotThereError(
            f"{spec.text}: this state has no details of it; give MAPROOT:DETAILSROOT; {hint}"
        )
    left, losses = report.prepared_volume(chosen)
    loss = losses.devices[0] if losses is not None else None
    if loss is not None and left.device is not None:
        left = left._replace(device=left.device._replace(mapped_blocks=loss.found))
    return left


def _refuse_twice(chosen: "Sequence[ChosenDevice]") -> None:
    seen = set()
    for each in chosen:
        if (each.device_id, each.mapping_root) in seen:
            raise click.UsageError(f"{each.name} is given twice")
        seen.add((each.device_id, each.mapping_root))


def _reserved(choice: MetadataChoice, live: "Pool", chosen: "Sequence[ChosenDevice]") -> set[int]:
    """Return the ids that those who name devices have given to others than the chosen ones."""
    own = {
        (each.device_id, each.device.transaction_id) for each in chosen if each.device is not None
    }
    return {
        named.device_id
        for catalogue in choice.names.catalogues(live)
        for named in catalogue.devices
        if named.is_current and (named.device_id, named.transaction_id) not in own
    }


def _backs(choice: MetadataChoice, live: "Pool", undeleted: "Sequence[Undeleted]") -> "list[Back]":
    """Return how the devices are told to who activates them."""
    from thinmeta.formats.undelete import Back
    from thinmeta.names.lvm_restored import restored_volumes

    names = choice.names
    host, volumes = names.on_host(), restored_volumes(names)
    found = []
    for each in undeleted:
        chosen, device, fates = each
        last = int(fates.keys[-1]) + 1 if len(fates.keys) else 0
        size = last * live.data_block_bytes() if chosen.size is None else chosen.size
        assert chosen.device is not None  # as `_past` sees to
        volume = volumes and volumes.restored(
            chosen.device.device_id, chosen.device.transaction_id, device.device_id
        )
        origin = chosen.external_origin
        found.append(
            Back(
                each,
                size,
                is_size_known=chosen.size is not None,
                dm_name="thin-" + re.sub(r"\W+", "-", chosen.known_as or chosen.name),
                pool_path=_ANY_POOL if host is None else host.path,
                origin=None if origin is None else origin.path,
                volume=volume or None,
            )
        )
    return found
