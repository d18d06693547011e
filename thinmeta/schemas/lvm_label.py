"""What stands on a LVM physical volume before its data: the label and the metadata area.

On-disk truth: LVM2's `lib/label/label.h`, `lib/format_text/layout.h` (v2.03). Field names
are LVM's. Offsets count from the start of the physical volume, unless said otherwise.
"""

from construct import Bytes, Int32ul, Int64ul, Padding, Struct

SECTOR = 512
LABEL_SCAN_SECTORS = 4
LABEL_ID = b"LABELONE"
LVM2_LABEL = b"LVM2 001"
FMTT_MAGIC = b" LVM2 x[5A%r0N*>"
FMTT_VERSION = 1
MDA_HEADER_SIZE = 512
INITIAL_CRC = 0xF597A6CF

LabelHeader = "label_header" / Struct(
    "id" / Bytes(8) * "LABELONE",
    "sector" / Int64ul * "which sector this is: 0..3",
    "crc" / Int32ul * "of the sector from the next field on",
    "offset" / Int32ul * "of the pv_header, from the start of this sector",
    "type" / Bytes(8) * "LVM2 001",
)

DiskLocn = "disk_locn" / Struct(
    "offset" / Int64ul * "in bytes; 0 ends a list",
    "size" / Int64ul * "in bytes; 0: all the rest, for data areas",
)

PvHeader = "pv_header" / Struct(
    "pv_uuid" / Bytes(32) * "without dashes",
    "device_size" / Int64ul * "in bytes",
    # then disk_locns: the data areas up to a zero one, the metadata areas up to a zero one
)

RawLocn = "raw_locn" / Struct(
    "offset" / Int64ul * "of the text, from the start of the metadata area",
    "size" / Int64ul * "of the text, with the zero byte that ends it",
    "checksum" / Int32ul * "of the text",
    "flags" / Int32ul * "bit 0: this metadata area is ignored",
)

MdaHeader = "mda_header" / Struct(
    "checksum" / Int32ul * "of the rest of the 512 bytes",
    "magic" / Bytes(16) * FMTT_MAGIC.decode(),
    "version" / Int32ul * "1",
    "start" / Int64ul * "of this metadata area",
    "size" / Int64ul * "of this metadata area, with its header",
    "committed" / RawLocn * "the text that counts; zeros: no volume group yet",
    "precommitted" / RawLocn * "a text that is being written",
    Padding(MDA_HEADER_SIZE - 40 - 2 * 24),
)
