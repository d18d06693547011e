"""How `dump --repair` and `repair` choose what to go on with, and say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import DamageReport, SalvageReport
from thinmeta.cli.metadata import MetadataChoice, opened
from thinmeta.cli.progress import Progress
from thinmeta.errors import Damage, InputError

if TYPE_CHECKING:
    from thinmeta.analyse.recover.choice import Choice
    from thinmeta.analyse.recover.weighing import Weighed
    from thinmeta.model.losses import Losses
    from thinmeta.model.pool import Pool


_FINDINGS_TOLD = 8


@contextmanager
def opened_for_repair(
    choice: MetadataChoice, report: SalvageReport, progress: Progress
) -> Iterator["Choice"]:
    """Open what a broken pool is to go on with, with or without a superblock.

    Args:
        choice: the metadata.
        report: the policy, which is told what the choice costs.
        progress: is shown.

    Raises:
        DamagedMetadataError: nothing is left.
        NoSnapshotError: the metadata snapshot is asked for, and none is held.
        InputError: it cannot be read, or is something else.
    """
    from thinmeta.analyse.recover.repair import choose_asked, choose_state

    asked, choice = choice.state, choice._replace(state=None)
    with opened(choice, report, all_blocks=True, needs_superblock=False) as pool:
        if pool.superblock_damage is not None:
            report.warn(_what_is_wrong(pool, pool.superblock_damage))
        with progress:
            if asked is None:
                chosen = choose_state(pool, progress.advance, likely=report.takes_likely)
            else:
                chosen = choose_asked(pool, asked, progress.advance)
        if chosen.candidate is not None:
            _refuse_impossible_block_size(chosen.pool, choice)
        _tell_of_choice(chosen, choice, report)
        yield chosen


def _what_is_wrong(pool: "Pool", damage: Damage) -> str:
    """Return what is damaged of a superblock, or what stands in its place."""
    import numpy as np

    from thinmeta.device.blocks import Fault
    from thinmeta.device.signatures import refuse_foreign

    device = pool.source.device
    first = device.read(np.zeros(1, dtype=np.uint64))
    try:
        if first.faults[0] != Fault.READ_ERROR:
            refuse_foreign(first.rows[0].tobytes())
    except InputError as error:
        return f"{device.name}: {error}"
    return f"{device.name}: {damage}"


def _tell_of_choice(chosen: "Choice", choice: MetadataChoice, report: SalvageReport) -> None:
    """Say which state it is, and tell of a newer one that was passed over."""
    from thinmeta.formats.states import (
        other_details_text,
        passed_over_text,
        passed_over_word,
        stand_in_text,
    )

    if chosen.candidate is not None:
        report.warn(f"going on with state {chosen.roots}: {_described(chosen.pool)}")
    for stand_in in chosen.stand_ins:
        report.warn(stand_in_text(stand_in))
    name = chosen.pool.source.device.name
    cost = None
    lost = chosen.lost_details_root
    if lost is not None and chosen.roots is not None:
        cost = other_details_text(lost, chosen.roots.details_root)
        report.warn(cost)
    found = chosen.passed_over()
    if found is not None:
        cost = passed_over_word(found)
        report.warn(passed_over_text(found, choice.words(name), is_asked=chosen.is_asked))
    if cost is not None:
        report.costs(f"{name}: {cost}")


def tell_of_choices(  # noqa: PLR0913  # what each is for, its docstring says
    chosen: "Choice",
    losses: "Losses | None",
    choice: MetadataChoice,
    report: SalvageReport,
    progress: Progress,
    *,
    is_all: bool = True,
) -> "tuple[Weighed, ...]":
    """Tell what each choice keeps, and which states have what is lost of the chosen one.

    Args:
        chosen: the state to go on with.
        losses: what is lost of it, or of those of its devices that are asked for.
        choice: the metadata.
        report: is told.
        progress: is shown.
        is_all: whether these are all.

    Returns:
        The choices; none where there was no choice, or nobody asks for all devices.
    """
    from thinmeta.analyse.deleted import past_devices
    from thinmeta.analyse.recover.passed_over import whole_devices
    from thinmeta.analyse.recover.scan import scan
    from thinmeta.analyse.recover.weighing import weighed
    from thinmeta.formats.states import choices_text, deleted_text, whole_text

    devices = losses.devices if losses is not None else ()
    is_lost = any(loss.missing and not loss.is_complete for loss in devices)
    if losses is None or (chosen.scan is None and not is_lost):
        return ()
    pool, words = chosen.pool, choice.words(chosen.pool.source.device.name)
    with progress:
        found = chosen.scan or scan(pool.source.device, progress.advance)
    choices = weighed(chosen, found, losses) if is_all else ()
    if choices:
        report.show(choices_text(choices, likely=report.takes_likely))
        cost = next((each.nr_missing for each in choices if each.is_chosen), None)
        if cost:
            name = pool.source.device.name
            report.costs(f"{name}: {cost} mappings that the newest details count are not there")
    if is_lost:
        for line in whole_text(whole_devices(found, pool.device_table.devices, devices), words):
            report.warn(line)
    nr_deleted = len(past_devices(found, pool)) if is_all and chosen.candidate is None else 0
    if nr_deleted:
        report.warn(deleted_text(nr_deleted, words))
    return choices


def tell_of_likely(
    chosen: "Choice",
    losses: "Losses | None",
    command: str,
    report: SalvageReport,
    progress: Progress,
) -> None:
    """Tell how much `--salvage-likely` would add, if that is not given.

    Args:
        chosen: the state to go on with.
        losses: what is lost of it, or of those of its devices that are asked for.
        command: the line that takes it.
        report: is told.
        progress: is shown.
    """
    from thinmeta.analyse.recover.from_below import rebuilt_where_lost
    from thinmeta.analyse.recover.salvaging import rebuilt_ranges

    if report.takes_likely or losses is None or losses.is_complete:
        return
    with progress:
        pool = chosen.damaged or chosen.pool
        found = rebuilt_where_lost(pool, progress.advance, likely=True)
    ids = {each.tree.device_id for each in losses.devices if not each.is_complete}
    ranges = rebuilt_ranges(found, ids)
    nr_likely = sum(each.nr_mappings for each in ranges if each.origin == "likely")
    if nr_likely:
        report.warn(
            f"{nr_likely} mappings are there of which it is likely, not proven, whose they are: "
            f"`{command}` takes them, too"
        )


def tell_of_written(chosen: "Choice", output: Path, report: DamageReport) -> None:
    """Tell what is bad about what was written, as where what is left contradicts itself.

    A leaf of a former time may map a data block that another one maps now. Nobody knows
    which is right, so both stay; but who uses the pool must know. Where the pool's own
    data space map counts all of it, as thin_restore makes it, nothing contradicts it.

    Args:
        chosen: the state that was written anew, still open.
        output: what was written.
        report: is told.
    """
    from thinmeta.analyse.check.checker import check_pool
    from thinmeta.analyse.check.findings import Part, Severity
    from thinmeta.formats.check_report import finding_text
    from thinmeta.model.pool import open_pool

    with open_pool(output) as pool:
        findings = check_pool(pool).findings
    fatal = [each for each in findings if each.severity is Severity.FATAL]
    for finding in fatal[:_FINDINGS_TOLD]:
        report.warn(f"{output}: {finding_text(finding)}")
    if not fatal or chosen.candidate is not None:  # no space map counts a state that was found
        return
    before = check_pool(chosen.pool).findings
    if any(each.severity is Severity.FATAL and each.part is Part.DATA_SPACE_MAP for each in before):
        what = "what is left contradicts itself; `thinmeta check` lists all of it"
        report.costs(f"{output}: {what}")


def tell_of_contradictions(
    chosen: "Choice", selected: frozenset[int] | None, report: SalvageReport
) -> None:
    """Tell where a state maps a data block twice in one device; see `tell_of_written`.

    Args:
        chosen: the state to go on with.
        selected: ids of the devices that are asked for; None is all.
        report: is told.
    """
    from thinmeta.analyse.check.checker import check_pool
    from thinmeta.analyse.check.findings import Part, Severity
    from thinmeta.analyse.check.mappings import is_repeat
    from thinmeta.formats.check_report import finding_text

    pool = chosen.pool
    name = pool.source.device.name
    findings = check_pool(pool).findings
    is_snapshot = pool.superblock is not pool.live_superblock
    repeats = [
        each
        for each in findings
        if is_repeat(each)
        and each.in_snapshot == is_snapshot
        and (selected is None or selected & {*each.device_ids})
    ]
    for finding in repeats[:_FINDINGS_TOLD]:
        report.warn(f"{name}: {finding_text(finding)}")
    if not repeats or chosen.candidate is not None:
        return
    if any(
        each.severity is Severity.FATAL and each.part is Part.DATA_SPACE_MAP for each in findings
    ):
        report.costs(f"{name}: what is left contradicts itself; `thinmeta check` lists all of it")


def _refuse_impossible_block_size(pool: "Pool", choice: MetadataChoice) -> None:
    """Refuse what no superblock that is made anew may say, as thin_dump --repair does."""
    from thinmeta.analyse.recover.repair import refuse_impossible_block_size

    try:
        refuse_impossible_block_size(pool)
    except InputError as error:
        if choice.data_block_sectors is None:
            raise
        raise click.BadParameter(str(error), param_hint="'--data-block-size'") from error


def _described(pool: "Pool") -> str:
    superblock = pool.superblock
    return (
        f"transaction {superblock.transaction_id}, time {superblock.time}, "
        f"{superblock.data_space_map.nr_blocks} data blocks; `thinmeta scan` lists others"
    )
