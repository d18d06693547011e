"""Partition tables: MBR with its chain of logical partitions, and GPT.

On-disk truth: UEFI specification 2.10, sections 5.2 (MBR) and 5.3 (GPT); Linux'
block/partitions/msdos.c and efi.c, whose names are used.
"""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Padding, Struct

LOGICAL_BLOCKS = (512, 4096)
MSDOS_LABEL_MAGIC = 0xAA55
MSDOS_ACTIVE = 0x80
EFI_PMBR_OSTYPE = 0xEE
EXTENDED_TYPES = (0x05, 0x0F, 0x85)
GPT_HEADER_SIGNATURE = b"EFI PART"

MsdosPartition = "msdos_partition" / Struct(
    "boot_ind" / Int8ul * "0x80: the partition to boot from; else 0",
    Padding(3),
    "sys_ind" / Int8ul * "type of the partition; 0: unused",
    Padding(3),
    "start_sect" / Int32ul * "in sectors, from the table's own or the extended partition's start",
    "nr_sects" / Int32ul * "how long it is",
)

BootRecord = "legacy_mbr" / Struct(
    Padding(446),
    "partition_record" / MsdosPartition[4] * "in a logical partition's: itself, then the next",
    "signature" / Int16ul * "0xAA55",
)

GptHeader = "gpt_header" / Struct(
    "signature" / Bytes(8) * "EFI PART",
    "revision" / Int32ul * "0x00010000",
    "header_size" / Int32ul * "how many bytes the checksum covers",
    "header_crc32" / Int32ul * "CRC-32 of the header, with zeros in this field",
    Padding(4),
    "my_lba" / Int64ul * "where this header stands",
    "alternate_lba" / Int64ul * "where the other one stands",
    "first_usable_lba" / Int64ul * "after the table",
    "last_usable_lba" / Int64ul * "before the other table",
    "disk_guid" / Bytes(16) * "the disk's id",
    "partition_entry_lba" / Int64ul * "where the table stands",
    "num_partition_entries" / Int32ul * "of the table",
    "sizeof_partition_entry" / Int32ul * "128, or a multiple",
    "partition_entry_array_crc32" / Int32ul * "CRC-32 of the table",
)

GptEntry = "gpt_entry" / Struct(
    "partition_type_guid" / Bytes(16) * "zeros: unused",
    "unique_partition_guid" / Bytes(16) * "the partition's id",
    "starting_lba" / Int64ul * "its first logical block",
    "ending_lba" / Int64ul * "its last logical block",
    "attributes" / Int64ul * "not used here",
    "partition_name" / Bytes(72) * "UTF-16",
)

PARTITION_TYPES = {
    "07": "NTFS or exFAT",
    "0b": "FAT32",
    "0c": "FAT32",
    "82": "Linux swap",
    "83": "Linux",
    "8e": "Linux LVM",
    "ef": "EFI system",
    "fd": "Linux RAID",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (x86-64)",
    "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux boot",
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "Linux RAID",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
}
"""What a partition of a type is for, in words; a MBR has a byte for it, a GPT a UUID."""
