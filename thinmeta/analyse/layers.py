"""Docker's images and containers as a pool has them: what each device added to the one below."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from thinmeta.analyse.diff import Diff
from thinmeta.analyse.leaf_counts import Ask
from thinmeta.analyse.usage import DeviceUsage, bounded, usage
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.losses import Losses
from thinmeta.model.pool import Pool
from thinmeta.names.docker.devices import DockerDevice
from thinmeta.units import OnProgress

DockerDevices = Mapping[str, DockerDevice]
"""Docker's devices by hash; a parent is always one of them, and no circles are among them."""


class Written(NamedTuple):
    """How many blocks became others, from a device to the one that was created from it."""

    added: int
    changed: int
    removed: int


class MeasuredLayer(NamedTuple):
    """One of Docker's devices, measured.

    >>> import thinmeta
    >>> folder = "fixtures/docker-direct-lvm-ext4-512k"
    >>> names = thinmeta.NameSources(f"{folder}/docker-state")
    >>> with thinmeta.open_pool(f"{folder}/meta.bin.xz", names=names) as pool:
    ...     base, layer, *_ = pool.layers()
    >>> base.docker.name, base.usage.mapped, layer.docker.kind.name
    ('base', 52, 'IMAGE')

    Attributes:
        docker: what Docker says of it.
        parent: what Docker says of the device that it was created from; None if unknown.
        usage: what it maps, and what of that nothing else maps; None if it is not in
            the pool.
        written: from its parent to it, of the base device from nothing; None where one of
            them is not in the pool.
    """

    docker: DockerDevice
    parent: DockerDevice | None
    usage: DeviceUsage | None
    written: Written | None


def stack(devices: DockerDevices, top: DockerDevice) -> list[DockerDevice]:
    """Return `top` and what it stands on, the lowest first."""
    found = [top]
    while (parent := found[-1].parent) is not None:
        found.append(devices[parent])
    return found[::-1]


def measured(
    pool: Pool,
    devices: DockerDevices,
    chosen: Iterable[DockerDevice],
    *,
    losses: Losses | None = None,
    on_progress: OnProgress | None = None,
) -> list[MeasuredLayer]:
    """Return what the pool says of each of `chosen`, in their order.

    All mappings of the pool are read once, to tell what is exclusive. A device and its
    parent are compared where their trees part, so that costs what was written.

    Args:
        pool: in the state to look at.
        devices: all of Docker's, among which are the parents.
        chosen: those to measure.
        losses: what is lost of the pool; None if nothing is.
        on_progress: told of each piece of the mapping trees that was read.

    Raises:
        DamagedMetadataError: a node is bad, and the pool's `on_damage` raises.
        InputError: a metadata snapshot was read, and the pool moved on meanwhile.
    """
    usages = usage(pool, Ask.EXCLUSIVE, on_progress=on_progress)
    if losses is not None:
        usages = bounded(pool, usages, losses)
    used = {each.device.device_id: each for each in usages}

    def usage_of(device: DockerDevice | None) -> DeviceUsage | None:
        record = device.record if device else None
        found = used.get(record.device_id) if record else None
        if record is None or found is None:
            return None
        is_another = record.created_in not in (None, found.device.transaction_id)
        return None if is_another else found

    found = []
    for device in chosen:
        parent = devices[device.parent] if device.parent else None
        own = usage_of(device)
        written = _written(pool, device, usage_of(parent), own) if own else None
        found.append(MeasuredLayer(device, parent, own, written))
    pool.verify_unchanged()
    return found


def _written(
    pool: Pool, docker: DockerDevice, below: DeviceUsage | None, own: DeviceUsage
) -> Written | None:
    if docker.is_first:
        return Written(own.mapped, 0, 0)
    if below is None:
        return None
    left, right = ChosenDevice.of(pool, below.device), ChosenDevice.of(pool, own.device)
    is_complete = below.is_complete and own.is_complete
    summary = Diff(left, right, is_complete=is_complete).summary()
    return Written(summary.added, summary.changed, summary.removed)
