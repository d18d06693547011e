"""What of value a block device or an image holds, by its signatures."""

import os
from typing import NamedTuple

METADATA = "metadata of a pool"


class Signature(NamedTuple):
    """Bytes by which something is recognised."""

    offset: int
    magic: bytes
    what: str


SIGNATURES = (
    Signature(32, (27022010).to_bytes(8, "little"), METADATA),
    *(Signature(sector * 512, b"LABELONE", "LVM's label") for sector in range(4)),
    Signature(0x438, b"\x53\xef", "a file system (ext2, ext3 or ext4)"),
    Signature(0, b"XFSB", "a file system (XFS)"),
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
    Signature(0, b"LUKS\xba\xbe", "an encrypted volume (LUKS)"),
    Signature(4120, b"\xc6\x85\x73\xf6", "a bcache or bcachefs"),
    Signature(0, b"dmvdo001", "a VDO volume"),
    Signature(0, b"bluestore block device", "a Ceph volume"),
    Signature(32, (0o6142003).to_bytes(8, "little"), "dm-cache metadata"),
    Signature(32, (2126579579).to_bytes(8, "little"), "dm-era metadata"),
    Signature(4086, b"SWAPSPACE2", "swap space"),
    Signature(0, b"\xfc\x4e\x2b\xa9", "a RAID member"),
    Signature(4096, b"\xfc\x4e\x2b\xa9", "a RAID member"),
    Signature(512, b"EFI PART", "a partition table"),
    Signature(4096, b"EFI PART", "a partition table"),
    Signature(510, b"\x55\xaa", "a partition table"),
)
"""In the order in which they count: a boot sector of FAT ends as a partition table does.

Source: magic(5) of file 5.44, and the man page of blkid(8): what wipefs finds.
"""

_BYTES = 72 << 10


def occupant_of(fd: int) -> str | None:
    """Return what stands at the beginning of an open file or device; None if nothing known does.

    Raises:
        OSError: it cannot be read.
    """
    beginning = os.pread(fd, _BYTES, 0)
    for offset, magic, what in SIGNATURES:
        if beginning[offset : offset + len(magic)] == magic:
            return what
    return None
