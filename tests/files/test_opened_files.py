"""A volume without a file system that is read here is named for what it is."""

import pytest

from tests.device.test_signatures import md_superblock, partition
from tests.files.made_trees import MemorySource
from tests.files.small_ext2 import HELLO, small_ext2
from tests.lvm.lvm_images import MIB, physical_volume, with_gpt, with_mbr
from thinmeta.errors import InputError, NotThereError
from thinmeta.files.file_tree import find
from thinmeta.files.opened_files import OpenedFiles, open_file_system
from thinmeta.files.part_of_source import PartOfSource, open_partition


def at(place: int, text: bytes) -> bytes:
    return bytes(place) + text


FOREIGN = {
    "zeros": (b"", "has no file system: its first 65608 bytes are zeros"),
    "noise": (b"\1\2\3" * 9000, "has no file system that is known here; thinmeta extract"),
    "btrfs": (at(0x10040, b"_BHRfS_M"), "is a btrfs, which is not read here; thinmeta extract"),
    "ntfs": (b"\xeb\x52\x90NTFS    ".ljust(510, b"\0") + b"\x55\xaa", "is an NTFS, which"),
    "exfat": (b"\xeb\x76\x90EXFAT   ", "is an exFAT, which"),
    "fat16": (at(54, b"FAT16   "), "is a FAT, which"),
    "fat32": (at(82, b"FAT32   "), "is a FAT, which"),
    "squashfs": (b"hsqs", "is a squashfs, which"),
    "swap": (at(4086, b"SWAPSPACE2"), "is swap space, which has no files"),
    "swap of large pages": (at(65526, b"SWAPSPACE2"), "is swap space, which has no files"),
    "luks": (b"LUKS\xba\xbe\0\2", "is a LUKS container, which is encrypted; thinmeta extract"),
    "lvm": (at(512, b"LABELONE"), "is an LVM physical volume; what is in it cannot be told"),
    "a real physical volume": (bytes(physical_volume([], b"")), "is an LVM physical volume"),
    "md": (at(4096, md_superblock(1, 2048)), "is a member of an md array (RAID 1)"),
    "mbr": (
        at(446, partition(0x83, 2, 64) + bytes(48) + b"\x55\xaa").ljust(MIB, b"\0"),
        "is a disk with a partition table (MBR); say which with --partition N: "
        "1 (32768 bytes, Linux)",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_file_system_is_named(kind: str) -> None:
    content, what = FOREIGN[kind]

    with pytest.raises(InputError) as caught:
        open_file_system(MemorySource(content.ljust(66000, b"\0"), name="a volume"))

    assert str(caught.value).startswith(f"a volume: {what}")
    assert "\n" not in str(caught.value)


ELSEWHERE = {
    "a second LUKS header": (0x4000, b"SKUL\xba\xbe", "encrypted volume (LUKS), the first header"),
    "a ZFS label": (16404, b"\0\0\0\7version\0", "member of a ZFS pool, which is not read here"),
    "md 0.90": (MIB - 65536, b"\xfc\x4e\x2b\xa9", "RAID member, which is not read here"),
    "md 1.0": (MIB - 8192, b"\xfc\x4e\x2b\xa9", "RAID member, which is not read here"),
    "f2fs": (0x400, b"\x10\x20\xf5\xf2", "file system (F2FS), which is not read here"),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_does_not_begin_with_its_name_is_named(kind: str) -> None:
    place, text, what = ELSEWHERE[kind]

    with pytest.raises(InputError) as caught:
        open_file_system(MemorySource(at(place, text).ljust(MIB, b"\0"), name="a volume"))

    assert f"a volume: is a{'n' if what[0] == 'e' else ''} {what}" in str(caught.value)
    assert "thinmeta extract writes an image of it" in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 511, 1023, 1080, 5000])
def test_a_short_volume_has_no_file_system(size: int) -> None:
    with pytest.raises(InputError, match="has no file system"):
        open_file_system(MemorySource(bytes(size)))


def test_a_beginning_that_is_lost_is_said() -> None:
    with pytest.raises(InputError, match=r"can tell what is on it: bytes 0\.\.4095.*is lost"):
        open_file_system(MemorySource(bytes(1 << 20), [(0, 4096)]))


def read(opened: OpenedFiles) -> bytes:
    root = opened.file_system.inode(opened.file_system.root)
    content = opened.bytes_of(find(opened.file_system, root, b"/hello", follow=True).inode)
    return b"".join(bytes(piece) for piece in content.pieces() if isinstance(piece, memoryview))


TABLES = {
    "MBR": (with_mbr(small_ext2().ljust(64 << 10, b"\0"), 8), 2),
    "logical partition": (with_mbr(small_ext2().ljust(64 << 10, b"\0"), 80, logical=True), 6),
    "GPT": (with_gpt(small_ext2().ljust(64 << 10, b"\0"), 64), 3),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_file_system_in_a_partition_is_read(kind: str) -> None:
    disk, number = TABLES[kind]
    source = MemorySource(bytes(disk), name="a volume")

    assert read(open_file_system(open_partition(source, number))) == HELLO
    with pytest.raises(InputError, match=f"partition table.*--partition N: .*{number} "):
        open_file_system(source)
    with pytest.raises(NotThereError, match=f"^a volume: there is no partition 99: .*{number} "):
        open_partition(source, 99)


def test_where_there_are_no_partitions_none_is_found() -> None:
    with pytest.raises(NotThereError, match="there is no partition 1: it has none at all"):
        open_partition(MemorySource(small_ext2()), 1)


def test_a_part_is_a_source_of_its_own() -> None:
    source = MemorySource(bytes(range(200)), [(50, 60)], name="whole")
    part = PartOfSource(source, [(40, 70), (110, 30)], "part")
    buffer = bytearray(30)

    missing = [(each.begin, each.end) for each in part.fill(memoryview(buffer), 5)]

    assert (part.name, part.size) == ("part", 100)
    assert missing == [(10, 20)]
    assert [(each.begin, each.end) for each in part.lost(0, 100)] == [(10, 20)]
    assert buffer == bytes([*range(45, 50), *[0] * 10, *range(60, 75)])
