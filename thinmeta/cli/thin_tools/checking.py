"""thin_check: its two lines on standard output, and what is found on standard error."""

from pathlib import Path
from typing import NamedTuple

import click

from thinmeta.cli.damage import DamageReport
from thinmeta.cli.ending import say
from thinmeta.cli.metadata import MetadataChoice, opened
from thinmeta.cli.progress import Progress
from thinmeta.cli.thin_tools.command_line import CommandLine
from thinmeta.cli.thin_tools.tool import Release, existing
from thinmeta.errors import ExitCode, ThinmetaError

_WRITES = ("--clear-needs-check-flag", "--auto-repair")


class Checked(NamedTuple):
    """How a check ended.

    Attributes:
        code: an exit code of thinmeta's.
        would_write: what thin_check would now write into the metadata, as a sentence.
    """

    code: ExitCode
    would_write: str | None = None


def checked_as(line: CommandLine, release: Release) -> Checked:
    """Check as thin_check does; nothing is written."""
    try:
        return _checked(line, release)
    except ThinmetaError as error:
        say(f"Error: {error}")
        return Checked(error.exit_code)


def _checked(line: CommandLine, release: Release) -> Checked:
    from thinmeta.analyse.check.checker import check_pool
    from thinmeta.analyse.check.findings import CheckExtent, CheckOptions, Severity
    from thinmeta.formats.check_report import CheckText
    from thinmeta.model.state import State
    from thinmeta.names.name_sources import NameSources
    from thinmeta.units import MetadataBlock

    extent = CheckExtent.DEVICES if line.has("--skip-mappings") else CheckExtent.ALL
    roots = [line.value(f"--override-{which}-root") for which in ("mapping", "details")]
    options = CheckOptions(
        CheckExtent.SUPERBLOCK if line.has("--super-block-only") else extent,
        *(None if root is None else MetadataBlock(int(root)) for root in roots),
    )
    state = State.SNAP if line.has("--metadata-snap") else State.LIVE
    path = Path(existing(line.words[0]))
    report, progress, text = DamageReport(), Progress(), CheckText()
    with opened(MetadataChoice(path, state, False, NameSources()), report) as pool:  # noqa: FBT003
        report.warn_of(pool)
        if not line.has("-q"):
            live = pool.live_superblock
            if release is Release.V0_9:  # says the snapshot's, where it reads that
                live = live._replace(transaction_id=pool.superblock.transaction_id)
            click.echo(text.header(live), nl=False)
        with progress:
            found = check_pool(pool, options, progress.advance)
        for each in text.report(found):
            say(each.decode(), nl=False)
        needs_check = pool.live_superblock.needs_check
    if found.worst is Severity.FATAL:
        return Checked(ExitCode.DAMAGE)
    would_write = []
    if any(map(line.has, _WRITES)):
        would_write += ["clear the needs_check flag"] if needs_check else []
        would_write += ["mend what was found"] if found.worst is not None else []
    if would_write:
        what = " and ".join(would_write)
        return Checked(
            ExitCode.LEAKS,
            f"Error: {path}: thin_check would now {what}; nothing was written: thinmeta never "
            "writes to its input, and only the thin_check of thin-provisioning-tools does it",
        )
    if found.worst is None or line.has("--ignore-non-fatal-errors"):
        return Checked(ExitCode.DONE)
    return Checked(ExitCode.LEAKS)
