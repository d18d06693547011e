"""The forest of snapshots, drawn for people or as JSON lines."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from thinmeta.analyse.snapshots import Basis, Snapshot
from thinmeta.formats.columns_text import aligned, drawn
from thinmeta.formats.json_text import json_line
from thinmeta.formats.thin_ls import size_text
from thinmeta.units import DeviceId

_HEADER = ("DEV", "MAPPED", "EXCLUSIVE", "CREATE_TIME", "SNAP_TIME", "")


def text_tree(
    snapshots: Sequence[Snapshot], block_bytes: int, *, headers: bool = True
) -> Iterator[bytes]:
    """Return a line a device, below the device that it was created from."""
    lines: list[tuple[str, ...]] = [_HEADER] if headers else []
    lines += [_cells(branch, each, block_bytes) for branch, each in _drawn(snapshots)]
    for line in aligned(lines, left=frozenset({0, len(_HEADER) - 1})):
        yield f"{line.rstrip()}\n".encode()


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


def _cells(branch: str, each: Snapshot, block_bytes: int) -> tuple[str, ...]:
    usage = each.usage
    mapped = "" if usage.is_complete else "≥"
    exclusive = "" if usage.is_exact else "≤"
    return (
        branch,
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
    """Return each device with its branch, which ends in its id."""
    children: dict[DeviceId | None, list[Snapshot]] = defaultdict(list)
    for each in sorted(snapshots, key=lambda each: each.usage.device.creation_time):
        children[each.parent_id].append(each)
    roots = sorted(children[None], key=lambda each: each.usage.device.device_id)
    for branch, each in drawn(roots, lambda each: children[each.usage.device.device_id]):
        yield f"{branch}{each.usage.device.device_id}", each
