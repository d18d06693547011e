"""A file that is no thin-pool metadata is named for what it is."""

import random

import pytest

from tests.cases import image_bytes
from tests.made_images import Image
from thinmeta.errors import ExitCode, InputError
from thinmeta.schemas.signatures import refuse_foreign


def with_magic(magic: int) -> bytes:
    return (bytes(32) + magic.to_bytes(8, "little")).ljust(4096, b"\0")


FOREIGN = {
    "empty": (b"", "is empty"),
    "xml": (b'<superblock uuid="" time="0">\n', "is XML, not binary metadata"),
    "indented xml": (b'\n \t<?xml version="1.0"?>'.ljust(4096), "is XML, not binary metadata"),
    "one byte": (b"\0", "has only 1 bytes, less than the superblock"),
    "short": (bytes(4095), "has only 4095 bytes, less than the superblock"),
    "short superblock": (Image().superblock()[:512], "has only 512 bytes"),
    "zeros": (bytes(4096), "has no thin-pool superblock in its first block"),
    "random": (random.Random(1).randbytes(4096), "has no thin-pool superblock"),
    "cache": (with_magic(0o6142003), "is dm-cache metadata, not dm-thin"),
    "era": (with_magic(2126579579), "is dm-era metadata, not dm-thin"),
    "packed": (
        0xA537A0AA6309EF77.to_bytes(8, "little").ljust(4096, b"\0"),
        "is packed twice, or on a device: where metadata should begin stands pack file data",
    ),
} | {
    f"lvm label in sector {sector}": (
        (bytes(512 * sector) + b"LABELONE").ljust(4096, b"\0"),
        "is an LVM physical volume; the pool's metadata is a volume inside it (_tmeta), "
        "which --lvm DISK --lv VG/POOL reads",
    )
    for sector in range(4)
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_foreign_is_named(name: str) -> None:
    beginning, what = FOREIGN[name]

    with pytest.raises(InputError) as caught:
        refuse_foreign(beginning)

    assert what in str(caught.value)
    assert caught.value.exit_code == ExitCode.INPUT


def test_a_data_device_is_told_from_a_metadata_device() -> None:
    # What a file system put there: a real ext4 superblock begins 1024 bytes in.
    beginning = (bytes(1024 + 56) + b"\x53\xef").ljust(4096, b"\0")

    with pytest.raises(InputError, match=r"data device \(_tdata\) has none.*\(_tmeta\) has"):
        refuse_foreign(beginning)


def test_a_label_in_a_fifth_sector_is_none() -> None:
    beginning = bytearray(Image().superblock())
    beginning[4 * 512 : 4 * 512 + 8] = b"LABELONE"

    refuse_foreign(bytes(beginning))


def test_a_good_superblock_passes() -> None:
    refuse_foreign(Image().superblock())
    refuse_foreign(image_bytes("a01-empty-pool")[:4096])


def test_a_damaged_superblock_passes_for_it_is_damage() -> None:
    beginning = bytearray(Image().superblock())
    beginning[0] ^= 1
    beginning[2000] ^= 1

    refuse_foreign(bytes(beginning))


@pytest.mark.parametrize("csum", [b"<abc", b" \n\t<"])
def test_a_checksum_that_looks_like_xml_is_no_xml(csum: bytes) -> None:
    refuse_foreign(csum + Image().superblock()[4:])
