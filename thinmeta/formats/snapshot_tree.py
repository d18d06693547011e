"""The forest of snapshots, drawn for people or as JSON lines."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from thinmeta.analyse.branches import Branches
from thinmeta.analyse.freed import Freed, most_missing
from thinmeta.analyse.snapshots import Basis, Snapshot
from thinmeta.formats.columns_text import aligned, drawn
from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import printable
from thinmeta.formats.thin_ls import size_text
from thinmeta.model.losses import Losses
from thinmeta.units import DeviceId

_HEADER = ("DEV", "MAPPED", "EXCLUSIVE", "FREES", "CREATE_TIME", "SNAP_TIME", "NAME", "")


class Tree(NamedTuple):
    """A forest of snapshots, and what each branch frees.

    Attributes:
        snapshots: by ascending id.
        branches: each device with all that were created from it.
        counts: what each branch frees.
        losses: what is lost of the pool; None if nothing is.
        names: of the devices; None if there is no source of names.
        block_bytes: bytes of a data block.
    """

    snapshots: Sequence[Snapshot]
    branches: Branches
    counts: Freed
    losses: Losses | None
    names: Mapping[DeviceId, str] | None
    block_bytes: int

    @property
    def is_exact(self) -> bool:
        """Whether nothing of the pool is lost, so that numbers are no bounds."""
        return self.losses is None or self.losses.is_complete

    def freed(self) -> dict[DeviceId, int]:
        """Return what each branch frees, in blocks, or the most that it can."""
        blocks, parents = self.counts.blocks.tolist(), self.branches.parents
        if not self.is_exact:
            of_devices = most_missing(self.losses)
            missing = [of_devices[each] for each in self.branches.places]
            for place in range(len(parents) - 1, -1, -1):
                blocks[place] += missing[place]
                if parents[place] >= 0:
                    missing[parents[place]] += missing[place]
        return {device_id: blocks[place] for device_id, place in self.branches.places.items()}


def text_tree(tree: Tree, *, headers: bool = True) -> Iterator[bytes]:
    """Return a line a device, below the device that it was created from."""
    freed = tree.freed()
    lines: list[tuple[str, ...]] = [_HEADER] if headers else []
    lines += [_cells(branch, each, tree, freed) for branch, each in _drawn(tree.snapshots)]
    if tree.names is None:
        lines = [(*line[:-2], line[-1]) for line in lines]
    last = len(lines[0]) - 1 if lines else 0
    for line in aligned(lines, left=frozenset({0, last, *({last - 1} if tree.names else ())})):
        yield f"{line.rstrip()}\n".encode()


def json_tree(tree: Tree) -> Iterator[bytes]:
    """Return an object a device, by ascending id."""
    freed = tree.freed()
    block_bytes = tree.block_bytes
    for each in tree.snapshots:
        usage = each.usage
        name = {} if tree.names is None else {"name": tree.names.get(usage.device.device_id)}
        yield json_line(
            type="device",
            device_id=usage.device.device_id,
            parent_id=each.parent_id,
            basis=each.basis and each.basis.value,
            is_snapshot=each.is_snapshot,
            shares_with=each.shares_with,
            mapped_bytes=usage.mapped * block_bytes,
            exclusive_bytes=usage.exclusive * block_bytes,
            frees_bytes=freed[usage.device.device_id] * block_bytes,
            creation_time=usage.device.creation_time,
            snap_time=usage.device.snap_time,
            **name,
        )


def _cells(
    branch: str, each: Snapshot, tree: Tree, freed: Mapping[DeviceId, int]
) -> tuple[str, ...]:
    usage, block_bytes = each.usage, tree.block_bytes
    device_id = usage.device.device_id
    most = "" if tree.is_exact else "≤"
    name = (tree.names or {}).get(device_id)
    mapped = "" if usage.is_complete else "≥"
    exclusive = "" if usage.is_exact else "≤"
    return (
        branch,
        mapped + size_text(usage.mapped * block_bytes, bound=mapped),
        exclusive + size_text(usage.exclusive * block_bytes, bound=exclusive),
        most + size_text(freed[device_id] * block_bytes, bound=most),
        str(usage.device.creation_time),
        str(usage.device.snap_time),
        printable(name or ""),
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
