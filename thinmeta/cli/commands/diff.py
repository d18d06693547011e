"""`thinmeta diff`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thinmeta.cli.compared_files import changes_between
from thinmeta.cli.damage import lost_lines
from thinmeta.cli.file_options import VolumeChoice, opened_device, volume_options
from thinmeta.cli.lost_files import LostFiles
from thinmeta.cli.metadata import opened
from thinmeta.cli.output import open_output, output_option
from thinmeta.cli.parameters import DEVICE, ParameterType, format_option, refuse_options

if TYPE_CHECKING:
    from thinmeta.analyse.diff import Diff
    from thinmeta.formats.style import Buffer
    from thinmeta.model.device_spec import DeviceSpec
    from thinmeta.walk.changes import ChangeRanges

_KINDS = ("added", "changed", "removed", "unknown", "same")
_OF_FILES = ("data", "origin", "size", "no_replay", "partition", "inside")
_OF_BLOCKS = ("compat", "kinds", "only_summary", "verbose")
_RANGES_KEPT = 1 << 20  # of a summary that comes first, so that they are not read twice


class _Kinds(ParameterType):
    name = "kinds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        kinds = frozenset(value.split(",")) if isinstance(value, str) else value
        if unknown := kinds - set(_KINDS):
            known = ", ".join(_KINDS)
            self.fail(f"{sorted(unknown)[0]!r} is no kind of change: {known}", param, ctx)
        return kinds


@click.command()
@click.argument("left", type=DEVICE)
@click.argument("right", type=DEVICE)
@click.option("--files", "of_files", is_flag=True, help="Show the files that changed, not blocks.")
@format_option("text", "xml", "json", "csv")
@click.option(
    "--compat",
    type=click.Choice(["1.1", "0.9"]),
    default="1.1",
    show_default=True,
    help="With -f xml: the thin_delta to equal.",
)
@click.option(
    "--only",
    "kinds",
    type=_Kinds(),
    metavar="KIND,...",
    help="Only these: added, changed, removed, unknown, same. Default: all but same; "
    "with -f xml all.",
)
@click.option("--summary", "only_summary", is_flag=True, help="No ranges.")
@click.option("--verbose", is_flag=True, help="Show data blocks; json and csv always do.")
@volume_options
@output_option
def diff(  # noqa: PLR0913  # one parameter an option
    *,
    left: "DeviceSpec",
    right: "DeviceSpec",
    of_files: bool,
    format_name: str,
    compat: str,
    kinds: frozenset[str] | None,
    only_summary: bool,
    verbose: bool,
    place: VolumeChoice,
    output: Path | None,
) -> None:
    """Show what changed from device LEFT to device RIGHT.

    A device is an id such as 186, a name, or root:N for the mapping tree at metadata
    block N; append @snap for the state that a metadata snapshot holds, @live for the
    state now, @MAPROOT for one that is past: `thinmeta diff 186@snap 186` shows what
    changed since the snapshot.

    added: not mapped in LEFT; changed: mapped in both, to other data blocks;
    removed: not mapped in RIGHT. Ranges are half-open, in blocks. With --salvage, what is
    mapped in one where the other has lost its mappings is unknown.

    With --files: the files that were added (A), changed (C) and removed (D), as docker
    diff shows them. Both devices need a file system, and their data: --data, --lvm or
    --docker-root say where it is.
    """
    from thinmeta.analyse.diff import Diff

    refuse_options(
        _OF_BLOCKS if of_files else _OF_FILES, "does not go" if of_files else "only goes"
    )
    if of_files:
        if format_name in ("xml", "csv"):
            raise click.UsageError(f"--files goes with text and json, not with {format_name}")
        _diff_files(place, left, right, output, is_json=format_name == "json")
        return
    choice = place.choice
    if only_summary and format_name in ("xml", "csv"):
        raise click.UsageError(f"--summary goes with text and json, not with {format_name}")
    shown = kinds or frozenset(_KINDS if format_name == "xml" else _KINDS[:4])
    report = place.report()
    with opened(choice.for_devices(left, right), report) as pool:
        report.warn_of(pool)
        chosen = choice.choose(pool, left), choice.choose(pool, right)
        both, losses = report.prepared_devices(*chosen)
        difference = Diff(
            *both,
            by_data=verbose or format_name in ("json", "csv"),
            with_same="same" in shown and not only_summary,
            is_complete=losses is None or losses.is_complete,
        )
        with open_output(output, choice.names.inputs(pool.source.device.name)) as file:
            for text in _text(difference, format_name, shown, compat, (only_summary, verbose)):
                file.write(text)
            if format_name == "json":
                for line in lost_lines(losses):
                    file.write(line)
            pool.verify_unchanged()
        report.finish()


def _diff_files(
    place: VolumeChoice,
    left: "DeviceSpec",
    right: "DeviceSpec",
    output: Path | None,
    *,
    is_json: bool,
) -> None:
    from thinmeta.formats.file_changes import change_line, change_object
    from thinmeta.formats.files import joined

    report = place.report()
    lost = LostFiles(report)
    line = change_object if is_json else change_line
    with opened(place.choice.for_devices(left, right), report) as pool:
        report.warn_of(pool)
        old, new = place.choice.choose(pool, left), place.choice.choose(pool, right)
        with (
            opened_device(place, pool, old, report) as before,
            opened_device(place, pool, new, report) as after,
        ):
            changes = changes_between(before, after, (old.name, new.name), lost)
            with open_output(output, after.inputs) as file:
                for part in joined(map(line, changes)):
                    file.write(part)
                pool.verify_unchanged()
        lost.finish()


def _text(
    difference: "Diff",
    format_name: str,
    shown: frozenset[str],
    compat: str,
    only_summary_verbose: tuple[bool, bool],
) -> "Iterator[Buffer]":
    from thinmeta.formats import diff as summaries
    from thinmeta.formats import ranges as lines
    from thinmeta.formats.thin_delta import delta_xml

    left, right = difference.left, difference.right
    only_summary, verbose = only_summary_verbose
    if format_name == "xml":
        parts = _shown(difference.ranges(), shown)
        yield from delta_xml(left, right, parts, verbose=verbose, is_0_9=compat == "0.9")
        return
    if format_name == "csv":
        yield lines.CSV_HEADER
        yield from lines.csv_range_lines().render(_shown(difference.ranges(), shown))
        return
    kept = None if only_summary else _kept(difference)
    is_json = format_name == "json"
    summarised = summaries.summary_json if is_json else summaries.summary_text
    yield summarised(left, right, difference.summary())
    if only_summary:
        return
    ranges = iter(kept) if kept is not None else difference.ranges()
    style = lines.json_range_lines() if is_json else lines.text_lines(with_data=verbose)
    yield from style.render(_shown(ranges, shown))


def _kept(difference: "Diff") -> "list[ChangeRanges] | None":
    """Read all ranges, which the summary needs; return them if they are not too many."""
    kept: list[ChangeRanges] | None = []
    size = 0
    for ranges in difference.ranges():
        size += len(ranges)
        if kept is not None and size <= _RANGES_KEPT:
            kept.append(ranges)
        else:
            kept = None
    return kept


def _shown(parts: "Iterator[ChangeRanges]", shown: frozenset[str]) -> "Iterator[ChangeRanges]":
    import numpy as np

    from thinmeta.formats.ranges import WORDS

    unwanted = [change for change, word in WORDS.items() if word not in shown]
    for ranges in parts:
        some = ranges
        for change in unwanted:
            some = some[np.flatnonzero(some.change != change)]
        if len(some):
            yield some
