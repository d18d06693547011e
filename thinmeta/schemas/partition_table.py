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
