"""Where a program comes in: a pool's metadata, opened wherever it is."""

import io
import os
from contextlib import closing
from pathlib import Path

from thinmeta.analyse.recover.candidates import Candidate
from thinmeta.analyse.recover.scan import scan
from thinmeta.device.blocks import BlockDevice
from thinmeta.device.compressed import Inspect
from thinmeta.device.file_blocks import SeekableFile, open_file_blocks
from thinmeta.device.opening import open_blocks
from thinmeta.device.signatures import counted, refuse_foreign, refuse_other_formats
from thinmeta.errors import InputError, OnDamage, raise_damage
from thinmeta.library.opened_pool import OpenPool
from thinmeta.library.result_list import ResultList, list_of_states
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
            read while the pool is active), or a past one by its roots. Only the last can be
            read where the superblock is damaged; `find_states` finds them.
        ignore_unsupported: take superblock versions and incompat flags that are not known.
        data_block_sectors: the data block size, instead of what the superblock says.
        on_damage: told of each damage; the default raises where mappings are lost.

    Raises:
        InputError: it cannot be read, is no thin-pool metadata, or is live.
        NoSnapshotError: no metadata snapshot is held.
        NotThereError: a root is past the end of the metadata, or `names` has no such pool.
        DamagedMetadataError: the superblock is damaged.
    """
    refuse = refuse_other_formats if isinstance(state, Roots) else refuse_foreign
    pool = open_model(
        _device(source, names, inspect=counted(refuse), exclusive=state is not State.SNAP),
        state=state,
        ignore_unsupported=ignore_unsupported,
        data_block_sectors=data_block_sectors,
        on_damage=on_damage,
    )
    return OpenPool(pool, names)


def find_states(
    source: Source | None = None, *, names: NameSources | None = None
) -> ResultList[Candidate]:
    """Return the states that are left on a metadata device, best first, as `thinmeta scan` does.

    No superblock is needed, so this is the way in where it is wiped. All blocks are read.

    >>> import lzma, thinmeta
    >>> image = bytearray(lzma.open("fixtures/a09-discards-and-deletes/meta.bin.xz").read())
    >>> image[:4096] = bytes(4096)
    >>> best = thinmeta.find_states(image)[0]
    >>> with thinmeta.open_pool(image, state=best.roots) as pool:
    ...     print(best.roots, list(pool.devices))
    122:124 [1, 3, 5, 7, 8]

    Args:
        source: see `open_pool`.
        names: who may know where it is; their disks stay open.

    Raises:
        InputError: it cannot be read, is something else, or is live.
    """
    with closing(_device(source, names, inspect=refuse_other_formats, exclusive=True)) as device:
        return list_of_states(scan(device).candidates)


def _device(
    source: Source | None, names: NameSources | None, *, inspect: Inspect, exclusive: bool
) -> BlockDevice:
    """Open metadata, wherever it is; see `open_pool`."""
    if source is None and names is not None:
        source = names.open_metadata(exclusive=exclusive, inspect=inspect)
        source = names.metadata_path(None) if source is None else source
    if source is None:
        raise InputError("nobody says where the metadata is: give a source, or names with disks")
    if isinstance(source, BlockDevice):
        return source
    if isinstance(source, str | os.PathLike):
        return open_blocks(Path(source), inspect=inspect, exclusive=exclusive)
    if isinstance(source, bytes | bytearray | memoryview):
        return open_file_blocks(io.BytesIO(source), name="<bytes>", inspect=inspect)
    name = str(getattr(source, "name", type(source).__name__))
    return open_file_blocks(source, name=name, inspect=inspect)
