"""A device's contents as a file that is only read."""

from pathlib import Path

from thinmeta.device.extents import Extents
from thinmeta.model.thin_device import ThinDevice
from thinmeta.volume.contents import Volume
from thinmeta.volume.layout import Layout
from thinmeta.volume.sources import Sources, open_source


def open_volume(
    device: ThinDevice,
    block_bytes: int,
    data: str | Path | Extents,
    *,
    size: int | None = None,
    origin: str | Path | Extents | None = None,
) -> Volume:
    """Open the contents of a device, so that a library that knows file systems can read them.

    Args:
        device: of a pool that must stay open.
        block_bytes: the size of the pool's data blocks.
        data: the pool's data device, or an image of it; taken over if it is open.
        size: of the device, in bytes; None is up to its last mapped block.
        origin: its external origin, or an image of it; taken over if it is open.

    Raises:
        InputError: `data` or `origin` cannot be read.
    """
    opened = _opened(data)
    sources = Sources(opened, block_bytes, None if origin is None else _opened(origin))

    def load() -> Layout:
        return Layout.read(
            device.runs().chunks(),
            block_bytes,
            size=size,
            data_bytes=opened.size,
            origin_bytes=sources.origin_bytes,
        )

    return Volume(f"device {device.device_id}", load, sources)


def _opened(source: str | Path | Extents) -> Extents:
    return source if isinstance(source, Extents) else open_source(Path(source))
