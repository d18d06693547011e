"""Whether Docker's root is that of the pool: by the file system of the base device."""

import mmap

from thinmeta.device.extents import Extents
from thinmeta.errors import Damage, InputError
from thinmeta.model.device_columns import DevicesById
from thinmeta.model.pool import Pool
from thinmeta.names.docker.devicemapper import BASE
from thinmeta.names.docker.root import DockerRoot
from thinmeta.volume.contents import fill
from thinmeta.volume.filesystem import BEGINNING_BYTES, file_system_uuid
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources
from thinmeta.walk.stream_reader import read_runs


def refuse_other_pool(docker: DockerRoot, pool: Pool, data: Extents) -> None:
    """Refuse a root whose base device has another file system than the pool's device of its id.

    Docker writes that UUID down when it makes the base device, and never changes it. Where
    it is not known, or the beginning of the device cannot be read, nothing is refused.

    Args:
        docker: the root.
        pool: the pool.
        data: its data device.

    Raises:
        InputError: the root is that of another pool.

    Source: `saveBaseDeviceUUID()`, daemon/graphdriver/devmapper/deviceset.go (moby 23.0).
    """
    base = docker.devices.get(BASE)
    record = base.record if base is not None else None
    if docker.base_uuid is None or record is None:
        return
    device = DevicesById(pool.device_table.devices).get(record.device_id)
    if device is None or device.mapping_root is None:
        return
    block_bytes = pool.data_block_bytes()
    if not block_bytes:
        return
    runs = read_runs(pool.source, device.mapping_root, device.device_id, _go_on)
    layout = Layout.read(runs, block_bytes, size=BEGINNING_BYTES, data_bytes=data.size)
    if not len(layout.pieces):  # its mappings are lost
        return
    sources = Sources(data, block_bytes)
    with mmap.mmap(-1, BEGINNING_BYTES) as memory, memoryview(memory) as view:  # for O_DIRECT
        if list(fill(layout, sources, view, 0)):
            return
        uuid = file_system_uuid(bytes(view))
    if uuid != docker.base_uuid.lower():
        raise InputError(
            f"{docker.path}: is the root of another pool: its base device has the file system "
            f"{docker.base_uuid}, and device {device.device_id} of {pool.source.device.name} has "
            f"{uuid or 'none'} on {data.name}; give --docker-root and --data of this pool, or no "
            "--docker-root at all"
        )


def _go_on(_: Damage) -> None:
    """What is damaged is told by whoever reads the device that was asked for."""
