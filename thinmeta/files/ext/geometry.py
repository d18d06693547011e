"""The superblock of ext2, ext3 and ext4: what is refused, and where what is."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from thinmeta.errors import InputError, UnsupportedFormatError
from thinmeta.files.ext.running_crc import going_on, stored
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import parsed
from thinmeta.schemas.ext4 import (
    EXT2_INCOMPAT,
    EXT2_RO_COMPAT,
    EXT4_CRC32C_CHKSUM,
    EXT4_FEATURE_COMPAT_HAS_JOURNAL,
    EXT4_FEATURE_INCOMPAT_64BIT,
    EXT4_FEATURE_INCOMPAT_CSUM_SEED,
    EXT4_FEATURE_INCOMPAT_RECOVER,
    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_GOOD_OLD_REV,
    EXT4_MAX_BLOCK_LOG_SIZE,
    EXT4_MAX_CLUSTER_LOG_SIZE,
    EXT4_MIN_BLOCK_LOG_SIZE,
    EXT4_MIN_DESC_SIZE,
    EXT4_MIN_DESC_SIZE_64BIT,
    EXT4_SUPER_MAGIC,
    EXT4_SUPERBLOCK_OFFSET,
    INCOMPAT_FEATURES,
    UNREAD_FEATURES,
    Ext4Superblock,
)

_COPIES = (
    "others are on the volume: make an image with thinmeta extract, and mend that from one of them "
    "with e2fsck -b 32768, or -b 8193 if blocks have 1 KiB"
)

_CHECKSUM_AT = field_of(Ext4Superblock, "s_checksum")[0]


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the superblock says, checked.

    Attributes:
        superblock: its fields, by the kernel's names.
        compat: features that one can do without.
        incompat: features that one must know; all of them are known here.
        ro_compat: features that one who reads can do without.
        block_bytes: of a block.
        nr_blocks: of the file system.
        nr_groups: of the file system.
        inode_bytes: of an inode.
        descriptor_bytes: of a group descriptor.
        seed: with which running checksums begin.
        has_checksums: whether metadata has them.
    """

    superblock: Any
    compat: int
    incompat: int
    ro_compat: int
    block_bytes: int
    nr_blocks: int
    nr_groups: int
    inode_bytes: int
    descriptor_bytes: int
    seed: int
    has_checksums: bool

    @property
    def kind(self) -> str:
        """`ext2`, `ext3` or `ext4`, by its features."""
        incompat = self.incompat & ~EXT4_FEATURE_INCOMPAT_RECOVER
        if incompat & ~EXT2_INCOMPAT or self.ro_compat & ~EXT2_RO_COMPAT:
            return "ext4"
        return "ext3" if self.compat & EXT4_FEATURE_COMPAT_HAS_JOURNAL else "ext2"

    def layout(self) -> Hashable:
        """Return all that what is read depends on, besides the bytes of what is read."""
        fields = self.superblock
        own = replace(
            self, superblock=None, incompat=self.incompat & ~EXT4_FEATURE_INCOMPAT_RECOVER
        )
        return (
            own,
            fields.s_uuid,
            fields.s_inodes_count,
            fields.s_first_data_block,
            fields.s_blocks_per_group,
            fields.s_inodes_per_group,
            fields.s_log_cluster_size,
            fields.s_creator_os,
            fields.s_first_meta_bg,
            tuple(fields.s_backup_bgs),
        )


def read_geometry(cache: Cache) -> Geometry:
    """Read the superblock.

    Raises:
        InputError: there is none, or it cannot be read or believed.
        UnsupportedFormatError: it has a feature that is not read here.

    Source: `__ext4_fill_super()`, fs/ext4/super.c.
    """
    name = cache.source.name
    try:
        data = cache.read(EXT4_SUPERBLOCK_OFFSET, Ext4Superblock.sizeof())
    except FileError as error:
        raise InputError(f"{name}: its superblock cannot be read: {error}; {_COPIES}") from error
    fields = parsed(Ext4Superblock, data)
    if fields.s_magic != EXT4_SUPER_MAGIC:
        raise InputError(f"{name}: there is no ext2, ext3 or ext4 on it")
    is_old = fields.s_rev_level == EXT4_GOOD_OLD_REV
    compat, incompat, ro_compat = (
        0 if is_old else int(flags)
        for flags in (
            fields.s_feature_compat,
            fields.s_feature_incompat,
            fields.s_feature_ro_compat,
        )
    )
    _refuse_features(name, incompat)
    has_checksums = bool(ro_compat & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
    if has_checksums:
        if fields.s_checksum_type != EXT4_CRC32C_CHKSUM:
            raise UnsupportedFormatError(
                f"{name}: its checksums are of the unknown type {fields.s_checksum_type}"
            )
        if stored(going_on(data[:_CHECKSUM_AT])) != fields.s_checksum:
            raise InputError(f"{name}: the checksum of its superblock is wrong; {_COPIES}")
    is_wide = bool(incompat & EXT4_FEATURE_INCOMPAT_64BIT)
    has_seed = incompat & EXT4_FEATURE_INCOMPAT_CSUM_SEED
    found = Geometry(
        superblock=fields,
        compat=compat,
        incompat=incompat,
        ro_compat=ro_compat,
        block_bytes=1 << min(EXT4_MIN_BLOCK_LOG_SIZE + fields.s_log_block_size, 63),
        nr_blocks=fields.s_blocks_count_lo | (fields.s_blocks_count_hi << 32 if is_wide else 0),
        nr_groups=0,
        inode_bytes=EXT4_GOOD_OLD_INODE_SIZE if is_old else fields.s_inode_size,
        descriptor_bytes=fields.s_desc_size if is_wide else EXT4_MIN_DESC_SIZE,
        seed=stored(fields.s_checksum_seed) if has_seed else going_on(fields.s_uuid),
        has_checksums=has_checksums,
    )
    for what, is_wrong in _impossible(found):
        if is_wrong:
            raise InputError(f"{name}: its superblock cannot be believed: {what}; {_COPIES}")
    blocks = found.nr_blocks - fields.s_first_data_block
    nr_groups = -(-blocks // fields.s_blocks_per_group)
    if nr_groups * fields.s_inodes_per_group != fields.s_inodes_count:
        raise InputError(
            f"{name}: its superblock cannot be believed: {nr_groups} groups of "
            f"{fields.s_inodes_per_group} inodes are not {fields.s_inodes_count}; {_COPIES}"
        )
    return replace(found, nr_groups=nr_groups)


def _impossible(found: Geometry) -> list[tuple[str, bool]]:
    """Return what a sound superblock is not, each with whether this one is."""
    fields = found.superblock
    block, inode = found.block_bytes, found.inode_bytes
    least = EXT4_MIN_DESC_SIZE
    if found.incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        least = EXT4_MIN_DESC_SIZE_64BIT
    descriptor, inodes = found.descriptor_bytes, fields.s_inodes_per_group
    bits = 8 * block
    return [
        (f"blocks of {block} bytes", block > 1 << EXT4_MAX_BLOCK_LOG_SIZE),
        (
            f"clusters of 1024 << {fields.s_log_cluster_size} bytes",
            fields.s_log_cluster_size > EXT4_MAX_CLUSTER_LOG_SIZE - EXT4_MIN_BLOCK_LOG_SIZE,
        ),
        (
            f"inodes of {inode} bytes",
            not EXT4_GOOD_OLD_INODE_SIZE <= inode <= block or bool(inode & (inode - 1)),
        ),
        (
            f"group descriptors of {descriptor} bytes",
            not least <= descriptor <= block or bool(descriptor & (descriptor - 1)),
        ),
        (f"{inodes} inodes a group", not block // max(inode, 1) <= inodes <= bits),
        (f"{fields.s_blocks_per_group} blocks a group", not fields.s_blocks_per_group),
        (
            f"{found.nr_blocks} blocks, from {fields.s_first_data_block} on",
            not fields.s_first_data_block < found.nr_blocks <= 1 << 48,
        ),
    ]


def _refuse_features(name: str, incompat: int) -> None:
    unread = [INCOMPAT_FEATURES[bit] for bit in _bits(incompat & UNREAD_FEATURES)]
    unknown = [f"incompat bit 0x{bit:x}" for bit in _bits(incompat & ~sum(INCOMPAT_FEATURES))]
    if unread or unknown:
        raise UnsupportedFormatError(
            f"{name}: it has features that cannot be read here: {', '.join([*unread, *unknown])}"
        )


def _bits(flags: int) -> list[int]:
    return [1 << place for place in range(flags.bit_length()) if flags >> place & 1]
