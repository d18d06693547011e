"""What a check found, as text for people and as JSON lines.

`docs/check.md` documents both. The first two lines of the text are those of thin_check,
which scripts look for.
"""

from collections.abc import Iterator

from thinmeta.analyse.check.findings import CheckReport, Finding, Severity
from thinmeta.formats.json_text import json_line
from thinmeta.model.superblock import Superblock
from thinmeta.units import LAST_KEY

_DEVICES_TOLD = 8
_VERDICTS = {None: "healthy", Severity.FATAL: "fatal", Severity.NOT_FATAL: "not_fatal"}


class CheckText:
    """A line a finding, and a summary."""

    def header(self, live: Superblock) -> bytes:
        """Return what is known before the check: the live superblock's totals."""
        lines = (
            f"TRANSACTION_ID={live.transaction_id}",
            f"METADATA_FREE_BLOCKS={live.metadata_space_map.nr_free}",
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def report(self, report: CheckReport) -> Iterator[bytes]:
        """Return the lines of the findings and the summary."""
        for finding in report.findings:
            yield f"{finding_text(finding)}\n".encode()
        yield f"{summary_text(report)}\n".encode()


class CheckJson:
    """An object a line: the superblock, the findings, the summary."""

    def header(self, live: Superblock) -> bytes:
        """Return the object of the live superblock."""
        return json_line(
            type="superblock",
            transaction_id=live.transaction_id,
            needs_check=live.needs_check,
            held_root=live.held_root or None,
            nr_metadata_blocks=live.metadata_space_map.nr_blocks,
            metadata_free_blocks=live.metadata_space_map.nr_free,
            nr_data_blocks=live.data_space_map.nr_blocks,
            data_free_blocks=live.data_space_map.nr_free,
        )

    def report(self, report: CheckReport) -> Iterator[bytes]:
        """Return the objects of the findings and of the summary."""
        for finding in report.findings:
            yield json_line(
                type="finding",
                severity=finding.severity.value,
                part=finding.part.value,
                state="snap" if finding.in_snapshot else "live",
                block=finding.block,
                device_ids=finding.device_ids,
                key_name=finding.key_name,
                first_key=finding.first_key,
                last_key=finding.last_key,
                what=finding.what,
                lost=finding.lost,
            )
        yield json_line(
            type="summary",
            verdict=_VERDICTS[report.worst],
            fatal=report.count(Severity.FATAL),
            not_fatal=report.count(Severity.NOT_FATAL),
            nr_devices=report.nr_devices,
            nr_mappings=report.nr_mappings,
            nr_nodes=report.nr_nodes,
            space_maps=report.space_maps,
            lost_references=report.lost_references,
        )


REPORTS: dict[str, type[CheckText] | type[CheckJson]] = {"text": CheckText, "json": CheckJson}
"""The formats by their names."""


def finding_text(finding: Finding) -> str:
    """Return a finding in one line: how bad, which part, where, what, and what is lost."""
    severity = "fatal" if finding.severity is Severity.FATAL else "not fatal"
    where = ", ".join(_where(finding))
    lost = f"; lost: {finding.lost}" if finding.lost else ""
    return f"{severity}: {finding.part.value}: {where}{': ' if where else ''}{finding.what}{lost}"


def summary_text(report: CheckReport) -> str:
    """Return the last line: how many findings, and what was checked."""
    fatal, not_fatal = report.count(Severity.FATAL), report.count(Severity.NOT_FATAL)
    checked = f"{report.nr_devices} devices, {report.nr_mappings} mappings, {report.nr_nodes} nodes"
    if report.space_maps:
        checked += " and both space maps"
    if report.worst is None:
        return f"nothing found; checked {checked}"
    text = f"{fatal} fatal, {not_fatal} not fatal; checked {checked}"
    if report.space_maps and report.lost_references:
        text += "; leaks cannot be told, since references are lost"
    return text


def _where(finding: Finding) -> Iterator[str]:
    if finding.block is not None:
        yield f"metadata block {finding.block}"
    state = "@snap" if finding.in_snapshot else ""
    if finding.device_ids:
        told = ", ".join(f"{device_id}{state}" for device_id in finding.device_ids[:_DEVICES_TOLD])
        more = len(finding.device_ids) - _DEVICES_TOLD
        plural = "s" if len(finding.device_ids) > 1 else ""
        yield f"device{plural} {told}{f' and {more} more' if more > 0 else ''}"
    elif state:
        yield "metadata snapshot"
    if finding.first_key is not None and finding.key_name:
        if finding.first_key == finding.last_key:
            yield f"{finding.key_name} {finding.first_key}"
        else:
            end = "end" if finding.last_key in (None, LAST_KEY) else str(finding.last_key)
            yield f"{finding.key_name}s {finding.first_key}..{end}"
