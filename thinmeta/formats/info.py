"""How `info` writes a pool: as text for people, as JSON lines for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from thinmeta.analyse.histograms import Histogram, Histograms
from thinmeta.analyse.info import Condition, PoolInfo, Space
from thinmeta.formats.json_text import json_line
from thinmeta.formats.sizes import size_text
from thinmeta.model.state import AnyState, State
from thinmeta.schemas.superblock import NEEDS_CHECK_FLAG

_STATES: dict[AnyState, str] = {State.LIVE: "live", State.SNAP: "metadata snapshot"}

_MEANINGS = {
    Condition.NEEDS_CHECK: (
        "needs_check is set: the kernel met an error in the metadata. It keeps the pool "
        "read-only until the metadata was checked and the flag cleared."
    ),
    Condition.DATA_FULL: (
        "Data is full. A write that needs a new block waits for the pool to grow, 60 seconds "
        "unless set otherwise, and then fails; with error_if_no_space it fails at once. Writes "
        "to blocks that are mapped and not shared go on."
    ),
    Condition.DATA_NEARLY_FULL: (
        "Data is nearly full. Once it is full, writes that need a new block wait, then fail."
    ),
    Condition.METADATA_FULL: (
        "Metadata is full: nothing but the kernel's reserve is free. The pool becomes read-only "
        "until the metadata device grows."
    ),
    Condition.METADATA_NEARLY_FULL: (
        "Metadata is nearly full: the kernel has asked for a larger metadata device. Once it is "
        "full the pool becomes read-only."
    ),
    Condition.SNAPSHOT_HELD: (
        "A metadata snapshot is held. Until it is released, no block that it uses is freed."
    ),
}
_WIDTH = 79
_ALL_WELL = "Neither data nor metadata is nearly full."


@dataclass(frozen=True, slots=True)
class _InfoStyle:
    """The words of one histogram; those of its table are thin_stat's."""

    name: str
    title: str
    columns: str


_RUN_LENGTHS = _InfoStyle("run_lengths", "Lengths of runs, in blocks", "length\tcounts\tpercentage")
_COUNTS = "ref-count\ttimes\tpercentage"
_DATA = _InfoStyle("data_ref_counts", "Ref counts in the data space map", _COUNTS)
_METADATA = _InfoStyle("metadata_ref_counts", "Ref counts in the metadata space map", _COUNTS)


def info_text(info: PoolInfo) -> Iterator[bytes]:
    """Return the text for people."""
    superblock = info.superblock
    facts = {
        "state": _STATES.get(info.state, f"past, {info.state}"),
        "version": superblock.version,
        "flags": _flags_text(superblock.flags),
        **{name: f"{flags:#x}: not known here" for name, flags in _features(info).items() if flags},
        "transaction id": superblock.transaction_id,
        "time": superblock.time,
        "held root": _held_root_text(info),
        "data block": f"{size_text(info.data.block_bytes)}, "
        f"{superblock.data_block_sectors} sectors",
        "devices": _number_text(info.nr_devices),
        "mappings": _blocks_text(info.mapped_blocks, info.data.block_bytes),
        "ref count > 1": _above_1_text(info),
    }
    for name, value in facts.items():
        yield f"{name:<15} {value}\n".encode()
    yield b"\n"
    yield _row("blocks", ["in all", "used", "reserved", "free"], "used")
    yield from _space_text("data", info.data)
    yield from _space_text("metadata", info.metadata)
    yield b"\n"
    meanings = [_MEANINGS[condition] for condition in info.conditions]
    if set(info.conditions) <= {Condition.NEEDS_CHECK, Condition.SNAPSHOT_HELD}:
        meanings.append(_ALL_WELL)
    for meaning in meanings:
        yield f"{fill(meaning, _WIDTH)}\n".encode()


def info_json(info: PoolInfo) -> Iterator[bytes]:
    """Return one object."""
    superblock = info.superblock
    yield json_line(
        type="info",
        state=str(info.state),
        version=superblock.version,
        flags=superblock.flags,
        needs_check=superblock.needs_check,
        **_features(info),
        transaction_id=superblock.transaction_id,
        time=superblock.time,
        held_root=superblock.held_root or None,
        data_block_sectors=superblock.data_block_sectors,
        nr_devices=info.nr_devices,
        mapped_blocks=info.mapped_blocks,
        data_blocks_above_1=info.data_blocks_above_1,
        data=_space_object(info.data),
        metadata=_space_object(info.metadata),
        conditions=[condition.value for condition in info.conditions],
    )


def histograms_text(histograms: Histograms) -> Iterator[bytes]:
    """Return a table for each histogram, as thin_stat prints it, below a title."""
    lengths = histograms.run_lengths
    if lengths is not None:
        yield from _table(_RUN_LENGTHS, lengths.histogram)
        yield f"{lengths.histogram.total} runs in {lengths.nr_leaves} leaves\n".encode()
        yield f"avg run length = {lengths.histogram.average:.2f}\n".encode()
    for style, histogram in (
        (_DATA, histograms.data_ref_counts),
        (_METADATA, histograms.metadata_ref_counts),
    ):
        if histogram is not None:
            yield from _table(style, histogram)
            yield f"{histogram.total} blocks allocated\n".encode()
            yield f"avg ref count = {histogram.average:.2f}\n".encode()


def histograms_json(histograms: Histograms) -> Iterator[bytes]:
    """Return an object a histogram."""
    if (lengths := histograms.run_lengths) is not None:
        yield _histogram_line(_RUN_LENGTHS, lengths.histogram, nr_leaves=lengths.nr_leaves)
    if histograms.data_ref_counts is not None:
        yield _histogram_line(_DATA, histograms.data_ref_counts)
    if histograms.metadata_ref_counts is not None:
        yield _histogram_line(_METADATA, histograms.metadata_ref_counts)


def _histogram_line(style: _InfoStyle, histogram: Histogram, **further: int) -> bytes:
    return json_line(
        type="histogram",
        of=style.name,
        total=histogram.total,
        average=histogram.average,
        bins=histogram.bins,
        **further,
    )


def _table(style: _InfoStyle, histogram: Histogram) -> Iterator[bytes]:
    total = histogram.total
    yield f"\n{style.title}\n{style.columns}\n".encode()
    for value, count in histogram.bins:
        yield f"{value}\t{count}\t{count / total * 100:.4f}\n".encode()


def _features(info: PoolInfo) -> dict[str, int]:
    superblock = info.superblock
    return {
        "compat_flags": superblock.compat_flags,
        "compat_ro_flags": superblock.compat_ro_flags,
        "incompat_flags": superblock.incompat_flags,
    }


def _flags_text(flags: int) -> str:
    words = ["needs_check"] if flags & NEEDS_CHECK_FLAG else []
    if rest := flags & ~NEEDS_CHECK_FLAG:
        words.append(f"{rest:#x}, which is not known here")
    return ", ".join(words) or "none"


def _held_root_text(info: PoolInfo) -> str:
    held_root = info.superblock.held_root
    return f"metadata block {held_root}" if held_root else "none"


def _number_text(number: int | None) -> str:
    return "not known: the metadata is damaged" if number is None else str(number)


def _blocks_text(blocks: int | None, block_bytes: int) -> str:
    if blocks is None:
        return _number_text(blocks)
    return f"{blocks}, {size_text(blocks * block_bytes)}"


def _above_1_text(info: PoolInfo) -> str:
    if info.state is State.SNAP:
        return "not known: a metadata snapshot has no space maps"
    if info.data_blocks_above_1 is None:
        return _number_text(None)
    return f"{info.data_blocks_above_1} data blocks, says the data space map, which counts leaves"


def _space_text(name: str, space: Space) -> Iterator[bytes]:
    blocks = (space.nr_blocks, space.used, space.reserved, space.free)
    percent = f"{100 * space.used / space.nr_blocks:.1f}%" if space.nr_blocks else ""
    yield _row(name, map(str, blocks), percent)
    yield _row("", (size_text(number * space.block_bytes) for number in blocks), "")


def _row(name: str, columns: Iterable[str], last: str) -> bytes:
    row = f"{name:<10}" + "".join(f"{column:>14}" for column in columns) + f"{last:>8}"
    return f"{row.rstrip()}\n".encode()


def _space_object(space: Space) -> dict[str, Any]:
    return {
        "block_bytes": space.block_bytes,
        "nr_blocks": space.nr_blocks,
        "used": space.used,
        "reserved": space.reserved,
        "free": space.free,
    }
