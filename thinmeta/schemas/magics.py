"""Bytes by which what a device holds is recognised, whether or not more of it is known here.

On-disk truth: magic(5) of file 5.44, and the man page of blkid(8): what wipefs finds.
"""

from typing import Any, NamedTuple

from construct import Construct

from thinmeta.schemas.columns import field_of
from thinmeta.schemas.ext4 import EXT4_SUPER_MAGIC, EXT4_SUPERBLOCK_OFFSET, Ext4Superblock
from thinmeta.schemas.image_formats import (
    CACHE_SUPERBLOCK_MAGIC,
    ERA_SUPERBLOCK_MAGIC,
    LUKS2_MAGIC_2ND,
    LUKS_MAGIC,
    MD_SB_MAGIC,
    MdSuperblock,
    TargetSuperblock,
)
from thinmeta.schemas.lvm_label import LABEL_ID, LABEL_SCAN_SECTORS, SECTOR
from thinmeta.schemas.partition_table import (
    GPT_HEADER_SIGNATURE,
    LOGICAL_BLOCKS,
    MSDOS_LABEL_MAGIC,
    BootRecord,
)
from thinmeta.schemas.superblock import THIN_SUPERBLOCK_MAGIC, Superblock
from thinmeta.schemas.xfs import XFS_SB_MAGIC, XfsSuperblock

METADATA = "metadata of a pool"
LVM = "LVM's label"
EXT = "a file system (ext2, ext3 or ext4)"
XFS = "a file system (XFS)"
LUKS = "an encrypted volume (LUKS)"
ZFS_MEMBER = "a member of a ZFS pool"
RAID_MEMBER = "a RAID member"
PARTITIONS = "a partition table"


class Signature(NamedTuple):
    """Bytes by which something is recognised."""

    offset: int
    magic: bytes
    what: str


def _signature(schema: Construct, field: str, value: Any, what: str, *, at: int = 0) -> Signature:
    offset, kind = field_of(schema, field)
    return Signature(at + offset, bytes(kind.build(value)), what)


_ZFS_PAIR = (16 << 10) + 20
"""Where a label has the first name of its list: behind 16 KiB and two headers, all as XDR."""

SIGNATURES = (
    _signature(Superblock, "magic", THIN_SUPERBLOCK_MAGIC, METADATA),
    *(Signature(sector * SECTOR, LABEL_ID, LVM) for sector in range(LABEL_SCAN_SECTORS)),
    _signature(
        Ext4Superblock,
        "s_magic",
        EXT4_SUPER_MAGIC,
        EXT,
        at=EXT4_SUPERBLOCK_OFFSET,
    ),
    _signature(XfsSuperblock, "sb_magicnum", XFS_SB_MAGIC, XFS),
    Signature(0x10040, b"_BHRfS_M", "a file system (Btrfs)"),
    Signature(0x400, b"\x10\x20\xf5\xf2", "a file system (F2FS)"),
    Signature(0x10034, b"ReIsEr", "a file system (ReiserFS)"),
    Signature(0x8000, b"JFS1", "a file system (JFS)"),
    Signature(0x8001, b"CD001", "a file system (ISO 9660)"),
    Signature(0, b"hsqs", "a file system (SquashFS)"),
    Signature(0x8001, b"BEA01", "a file system (UDF)"),
    Signature(0x10000, b"\x01\x16\x19\x70", "a file system (GFS2)"),
    *(Signature(kib << 10, b"OCFSV2", "a file system (OCFS2)") for kib in (1, 2, 4, 8)),
    Signature(0x406, b"\x34\x34", "a file system (NILFS2)"),
    Signature(0x400, b"\xe2\xe1\xf5\xe0", "a file system (EROFS)"),
    Signature(0x400, b"H+", "a file system (HFS+)"),
    Signature(0x400, b"HX", "a file system (HFSX)"),
    Signature(3, b"ReFS\0\0\0\0", "a file system (ReFS)"),
    Signature(3, b"-FVE-FS-", "an encrypted volume (BitLocker)"),
    Signature(3, b"NTFS    ", "a file system (NTFS)"),
    Signature(3, b"EXFAT   ", "a file system (exFAT)"),
    Signature(0x36, b"FAT1", "a file system (FAT)"),
    Signature(0x52, b"FAT32   ", "a file system (FAT)"),
    Signature(0, LUKS_MAGIC, LUKS),
    *(
        Signature(kib << 10, LUKS2_MAGIC_2ND, LUKS)
        for kib in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    ),
    *(Signature(label + _ZFS_PAIR, b"\0\0\0\7version\0", ZFS_MEMBER) for label in (0, 256 << 10)),
    Signature(4120, b"\xc6\x85\x73\xf6", "a bcache or bcachefs"),
    Signature(0, b"dmvdo001", "a VDO volume"),
    Signature(0, b"bluestore block device", "a Ceph volume"),
    _signature(TargetSuperblock, "magic", CACHE_SUPERBLOCK_MAGIC, "dm-cache metadata"),
    _signature(TargetSuperblock, "magic", ERA_SUPERBLOCK_MAGIC, "dm-era metadata"),
    Signature(4086, b"SWAPSPACE2", "swap space"),
    *(_signature(MdSuperblock, "magic", MD_SB_MAGIC, RAID_MEMBER, at=begin) for begin in (0, 4096)),
    *(Signature(block, GPT_HEADER_SIGNATURE, PARTITIONS) for block in LOGICAL_BLOCKS),
    _signature(BootRecord, "signature", MSDOS_LABEL_MAGIC, PARTITIONS),
)
"""In the order in which they count: a boot sector of FAT ends as a partition table does."""


def signatures_at_end(size: int) -> tuple[Signature, ...]:
    """Return those whose place is counted from the end of a device of `size` bytes.

    Source: `super_90_load()` and `super_1_load()`, drivers/md/md.c (Linux v6.6).
    """
    sectors = size // SECTOR
    places = ((sectors & ~127) - 128, (sectors - 16) & ~7)  # formats 0.90 and 1.0
    return tuple(
        _signature(MdSuperblock, "magic", MD_SB_MAGIC, RAID_MEMBER, at=sector * SECTOR)
        for sector in places
        if sector > 0
    )
