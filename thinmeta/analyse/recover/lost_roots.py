"""Which device a mapping tree is of, where the list of devices is lost.

The roots that it had are those whose references are missing. A device has a tree of as many
mappings as its details say, and none whose mappings it shares though they are not older than its
last snapshot; see `proof`. Where that leaves several ways, those devices are decided that have
the same tree in all of them.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from thinmeta.analyse.recover.proof import MissingChild


class DetailsOf(NamedTuple):
    """A device, as its details have it.

    Attributes:
        device_id: the device.
        mapped_blocks: how many mappings it has.
        snap_time: when it was last snapshotted.
        creation_time: when it was created.
    """

    device_id: int
    mapped_blocks: int
    snap_time: int
    creation_time: int


def proven_roots(
    roots: Sequence[MissingChild], devices: Sequence[DetailsOf]
) -> dict[int, MissingChild] | None:
    """Return the mapping tree of each device that is decided, by its id.

    Args:
        roots: all that are missing; one that is missing twice is of two devices.
        devices: all that have details.

    Returns:
        None where the two do not fit: there is no way.
    """
    by_size: dict[int, list[MissingChild]] = defaultdict(list)
    for root in roots:
        by_size[root.nr_mappings] += [root] * root.times
    alike: dict[int, list[DetailsOf]] = defaultdict(list)
    for device in devices:
        alike[device.mapped_blocks].append(device)
    if by_size.keys() != alike.keys():
        return None
    proven: dict[int, MissingChild] = {}
    for size, some in by_size.items():
        found = _decided(some, alike[size])
        if found is None:
            return None
        proven |= found
    return proven


def _decided(roots: list[MissingChild], devices: list[DetailsOf]) -> dict[int, MissingChild] | None:
    """Return what is decided among trees and devices of as many mappings.

    A root that was shared later can only be of fewer devices, those that were snapshotted
    later. So the first `k` roots are those of the first `k` devices wherever no further
    device can have the last of them.
    """
    if len(roots) != len(devices):
        return None
    roots = sorted(roots, key=lambda each: (-each.shared_time, each.block))
    devices = sorted(devices, key=lambda each: -each.snap_time)
    if any(
        root.shared_time >= device.snap_time for root, device in zip(roots, devices, strict=True)
    ):
        return None
    proven: dict[int, MissingChild] = {}
    begin = 0
    for end in range(1, len(roots) + 1):
        if end < len(roots) and devices[end].snap_time > roots[end - 1].shared_time:
            continue
        together = roots[begin:end]
        if len({each.block for each in together}) == 1 or not together[0].nr_mappings:
            proven |= {
                device.device_id: root
                for device, root in zip(devices[begin:end], together, strict=True)
            }
        begin = end
    return proven
