"""The forest of snapshots, drawn for people or as JSON lines."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from thinmeta.analyse.snapshots import Basis, Snapshot
from thinmeta.formats.json_text import json_line
from thinmeta.formats.thin_ls import size_text
from thinmeta.units import DeviceId

_HEADER = ("DEV", "MAPPED", "EXCLUSIVE", "CREATE_TIME", "SNAP_TIME", "")


def text_tree(
    snapshots: Sequence[Snapshot], block_bytes: int, *, headers: bool = True
) -> Iterator[bytes]:
    """Return a line a device, below the device that it was created from."""
    lines: list[tuple[str, ...]] = [_HEADER] if headers else []
    lines += [_cells(drawn, each, block_bytes) for drawn, each in _drawn(snapshots)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for tree, *numbers, note in lines:
        cells = [tree.ljust(widths[0])]
        cells += [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
        yield "  ".join([*cells, note]).rstrip().encode() + b"\n"


def json_tree(snapshots: Sequence[Snapshot], block_bytes: int) -> Iterator[bytes]:
    """Return an object a device, by ascending id."""
    for each in snapshots:
        usage = each.usage
        yield json_line(
            type="device",
            device_id=usage.device.device_id,
            parent_id=each.parent_id,
            basis=each.basis and each.basis.value,
            is_snapshot=each.is_snapshot,
            shares_with=each.shares_with,
            mapped_bytes=usage.mapped * block_bytes,
            exclusive_bytes=usage.exclusive * block_bytes,
            creation_time=usage.device.creation_time,
            snap_time=usage.device.snap_time,
        )


def _cells(drawn: str, each: Snapshot, block_bytes: int) -> tuple[str, ...]:
    usage = each.usage
    mapped = "" if usage.is_complete else "≥"
    exclusive = "" if usage.is_exact else "≤"
    return (
        drawn,
        mapped + size_text(usage.mapped * block_bytes, bound=mapped),
        exclusive + size_text(usage.exclusive * block_bytes, bound=exclusive),
        str(usage.device.creation_time),
        str(usage.device.snap_time),
        _note(each),
    )


def _note(each: Snapshot) -> str:
    if each.basis is Basis.SHARING:
        return "origin by what they share"
    if each.is_snapshot and each.parent_id is None:
        shares = "" if each.shares_with is None else f"; shares most with {each.shares_with}"
        return f"a snapshot, its origin is gone{shares}"
    return ""


def _drawn(snapshots: Sequence[Snapshot]) -> Iterator[tuple[str, Snapshot]]:
    """Return each device with its branch; a stack, as chains of snapshots can be long."""
    children: dict[DeviceId | None, list[Snapshot]] = defaultdict(list)
    for each in sorted(snapshots, key=lambda each: each.usage.device.creation_time):
        children[each.parent_id].append(each)
    roots = sorted(children[None], key=lambda each: each.usage.device.device_id)
    stack = [(each, "", "") for each in reversed(roots)]
    while stack:
        each, branch, below = stack.pop()
        device_id = each.usage.device.device_id
        yield f"{branch}{device_id}", each
        own = children[device_id]
        for place, child in reversed(list(enumerate(own, 1))):
            is_last = place == len(own)
            stack.append(
                (
                    child,
                    below + ("└─ " if is_last else "├─ "),
                    below + ("   " if is_last else "│  "),
                )
            )
