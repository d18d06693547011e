"""The superblock as a typed value."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from thinmeta.device.blocks import BlockDevice, Fault
from thinmeta.errors import Damage, DamagedMetadataError, UnsupportedFormatError
from thinmeta.schemas.decode import parse_superblock, superblock_fault
from thinmeta.schemas.superblock import MAX_THIN_VERSION, MIN_THIN_VERSION, NEEDS_CHECK_FLAG
from thinmeta.units import MetadataBlock


@dataclass(frozen=True, slots=True)
class SpaceMapRoot:
    """Where a space map is, and what it adds up to; all zeros in a held superblock."""

    nr_blocks: int
    nr_allocated: int
    bitmap_root: MetadataBlock
    ref_count_root: MetadataBlock


@dataclass(frozen=True, slots=True)
class Superblock:
    """What the superblock says; field names are the kernel's unless the unit was unclear.

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
    row = batch.rows[0]
    fault = {
        Fault.READ_ERROR: "the superblock cannot be read",
        Fault.PAST_END: "the superblock is past the end of the file",
    }.get(Fault(int(batch.faults[0]))) or superblock_fault(row, block)
    if fault:
        raise DamagedMetadataError(Damage(f"{fault}; nothing can be read without it", block))
    superblock = _from_fields(parse_superblock(row))
    if not ignore_unsupported:
        _refuse_unsupported(superblock, device.name)
    return superblock


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
