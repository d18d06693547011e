"""The files that a device's bytes are in: as they were given, or where the names' sources are."""

from pathlib import Path

from thinmeta.device.extents import Extents
from thinmeta.model.device_spec import ChosenDevice
from thinmeta.model.pool import Pool
from thinmeta.names.name_sources import NameSources
from thinmeta.volume.sources import Sources, open_source

Place = str | Path | Extents


def own_data(names: NameSources, pool: Pool, data: Place | None = None) -> Extents | None:
    """Open the data device of a pool, and of no other; None if nobody knows where it is.

    Args:
        names: who may know where it is, and whether it is this pool's.
        pool: the pool.
        data: a device or an image of it; taken over if it is open. None: as the names know.

    Raises:
        InputError: it cannot be read, or the names are another pool's.
    """
    opened = names.open_data(pool) if data is None else _opened(data)
    if opened is not None:
        try:
            names.refuse_other_pool(pool, opened)
        except BaseException:
            opened.close()
            raise
    return opened


def with_origin(
    names: NameSources,
    chosen: ChosenDevice,
    data: Extents,
    origin: Place | None = None,
    *,
    direct: bool = False,
) -> Sources:
    """Return the files of a device: its data, and its external origin if it has one.

    Args:
        names: who may know where the origin is.
        chosen: the device, which may know its origin.
        data: its data device, which is closed if there is an error.
        origin: its origin, whatever the names say; taken over if it is open.
        direct: read a block device past the page cache.

    Raises:
        InputError: the origin cannot be read, or the data block size is not known.
    """
    try:
        block_bytes = chosen.pool.data_block_bytes()
        opened = None
        if origin is not None:
            opened = _opened(origin, direct=direct)
        elif chosen.external_origin is not None:
            from thinmeta.names.lvm_volumes import open_external_origin

            opened = open_external_origin(names.state_with_origins(), chosen.external_origin)
    except BaseException:
        data.close()
        raise
    return Sources(data, block_bytes, opened)


def _opened(place: Place, *, direct: bool = False) -> Extents:
    return place if isinstance(place, Extents) else open_source(Path(place), direct=direct)
