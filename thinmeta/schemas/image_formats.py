"""What else a file or a device may be that somebody takes for metadata: what begins it.

On-disk truth: cryptsetup's `docs/on-disk-format-luks2.pdf` (LUKS), QEMU's
`docs/interop/qcow2.rst` and `block/vdi.c` (qcow2, VDI), VMware's "Virtual Disk Format 5.0"
(VMDK), Microsoft's [MS-VHDX] and "Virtual Hard Disk Image Format Specification" (VHDX, VHD),
libewf's `documentation/Expert Witness Compression Format (EWF).asciidoc` (E01, Ex01), and
`struct mdp_superblock_1`, include/uapi/linux/raid/md_p.h (Linux v6.6).
"""

from construct import Bytes, Int32sl, Int32ul, Int64ul, Padding, Struct

LUKS_MAGIC = b"LUKS\xba\xbe"
LUKS2_MAGIC_2ND = b"SKUL\xba\xbe"
QCOW_MAGIC = b"QFI\xfb"
VMDK_MAGIC = b"KDMV"
VHDX_SIGNATURE = b"vhdxfile"
VHD_COOKIE = b"conectix"
EWF_SIGNATURE = b"EVF\x09\x0d\x0a\xff\x00"
EWF2_SIGNATURE = b"EVF2\x0d\x0a\x81\x00"

VDI_SIGNATURE = 0xBEDA107F
MD_SB_MAGIC = 0xA92B4EFC

CACHE_SUPERBLOCK_MAGIC = 0o6142003
"""Source: drivers/md/dm-cache-metadata.c."""

ERA_SUPERBLOCK_MAGIC = 2126579579
"""Source: drivers/md/dm-era-target.c."""

VMDK_DESCRIPTOR = b"# Disk DescriptorFile"

VdiHeader = "VdiHeader" / Struct(
    "text" / Bytes(64) * "for people",
    "signature" / Int32ul * "0xbeda107f",
)

MdSuperblock = "mdp_superblock_1" / Struct(
    "magic" / Int32ul * "0xa92b4efc, at byte 0 (format 1.1) or 4096 (1.2) of a member",
    "major_version" / Int32ul * "1",
    Padding(64),
    "level" / Int32sl * "of the RAID; below 0: linear and others",
    Padding(52),
    "data_offset" / Int64ul * "sector of the member where the array's data begins",
)

TargetSuperblock = "superblock" / Struct(
    Padding(32),
    "magic" / Int64ul * "at the same place for dm-thin, dm-cache and dm-era",
)
