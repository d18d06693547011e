"""What a scan found, as text for people and as JSON lines.

`docs/scan.md` documents both.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from thinmeta.analyse.recover.block_classes import NODE_CLASSES, BlockClass
from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.device_lists import FoundDevice
from thinmeta.analyse.recover.orphans import Orphan
from thinmeta.analyse.recover.scan import NodeCount, Scan
from thinmeta.formats.columns_text import aligned
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import command_text
from thinmeta.model.superblock import Superblock
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION

_SHOWN = 20
"""States and orphans that are shown unless all are asked for."""

_SHOWN_RANGES = 6
"""Ranges of device ids of a state; JSON has all devices."""

LABELS = {
    BlockClass.SUPERBLOCK: "superblock",
    BlockClass.HELD_SUPERBLOCK: "superblock of a metadata snapshot",
    BlockClass.MAPPINGS: "mappings",
    BlockClass.DEVICE_ROOTS: "devices",
    BlockClass.DETAILS: "device details",
    BlockClass.BITMAP_INDEX: "bitmap index",
    BlockClass.REF_COUNTS: "ref counts",
    BlockClass.INTERNAL: "nodes above nothing that is left",
    BlockClass.INDEX: "metadata index",
    BlockClass.BITMAP: "bitmaps",
    BlockClass.TORN: "torn: written for another place",
    BlockClass.BAD: "damaged",
    BlockClass.UNREADABLE: "cannot be read",
    BlockClass.ZERO: "zeros",
    BlockClass.UNKNOWN: "anything else",
}

_STATE_COLUMNS = (
    *("STATE", "devices", "mappings", "expected", "lost nodes", "time", "transaction"),
    *("highest block", "device ids", ""),
)
_WORDS = ("device ids", "", "origin blocks")
_ORPHAN_COLUMNS = (
    *("ORPHAN", "height", "mappings", "lost nodes", "time", "highest block", "origin blocks"),
)


def scan_text(scan: Scan, metadata: Sequence[str], *, show_all: bool) -> Iterator[bytes]:
    """Return the text for people.

    Args:
        scan: what was found.
        metadata: the words that name it, for the commands to type next.
        show_all: list all states and orphans, not only the first.
    """
    for label, nr_blocks in _block_counts(scan):
        yield f"{label:<38} {nr_blocks:>9}\n".encode()
    yield b"\n"
    shown = None if show_all else _SHOWN
    states = [_state_row(scan, candidate) for candidate in scan.candidates[:shown]]
    yield from _table("States, best first", _STATE_COLUMNS, states, len(scan.candidates))
    yield b"\n"
    orphans = [_orphan_row(orphan) for orphan in scan.orphans[:shown]]
    yield from _table("Orphans, largest first", _ORPHAN_COLUMNS, orphans, len(scan.orphans))
    yield from _hints(scan, metadata)


def scan_json(scan: Scan) -> Iterator[bytes]:
    """Return an object for the blocks, each superblock, each state and each orphan."""
    yield json_line(
        type="blocks",
        nr_blocks=len(scan.classes),
        classes=[
            {"class": each.name.lower(), "nr_blocks": scan.count(each)} for each in BlockClass
        ],
        nodes=[
            {"class": each.kind.name.lower(), "height": each.height, "nr_blocks": each.nr_blocks}
            for each in scan.node_counts
        ],
    )
    for superblock in scan.superblocks:
        yield json_line(
            type="superblock",
            block=superblock.blocknr,
            time=superblock.time,
            transaction_id=superblock.transaction_id,
            held_root=superblock.held_root or None,
            data_block_sectors=superblock.data_block_sectors,
            mapping_root=superblock.data_mapping_root,
            details_root=superblock.device_details_root,
        )
    for candidate in scan.candidates:
        yield json_line(
            type="state",
            state=state_text(candidate),
            mapping_root=candidate.mapping_root,
            details_root=candidate.details_root,
            superblock=candidate.superblock,
            live=candidate.is_live,
            whole=candidate.is_whole,
            nr_devices=candidate.nr_devices,
            nr_devices_lost=candidate.nr_devices_lost,
            nr_leaves=candidate.nr_leaves,
            nr_nodes_lost=candidate.nr_nodes_lost,
            nr_mappings=candidate.nr_mappings,
            mapped_blocks=candidate.mapped_blocks,
            time=candidate.time,
            transaction_id=candidate.transaction_id,
            highest_data_block=candidate.highest_data_block,
            devices=[_device_object(device) for device in scan.devices(candidate)],
        )
    for orphan in scan.orphans:
        yield json_line(
            type="orphan",
            root=orphan.root,
            height=orphan.height,
            nr_leaves=orphan.nr_leaves,
            nr_nodes_lost=orphan.nr_nodes_lost,
            nr_mappings=orphan.nr_mappings,
            first_key=orphan.first_key,
            last_key=orphan.last_key,
            time=orphan.time,
            highest_data_block=orphan.highest_data_block,
        )
    yield json_line(type="end")


def _device_object(device: FoundDevice) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "mapping_root": device.mapping_root,
        "nr_nodes_lost": device.nr_nodes_lost,
        "nr_mappings": device.nr_mappings,
        "mapped_blocks": device.mapped_blocks,
        "time": device.time,
        "highest_data_block": device.highest_data_block,
        "transaction_id": device.transaction_id,
        "creation_time": device.creation_time,
        "snap_time": device.snap_time,
    }


def _block_counts(scan: Scan) -> Iterator[tuple[str, int]]:
    """Return what there is of each class, nodes by their height."""
    yield "blocks", len(scan.classes)
    for block_class in BlockClass:
        if block_class in NODE_CLASSES:
            for each in scan.node_counts:
                if each.kind == block_class:
                    yield f"  {_node_label(each)}", each.nr_blocks
        elif nr_blocks := scan.count(block_class):
            yield f"  {LABELS[block_class]}", nr_blocks


def _node_label(count: NodeCount) -> str:
    label = LABELS[count.kind]
    if count.kind is BlockClass.INTERNAL:
        return label
    return f"{label}, {f'nodes {count.height} above the leaves' if count.height else 'leaves'}"


def state_text(candidate: Candidate) -> str | None:
    """Return what `--state` takes; None where there is no list of devices to go by."""
    if candidate.mapping_root is None:
        return None
    roots = (candidate.mapping_root, candidate.details_root)
    return ":".join(str(root) for root in roots if root is not None)


def _state_row(scan: Scan, candidate: Candidate) -> list[str]:
    return [
        state_text(candidate) or f"-:{candidate.details_root}",
        str(candidate.nr_devices),
        str(candidate.nr_mappings),
        _or_dash(candidate.mapped_blocks),
        str(candidate.nr_nodes_lost),
        str(candidate.time),
        _or_dash(candidate.transaction_id),
        _or_dash(candidate.highest_data_block),
        _ids_text([device.device_id for device in scan.devices(candidate)]),
        _remark(scan.live_superblock, candidate),
    ]


def _ids_text(ids: Sequence[int]) -> str:
    """Return ids, which ascend, as ranges, of which only the first few are shown.

    >>> _ids_text([1, 2, 3, 5]), _ids_text(range(0, 40, 2)), _ids_text([])
    ('1..3,5', '0,2,4,6,8,10,...', '-')
    """
    known = {*ids}
    begins = [each for each in ids if each - 1 not in known]
    ends = [each for each in ids if each + 1 not in known]
    ranges = [
        str(first) if first == last else f"{first}..{last}"
        for first, last in zip(begins, ends, strict=True)
    ]
    more = ["..."] if len(ranges) > _SHOWN_RANGES else []
    return ",".join([*ranges[:_SHOWN_RANGES], *more]) or "-"


def _remark(live: Superblock | None, candidate: Candidate) -> str:
    words = []
    if candidate.superblock == SUPERBLOCK_LOCATION:
        words.append("live")
    elif candidate.superblock is not None:
        is_held = live is None or live.held_root == candidate.superblock
        words.append(f"{'held' if is_held else 'released'} snapshot")
    if candidate.superblock is not None and candidate.is_pair and not candidate.is_as_named:
        words.append("other details")
    if candidate.mapping_root is None:
        words.append("no mappings")
    if candidate.details_root is None:
        words.append("no details")
    return ", ".join(words)


def _orphan_row(orphan: Orphan) -> list[str]:
    return [
        f"root:{orphan.root}",
        str(orphan.height),
        str(orphan.nr_mappings),
        str(orphan.nr_nodes_lost),
        str(orphan.time),
        str(orphan.highest_data_block),
        f"{orphan.first_key}..{orphan.last_key}",
    ]


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _table(
    title: str, columns: Sequence[str], shown: Sequence[Sequence[str]], nr_rows: int
) -> Iterator[bytes]:
    """Return a table: the first column and words to the left, numbers to the right."""
    yield f"{title}: {nr_rows or 'none'}\n".encode()
    rows = [columns, *shown] if shown else []
    words = {place for place, name in enumerate(columns) if name in _WORDS}
    for line in aligned(rows, left=frozenset({0, *words})):
        yield f"{line.rstrip()}\n".encode()
    if nr_rows > len(shown):
        yield f"... and {nr_rows - len(shown)} more, which --all shows\n".encode()


def _hints(scan: Scan, metadata: Sequence[str]) -> Iterator[bytes]:
    """Return what to type next, with a state or an orphan that was found."""
    states = [each for each in scan.candidates if each.mapping_root is not None]
    older = next((each for each in states if not each.is_live), None)
    live = next((each for each in states if each.is_live), None)
    now = {device.device_id: device for device in scan.devices(live)} if live else {}
    examples: list[tuple[str, tuple[str, ...]]] = []
    if older is not None:
        state = state_text(older)
        past = ("--state", str(state), *_salvage(is_whole=older.is_whole))
        examples += [("the devices of a state", ("ls", *past)), ("a state as XML", ("dump", *past))]
        for device in [each for each in scan.devices(older) if each.device_id in now][:1]:
            number = device.device_id
            salvage = _salvage(is_whole=older.is_whole and now[number].is_whole)
            compared = ("diff", f"{number}@{state}", str(number), *salvage)
            examples.append(("a device, then and now", compared))
    if scan.orphans and now:
        orphan, (device_id, device) = scan.orphans[0], next(iter(now.items()))
        salvage = _salvage(is_whole=device.is_whole and not orphan.nr_nodes_lost)
        compared = ("diff", f"root:{orphan.root}", str(device_id), *salvage)
        examples.append(("an orphan and a device", compared))
    if examples:
        yield b"\n"
    for what, command in examples:
        yield f"{what:<24}{command_text(*command, *metadata)}\n".encode()


def _salvage(*, is_whole: bool) -> list[str]:
    return [] if is_whole else ["--salvage"]
