"""Where a program comes in: a pool's metadata, opened wherever it is."""

import io
import os
from pathlib import Path

from thinmeta.device.blocks import BlockDevice
from thinmeta.device.file_blocks import SeekableFile, open_file_blocks
from thinmeta.device.signatures import counted, refuse_foreign, refuse_other_formats
from thinmeta.errors import InputError, OnDamage, raise_damage
from thinmeta.library.opened_pool import OpenPool
from thinmeta.model.pool import open_pool as open_model
from thinmeta.model.state import AnyState, Roots, State
from thinmeta.names.name_sources import NameSources

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BlockDevice | SeekableFile


def open_pool(  # noqa: PLR0913  # each is a choice of its own
    source: Source | None = None,
    *,
    names: NameSources | None = None,
    state: AnyState = State.LIVE,
    ignore_unsupported: bool = False,
    data_block_sectors: int | None = None,
    on_damage: OnDamage = raise_damage,
) -> OpenPool:
    """Open a pool's metadata, wherever it is.

    >>> from pathlib import Path
    >>> content = Path("fixtures/a09-discards-and-deletes/meta.bin.xz").read_bytes()
    >>> with open_pool(content) as pool:
    ...     print(list(pool.devices))
    [1, 3, 5, 7, 8]

    Args:
        source: a path of a device or an image; the bytes of an image; or a binary file object
            that can seek, which is read where needed, stays open, and stays yours to close.
            An image may be compressed or packed. None is where the disks of `names` have it.
        names: who names the devices; the pool closes its disks.
        state: what to read: the live state, the metadata snapshot (the only one that can be
            read while the pool is active), or a past one by its roots.
        ignore_unsupported: take superblock versions and incompat flags that are not known.
        data_block_sectors: the data block size, instead of what the superblock says.
        on_damage: told of each damage; the default raises where mappings are lost.

    Raises:
        InputError: it cannot be read, is no thin-pool metadata, or is live.
        NoSnapshotError: no metadata snapshot is held.
        NotThereError: a root is past the end of the metadata, or `names` has no such pool.
        DamagedMetadataError: the superblock is damaged.
    """
    inspect = refuse_other_formats if isinstance(state, Roots) else refuse_foreign
    place: str | Path | BlockDevice | None
    if source is None and names is not None:
        exclusive = state is not State.SNAP
        place = names.open_metadata(exclusive=exclusive, inspect=inspect)
        place = names.metadata_path(None) if place is None else place
    elif isinstance(source, str | os.PathLike):
        place = Path(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        content = io.BytesIO(source)
        place = open_file_blocks(content, name="<bytes>", inspect=counted(inspect))
    elif source is None or isinstance(source, BlockDevice):
        place = source
    else:
        name = str(getattr(source, "name", type(source).__name__))
        place = open_file_blocks(source, name=name, inspect=counted(inspect))
    if place is None:
        raise InputError("nobody says where the metadata is: give a source, or names with disks")
    pool = open_model(
        place,
        state=state,
        ignore_unsupported=ignore_unsupported,
        data_block_sectors=data_block_sectors,
        on_damage=on_damage,
    )
    return OpenPool(pool, names)
