"""How `dump --repair` and `repair` choose what to go on with, and say so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thinmeta.cli.damage import SalvageReport
from thinmeta.cli.messages import Progress
from thinmeta.cli.metadata import MetadataChoice, opened
from thinmeta.errors import DamagedMetadataError, InputError, SalvagedError

if TYPE_CHECKING:
    from thinmeta.analyse.recover.repair import Choice
    from thinmeta.model.pool import Pool


_FINDINGS_TOLD = 8


class RepairReport(SalvageReport):
    """The policy of a repair: past any damage, also to a state that is older.

    Besides what is lost of the state, it tells which other states have more.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Know of no choice yet."""
        super().__init__(quiet=quiet)
        self._chosen: Choice | None = None
        self._metadata: list[str] = []
        self._cost: str | None = None

    def chose(self, chosen: "Choice", metadata: list[str]) -> None:
        """Take note of the state, and tell of a newer one that was passed over.

        Args:
            chosen: the state to go on with.
            metadata: the words that name the metadata on a command line.
        """
        from thinmeta.formats.states import (
            other_details_text,
            passed_over_text,
            passed_over_word,
        )

        self._chosen = chosen
        self._metadata = metadata
        if chosen.candidate is not None:
            self.warn(f"going on with state {chosen.roots}: {_described(chosen.pool)}")
        name = chosen.pool.source.device.name
        lost = chosen.lost_details_root
        if lost is not None and chosen.roots is not None:
            told = other_details_text(lost, chosen.roots.details_root)
            self.warn(told)
            self._cost = f"{name}: {told}"
        found = chosen.passed_over()
        if found is not None:
            self.warn(passed_over_text(found, metadata))
            self._cost = f"{name}: {passed_over_word(found)}"

    def prepared(
        self, pool: "Pool", progress: Progress, selected: frozenset[int] | None = None
    ) -> "Pool":
        """Tell what is lost of the pool, or of some devices, and which states have it."""
        left = super().prepared(pool, progress, selected)
        if any(loss.missing and not loss.is_complete for loss in self.losses().devices):
            self._tell_of_whole(pool, progress)
        return left

    def check(self, output: Path) -> None:
        """Tell what is bad about what was written, as where what is left contradicts itself.

        A leaf of a former time may map a data block that another one maps now. Nobody knows
        which is right, so both stay; but who uses the pool must know.
        """
        from thinmeta.analyse.check.checker import check_pool
        from thinmeta.analyse.check.findings import Severity
        from thinmeta.formats.check_report import finding_text
        from thinmeta.model.pool import open_pool

        with open_pool(output) as pool:
            findings = check_pool(pool).findings
        fatal = [each for each in findings if each.severity is Severity.FATAL]
        for finding in fatal[:_FINDINGS_TOLD]:
            self.warn(f"{output}: {finding_text(finding)}")
        if fatal:
            what = "what is left contradicts itself; `thinmeta check` lists all of it"
            self._cost = self._cost or f"{output}: {what}"

    def finish(self) -> None:
        """Fail if anything is lost or bad, or a newer state, or newer details, were passed over.

        Raises:
            SalvagedError: it is.
        """
        super().finish()
        if self._cost is not None:
            raise SalvagedError(self._cost)

    def _tell_of_whole(self, pool: "Pool", progress: Progress) -> None:
        from thinmeta.analyse.recover.passed_over import whole_devices
        from thinmeta.analyse.recover.scan import scan
        from thinmeta.formats.states import whole_text

        found = self._chosen.scan if self._chosen is not None else None
        try:
            found = found or scan(pool.source.device, progress.advance)
        finally:
            progress.clear()
        whole = whole_devices(found, pool.device_table.devices, self.losses().devices)
        for line in whole_text(whole, self._metadata):
            self.warn(line)


@contextmanager
def opened_for_repair(
    choice: MetadataChoice, report: RepairReport, progress: Progress
) -> Iterator["Pool"]:
    """Open what a broken pool is to go on with, with or without a superblock.

    Args:
        choice: the metadata.
        report: the policy, which is told of the choice.
        progress: is shown.

    Raises:
        DamagedMetadataError: nothing is left.
        InputError: it cannot be read, or is something else.
    """
    from thinmeta.analyse.recover.repair import choose_state
    from thinmeta.model.state import Roots
    from thinmeta.units import MetadataBlock

    if choice.state is not None:
        raise click.UsageError("a repair chooses the state itself, so -m and --state are of no use")
    with ExitStack() as stack:
        try:
            pool = stack.enter_context(opened(choice, report, all_blocks=True, hints=False))
        except (DamagedMetadataError, InputError) as error:
            anything = replace(choice, state=Roots(MetadataBlock(0)))
            pool = stack.enter_context(opened(anything, report, all_blocks=True))
            report.warn(str(error))
        try:
            chosen = choose_state(pool, progress.advance)
        finally:
            progress.clear()
        if chosen.candidate is not None:
            _refuse_impossible_block_size(chosen.pool, choice)
        report.chose(chosen, choice.words(chosen.pool.source.device.name))
        yield chosen.pool


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
