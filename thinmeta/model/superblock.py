"""The superblock as a typed value."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.errors import (
    Damage,
    DamagedMetadataError,
    NotThereError,
    UnsupportedFormatError,
)
from thinmeta.model.state import Roots
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.decode import checked_superblock, parse_superblock
from thinmeta.schemas.superblock import (
    MAX_THIN_VERSION,
    MIN_THIN_VERSION,
    NEEDS_CHECK_FLAG,
    THIN_SUPERBLOCK_MAGIC,
)
from thinmeta.schemas.superblock import Superblock as SuperblockSchema
from thinmeta.units import SECTOR_BYTES, MetadataBlock


class SpaceMapRoot(NamedTuple):
    """Where a space map is, and what it adds up to; all zeros in a held superblock.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     print(pool.superblock.data_space_map.nr_free)
    6783

    Source: `struct disk_sm_root`, drivers/md/persistent-data/dm-space-map-common.h.
    """

    nr_blocks: int
    nr_allocated: int
    bitmap_root: MetadataBlock
    ref_count_root: MetadataBlock

    @property
    def nr_free(self) -> int:
        """Blocks that are free; none where more are said to be in use than there are."""
        return max(0, self.nr_blocks - self.nr_allocated)


class Superblock(NamedTuple):
    """What the superblock says; field names are the kernel's unless the unit was unclear.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     print(pool.superblock.transaction_id, pool.superblock.data_block_sectors)
    9 128

    Source: `struct thin_disk_superblock`, drivers/md/dm-thin-metadata.c.
    """

    blocknr: MetadataBlock
    flags: int
    version: int
    time: int
    transaction_id: int
    held_root: MetadataBlock
    data_space_map: SpaceMapRoot
    metadata_space_map: SpaceMapRoot
    data_mapping_root: MetadataBlock
    device_details_root: MetadataBlock
    data_block_sectors: int
    compat_flags: int
    compat_ro_flags: int
    incompat_flags: int

    @property
    def needs_check(self) -> bool:
        """Whether the kernel asks for a check before it writes to the pool again."""
        return bool(self.flags & NEEDS_CHECK_FLAG)


def read_superblock(
    device: BlockDevice, block: MetadataBlock, *, ignore_unsupported: bool = False
) -> Superblock:
    """Read the superblock copy at `block`: 0, or a held root.

    Args:
        device: where to read.
        block: where the copy stands.
        ignore_unsupported: take versions and incompat flags that are not known.

    Raises:
        DamagedMetadataError: it cannot be read or is not what it should be.
        UnsupportedFormatError: its version or an incompat flag is not known.
    """
    batch = device.read(np.array([block], dtype=np.uint64))
    fields, fault = checked_superblock(batch.rows[0], block)
    unread = {
        Fault.READ_ERROR: "the superblock cannot be read",
        Fault.PAST_END: "the superblock is past the end of the file",
    }.get(Fault(int(batch.faults[0])))
    if what := unread or fault:
        raise DamagedMetadataError(Damage(f"{what}; nothing can be read without it", block))
    superblock = _from_fields(fields)
    if not ignore_unsupported:
        _refuse_unsupported(superblock, device.name)
    return superblock


def checksum_of(device: BlockDevice, superblock: Superblock) -> int:
    """Return the checksum that stands where `superblock` was read; 0 where nothing can be read."""
    row = device.read(np.array([superblock.blocknr], dtype=np.uint64)).rows[0]
    return int(parse_superblock(row).csum)


def bytes_of_a_data_block(superblock: Superblock) -> int:
    """Return the size of a data block, for who counts bytes in them.

    Raises:
        DamagedMetadataError: it is 0.
    """
    if not superblock.data_block_sectors:
        what = "the superblock says that data blocks have 0 sectors; name blocks, not bytes"
        raise DamagedMetadataError(Damage(what, superblock.blocknr))
    return superblock.data_block_sectors * SECTOR_BYTES


def copied_superblock(device: BlockDevice) -> Superblock:
    """Return what can be had where block 0 is lost: the latest sound copy, or all zeros.

    A held superblock is a copy. It has no space maps, so the whole device is taken for
    metadata and the number of data blocks is 0.
    """
    copies = list(map(_from_fields, _copies(device)))
    best = max(copies, key=lambda each: (each.transaction_id, each.time), default=_NOTHING)
    whole = _NO_SPACE_MAP._replace(nr_blocks=device.nr_blocks)
    return best._replace(held_root=MetadataBlock(0), metadata_space_map=whole)


def _copies(device: BlockDevice) -> Iterator[Any]:
    from thinmeta.device.sweep import sweep

    layout = dtype_of(SuperblockSchema)
    for blocks, batch in sweep(device, device.nr_blocks, only_stored=True):
        rows = batch.rows
        magics = rows[:, : layout.itemsize].view(layout)["magic"][:, 0]
        for place in np.flatnonzero(magics == THIN_SUPERBLOCK_MAGIC).tolist():
            fields, fault = checked_superblock(rows[place], int(blocks[place]))
            if fault is None:
                yield fields


def with_roots(live: Superblock, roots: Roots, name: str) -> Superblock:
    """Return the superblock as it would lead to a past state.

    Raises:
        NotThereError: a root is past the end of the metadata.
    """
    last = max(roots.mapping_root, roots.details_root or 0)
    if last >= live.metadata_space_map.nr_blocks:
        raise NotThereError(
            f"{name}: there is no block {last}: the metadata has only "
            f"{live.metadata_space_map.nr_blocks} blocks"
        )
    return live._replace(
        data_mapping_root=roots.mapping_root,
        device_details_root=roots.details_root or MetadataBlock(0),
    )


def _refuse_unsupported(superblock: Superblock, name: str) -> None:
    if not MIN_THIN_VERSION <= superblock.version <= MAX_THIN_VERSION:
        what = f"has version {superblock.version}; versions 1 and 2 are known"
    elif superblock.incompat_flags:
        what = f"has unknown incompat flags {superblock.incompat_flags:#x}"
    else:
        return
    raise UnsupportedFormatError(
        f"{name}: the superblock {what}; "
        "--ignore-unsupported (ignore_unsupported=True) reads it all the same"
    )


def _from_fields(fields: Any) -> Superblock:
    return Superblock(
        blocknr=MetadataBlock(fields.blocknr),
        flags=fields.flags,
        version=fields.version,
        time=fields.time,
        transaction_id=fields.trans_id,
        held_root=MetadataBlock(fields.held_root),
        data_space_map=_space_map_root(fields.data_space_map_root),
        metadata_space_map=_space_map_root(fields.metadata_space_map_root),
        data_mapping_root=MetadataBlock(fields.data_mapping_root),
        device_details_root=MetadataBlock(fields.device_details_root),
        data_block_sectors=fields.data_block_size,
        compat_flags=fields.compat_flags,
        compat_ro_flags=fields.compat_ro_flags,
        incompat_flags=fields.incompat_flags,
    )


def _space_map_root(fields: Any) -> SpaceMapRoot:
    return SpaceMapRoot(
        fields.nr_blocks,
        fields.nr_allocated,
        MetadataBlock(fields.bitmap_root),
        MetadataBlock(fields.ref_count_root),
    )


_NO_SPACE_MAP = SpaceMapRoot(0, 0, MetadataBlock(0), MetadataBlock(0))
_NOTHING = Superblock(
    blocknr=MetadataBlock(0),
    flags=0,
    version=MAX_THIN_VERSION,
    time=0,
    transaction_id=0,
    held_root=MetadataBlock(0),
    data_space_map=_NO_SPACE_MAP,
    metadata_space_map=_NO_SPACE_MAP,
    data_mapping_root=MetadataBlock(0),
    device_details_root=MetadataBlock(0),
    data_block_sectors=0,
    compat_flags=0,
    compat_ro_flags=0,
    incompat_flags=0,
)
