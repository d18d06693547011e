"""What a file that is no thin-pool metadata is instead, by its first block."""

import codecs
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from thinmeta.device.compressed import MAGIC_BYTES, packing_of
from thinmeta.errors import InputError, NoSuperblockError
from thinmeta.schemas.decode import checked_superblock, parsed
from thinmeta.schemas.image_formats import (
    CACHE_SUPERBLOCK_MAGIC,
    ERA_SUPERBLOCK_MAGIC,
    EWF2_SIGNATURE,
    EWF_SIGNATURE,
    LUKS_MAGIC,
    MD_SB_MAGIC,
    QCOW_MAGIC,
    VDI_SIGNATURE,
    VHD_COOKIE,
    VHDX_SIGNATURE,
    VMDK_DESCRIPTOR,
    VMDK_MAGIC,
    MdSuperblock,
    TargetSuperblock,
    VdiHeader,
)
from thinmeta.schemas.lvm_label import LABEL_ID, LABEL_SCAN_SECTORS
from thinmeta.schemas.partition_table import (
    EFI_PMBR_OSTYPE,
    GPT_HEADER_SIGNATURE,
    MSDOS_ACTIVE,
    MSDOS_LABEL_MAGIC,
    BootRecord,
)
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION, THIN_SUPERBLOCK_MAGIC
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES, SECTOR_BYTES

_LVM_TEXT = b"Text Format Volume Group"
_DISK_IMAGES = {
    QCOW_MAGIC: "qcow2",
    VMDK_MAGIC: "VMDK",
    VHDX_SIGNATURE: "VHDX",
    VHD_COOKIE: "VHD",
}
_LEAST_TEXT = 8  # characters; a few bytes may be anything
_NO_TEXT = r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]"  # compiled where it may be text


def refuse_foreign(beginning: bytes) -> None:
    """Raise unless `beginning`, the first block of an image, may be a thin superblock.

    A superblock whose checksum or contents are bad passes: that is damage, and
    whoever decodes it says so.

    Raises:
        NoSuperblockError: it shows nothing: the superblock may have been wiped.
        InputError: it is something else, which the message names.
    """
    refuse_other_formats(beginning)
    if _has_magic(beginning, THIN_SUPERBLOCK_MAGIC):
        return
    if what := _written_over(beginning) or md_member(beginning):
        raise InputError(what)
    raise NoSuperblockError(
        "has no thin-pool superblock in its first block; "
        "a pool's data device (_tdata) has none, its metadata device (_tmeta) has"
    )


def counted(refuse: Callable[[bytes], int | None]) -> Callable[[bytes], int]:
    """Return `refuse` that also tells how many blocks of an image can be of use.

    That is what the superblock counts, or after a resize, of which it may know nothing,
    the metadata space map. A superblock that is damaged says nothing, and then it is what
    metadata can have.
    """

    def refuse_and_count(beginning: bytes) -> int:
        refuse(beginning)
        row = np.frombuffer(beginning, dtype=np.uint8)
        fields, fault = checked_superblock(row, SUPERBLOCK_LOCATION)
        if fault is not None:
            return MAX_METADATA_BLOCKS
        said = max(fields.metadata_nr_blocks, fields.metadata_space_map_root.nr_blocks, 1)
        return min(int(said), MAX_METADATA_BLOCKS)

    return refuse_and_count


def refuse_other_formats(beginning: bytes) -> None:
    """Raise if `beginning` shows what an image is, and it is no thin-pool metadata.

    Unlike `refuse_foreign` this lets pass what shows nothing, and what may have been
    written over the beginning of a metadata device, the rest of which is still there.

    Raises:
        InputError: it is something else, which the message names.
    """
    if what := _other_format(beginning):
        raise InputError(what)


def md_member(beginning: bytes) -> str | None:
    """Return what to say of a member of an md array, which its superblock shows; else None.

    Args:
        beginning: where the superblock may stand: the first block of a member, or the second.
    """
    fields = _as(MdSuperblock, beginning)
    if fields.magic != MD_SB_MAGIC:
        return None
    level = "not a RAID" if fields.level < 0 else f"RAID {fields.level}"
    return (
        f"is a member of an md array ({level}), whose data begins at its sector "
        f"{fields.data_offset}; mdadm --assemble --readonly makes the array of all members"
    )


def _other_format(beginning: bytes) -> str | None:
    if not beginning:
        return "is empty"
    is_thin = _has_magic(beginning, THIN_SUPERBLOCK_MAGIC)
    if what := _text(beginning) or (None if is_thin else disk_image(beginning)):
        return what
    if len(beginning) < METADATA_BLOCK_BYTES:
        return f"has only {len(beginning)} bytes, less than the superblock"
    if what := _lvm(beginning):
        return what
    return None if is_thin else _packed(beginning) or _other_target(beginning)


def _text(beginning: bytes) -> str | None:
    """Return what kind of text it is; a checksum may look like some, but no text has a NUL."""
    if b"\0" in beginning:
        return None
    if beginning.lstrip()[:1] == b"<":
        return "is XML, not binary metadata; thinmeta restore makes metadata from a dump"
    if _LVM_TEXT in beginning:
        return "is LVM's text metadata, which --lvm takes; METADATA is the pool's _tmeta"
    if beginning.startswith(VMDK_DESCRIPTOR):
        return "is the descriptor of a VMDK image, and names the files with its contents"
    try:
        # A character may be cut off at the end of the block.
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return None
    is_text = len(text) >= _LEAST_TEXT and re.search(_NO_TEXT, text) is None
    return "is text, not binary metadata" if is_text else None


def disk_image(beginning: bytes) -> str | None:
    """Return what to say of an image of a disk in a format that is not raw; else None."""
    if beginning.startswith((EWF_SIGNATURE, EWF2_SIGNATURE)):
        return "is an image in EnCase's format (E01); ewfexport -f raw makes a raw one of it"
    name = next((_DISK_IMAGES[each] for each in _DISK_IMAGES if beginning.startswith(each)), None)
    if name is None:
        name = "VDI" if _as(VdiHeader, beginning).signature == VDI_SIGNATURE else None
    if name is None:
        return None
    return f"is a {name} image of a disk; qemu-img convert -O raw FILE RAW makes a raw one of it"


def is_physical_volume(beginning: bytes) -> bool:
    """Tell whether an LVM label is in the first sectors."""
    labels = range(0, LABEL_SCAN_SECTORS * SECTOR_BYTES, SECTOR_BYTES)
    return any(beginning.startswith(LABEL_ID, label) for label in labels)


def partition_table(beginning: bytes) -> str | None:
    """Return what kind of partition table is there, `GPT` or `MBR`; else None.

    Args:
        beginning: the first block.
    """
    table = parsed(BootRecord, beginning)
    # With sectors of 4 KiB the header of GPT is in the next block; the record here is for others.
    protects = any(each.sys_ind == EFI_PMBR_OSTYPE for each in table.partition_record)
    is_signed = table.signature == MSDOS_LABEL_MAGIC
    if beginning.startswith(GPT_HEADER_SIGNATURE, SECTOR_BYTES) or (is_signed and protects):
        return "GPT"
    is_mbr = is_signed and _are_partitions(table)
    return "MBR" if is_mbr else None


def _lvm(beginning: bytes) -> str | None:
    if not is_physical_volume(beginning):
        return None
    return (
        "is an LVM physical volume; the pool's metadata is a volume inside it (_tmeta), "
        "which --lvm DISK --lv VG/POOL reads"
    )


def _packed(beginning: bytes) -> str | None:
    packing = packing_of(beginning[:MAGIC_BYTES])
    if packing is None:
        return None
    return f"is packed twice, or on a device: where metadata should begin stands {packing} data"


def _other_target(beginning: bytes) -> str | None:
    if _has_magic(beginning, CACHE_SUPERBLOCK_MAGIC):
        return "is dm-cache metadata, not dm-thin"
    if _has_magic(beginning, ERA_SUPERBLOCK_MAGIC):
        return "is dm-era metadata, not dm-thin"
    return None


def _written_over(beginning: bytes) -> str | None:
    """Return what tools write on any device that they are given, the wrong one too."""
    if beginning.startswith(LUKS_MAGIC):
        return (
            "is a LUKS container, which is encrypted; cryptsetup open --readonly FILE NAME makes "
            "/dev/mapper/NAME of it"
        )
    kind = partition_table(beginning)
    if kind is None:
        return None
    return (
        f"is a disk with a partition table ({kind}); the pool's metadata is inside a partition; "
        "where that is LVM's, --lvm DISK --lv VG/POOL reads it"
    )


def _are_partitions(table: Any) -> bool:
    """Tell a partition table from the code in the boot sector of a file system."""
    entries = [each for each in table.partition_record if each.sys_ind]
    return bool(entries) and all(
        each.boot_ind in (0, MSDOS_ACTIVE) and each.start_sect and each.nr_sects for each in entries
    )


def _has_magic(beginning: bytes, magic: int) -> bool:
    return bool(_as(TargetSuperblock, beginning).magic == magic)


def _as(schema: Any, beginning: bytes) -> Any:
    """Return the fields of a structure, zeros where an image is too short for it."""
    return parsed(schema, beginning.ljust(schema.sizeof(), b"\0"))
