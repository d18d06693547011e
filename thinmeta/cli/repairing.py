"""How `dump --repair` and `repair` choose what to go on with, and say so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from thinmeta.cli.messages import DamageReport, Progress
from thinmeta.cli.metadata import MetadataChoice, opened
from thinmeta.errors import DamagedMetadataError, InputError

if TYPE_CHECKING:
    from thinmeta.model.pool import Pool


@contextmanager
def opened_for_repair(
    choice: MetadataChoice, report: DamageReport, progress: Progress
) -> Iterator["Pool"]:
    """Open what a broken pool is to go on with, with or without a superblock.

    Args:
        choice: the metadata.
        report: the policy; it must go on past damage, and is told of the choice.
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
            pool = stack.enter_context(opened(choice, report, all_blocks=True))
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
            report.warn(f"going on with state {chosen.roots}: {_described(chosen.pool)}")
        yield chosen.pool


def _refuse_impossible_block_size(pool: "Pool", choice: MetadataChoice) -> None:
    """Refuse what no superblock that is made anew may say, as thin_dump --repair does."""
    from thinmeta.analyse.recover.rebuild import refuse_impossible_block_size

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
