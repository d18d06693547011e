"""What is impossible is an error that says so, where no checksum would have told."""

import re
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.files.ext.answers import answer
from tests.files.ext.ext_images import EXT2, EXT4, debugfs, mke2fs, needs_e2fsprogs
from tests.files.ext.patches import BLOCK, NO_CHECKSUMS, Patched
from tests.files.made_trees import MemorySource
from thinmeta.errors import InputError, UnsupportedFormatError
from thinmeta.files.ext.ext4 import Ext4
from thinmeta.files.file_system import DirectoryError, FileError, Inode
from thinmeta.files.reading import Cache
from thinmeta.schemas.ext4 import (
    INCOMPAT_FEATURES,
    UNREAD_FEATURES,
    Ext4Extent,
    Ext4ExtentHeader,
    Ext4ExtentIndex,
)
from thinmeta.schemas.ext4_attributes import Ext4XattrBodyHeader, Ext4XattrEntry, Ext4XattrHeader
from thinmeta.schemas.ext4_directory import Ext4DirEntry

pytestmark = needs_e2fsprogs

HEADER, ENTRY = Ext4ExtentHeader.sizeof(), Ext4Extent.sizeof()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file system without checksums.

    Of its files `tree` has a tree of extents, `flat` some in its inode, `to` is a short link.
    """
    folder = tmp_path_factory.mktemp("damages")
    tree = folder / "tree"
    (tree / "folder").mkdir(parents=True)
    for name, count in (("tree", 300), ("flat", 3)):
        with (tree / name).open("wb") as file:
            for number in range(count):
                file.seek(2 * number * BLOCK)
                file.write(b"piece")
    (tree / "to").symlink_to("somewhere")
    for number in range(60):
        (tree / "folder" / f"{number:040}").touch()
    made = mke2fs(
        folder / "image",
        2048,
        *("-b", str(BLOCK), "-I", "256", "-N", "96", "-d", tree),
        features=NO_CHECKSUMS,
    )
    debugfs(made, "ea_set flat user.name value", "ea_set flat user.long " + "v" * 300)
    return made.read_bytes()


@pytest.fixture
def patched(image: bytes) -> Patched:
    return Patched(image)


def refused(question: Callable[[Inode], object], inode: Inode, why: str) -> None:
    with pytest.raises(FileError, match=rf"^inode {inode.number}: .*{re.escape(why)}"):
        question(inode)


# Extents


def test_a_tree_of_extents_is_read(patched: Patched) -> None:
    extents = patched.opened().extents(patched.find(b"tree"))

    assert (extents.begin // BLOCK).tolist() == list(range(0, 600, 2))


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("eh_magic", 0xF30B, "has the magic 0xf30b"),
        ("eh_entries", 5, "5 entries in the room of 4"),
        ("eh_max", 5, "in the room of 5"),
        ("eh_depth", 6, "6 levels deep"),
        ("eh_depth", 2, "has the depth 0, not 1"),
        ("eh_entries", 0, "nothing below it"),
    ],
)
def test_a_root_is_checked(patched: Patched, field: str, value: int, why: str) -> None:
    inode = patched.find(b"tree")
    patched.at(Ext4ExtentHeader, patched.body_place(inode.number))[field] = value

    refused(patched.opened().extents, inode, why)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("ei_leaf_hi", 1, "where no block can be"),
        ("ei_leaf_lo", 0, "where no block can be"),
        ("ei_leaf_lo", 3, "has the magic"),
        ("ei_block", 0, "not in order"),
        ("ei_block", 500, "not in order"),
    ],
)
def test_an_index_is_checked(patched: Patched, field: str, value: int, why: str) -> None:
    inode = patched.find(b"tree")
    patched.at(Ext4ExtentIndex, patched.body_place(inode.number) + HEADER + ENTRY)[field] = value

    refused(patched.opened().extents, inode, why)


def test_a_node_is_visited_once(patched: Patched) -> None:
    inode = patched.find(b"tree")
    begin = patched.body_place(inode.number) + HEADER
    first, second = (patched.at(Ext4ExtentIndex, begin + at) for at in (0, ENTRY))
    first["ei_block"], second["ei_block"] = 0, 1
    second["ei_leaf_lo"] = first["ei_leaf_lo"]
    node = int(first["ei_leaf_lo"][0]) * BLOCK
    patched.at(Ext4ExtentHeader, node)["eh_entries"] = 1

    refused(patched.opened().extents, inode, "the same block")


def test_a_node_that_leads_to_itself_is_refused(patched: Patched) -> None:
    inode = patched.find(b"tree")
    root = patched.body_place(inode.number)
    node = int(patched.at(Ext4ExtentIndex, root + HEADER)["ei_leaf_lo"][0])
    for place, depth in ((root, 5), (node * BLOCK, 4)):
        header = patched.at(Ext4ExtentHeader, place)
        header["eh_depth"], header["eh_entries"] = depth, 1
    index = patched.at(Ext4ExtentIndex, node * BLOCK + HEADER)
    index["ei_leaf_lo"], index["ei_leaf_hi"] = node, 0

    refused(patched.opened().extents, inode, "the same block")


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("ee_len", 0, "where no block can be"),
        ("ee_len", 4000, "not in order"),
        ("ee_start_hi", 9, "where no block can be"),
        ("ee_start_lo", 2047, None),
        ("ee_start_lo", 2048, "where no block can be"),
        ("ee_start_lo", 1, "where no block can be"),
        ("ee_block", 0, "not in order"),
        ("ee_block", 4, "not in order"),
    ],
)
@pytest.mark.parametrize("name", [b"flat", b"tree"])
def test_an_extent_is_checked(
    patched: Patched, name: bytes, field: str, value: int, why: str | None
) -> None:
    inode = patched.find(name)
    begin = patched.body_place(inode.number)
    if name == b"tree":
        begin = int(patched.at(Ext4ExtentIndex, begin + HEADER)["ei_leaf_lo"][0]) * BLOCK
    patched.at(Ext4Extent, begin + HEADER + ENTRY)[field] = value

    if why is None:
        assert patched.opened().extents(inode).place[1] == value * BLOCK
    else:
        refused(patched.opened().extents, inode, why)


def test_what_was_never_written_is_not_there(patched: Patched) -> None:
    inode = patched.find(b"flat")
    patched.at(Ext4Extent, patched.body_place(inode.number) + HEADER + ENTRY)["ee_len"] = 32769

    assert patched.opened().extents(inode).begin.tolist() == [0, 4 * BLOCK]


def test_neighbours_are_one(patched: Patched) -> None:
    inode = patched.find(b"flat")
    begin = patched.body_place(inode.number) + HEADER
    place = int(patched.at(Ext4Extent, begin)["ee_start_lo"][0])
    for number in (1, 2):
        extent = patched.at(Ext4Extent, begin + number * ENTRY)
        extent["ee_block"], extent["ee_start_lo"] = number, place + number
    extents = patched.opened().extents(inode)

    assert [column.tolist() for column in (extents.begin, extents.length, extents.place)] == [
        [0],
        [3 * BLOCK],
        [place * BLOCK],
    ]


@pytest.mark.parametrize("size", [1 << 40, (1 << 32) * BLOCK])
def test_a_large_size_costs_nothing(patched: Patched, size: int) -> None:
    inode = patched.find(b"tree")
    patched.inode(inode.number)["i_size_high"] = size >> 32
    patched.inode(inode.number)["i_size_lo"] = size & 0xFFFFFFFF
    files = patched.opened()

    tracemalloc.start()
    try:
        assert files.inode(inode.number).size == size
        assert len(files.extents(inode)) == 300
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_size_that_no_file_can_have_is_refused(patched: Patched) -> None:
    inode = patched.find(b"tree")
    patched.inode(inode.number)["i_size_high"] = 0x7FFFFFFF

    refused(lambda each: patched.opened().inode(each.number), inode, "a size that no file can have")


# Blocks of pointers


@pytest.fixture
def pointers(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "file").open("wb") as file:
        for place in (0, 15, 300, 70_000):
            file.seek(place * BLOCK)
            file.write(b"x")
    options = ("-b", str(BLOCK), "-N", "64", "-d", tree)
    return mke2fs(tmp_path / "image", 1024, *options, features=EXT2)


def test_a_file_of_pointers_of_every_level_is_read(pointers: Path) -> None:
    patched = Patched(pointers.read_bytes())

    begins = patched.opened().extents(patched.find(b"file")).begin
    assert (begins // BLOCK).tolist() == [0, 15, 300, 70_000]


@pytest.mark.parametrize(
    ("pointer", "value", "why"),
    [
        ("block[0]", "1025", "where no block can be"),
        ("block[IND]", "4000000000", "where no block can be"),
        ("block[DIND]", "block[IND]", "blocks of pointers are the same"),
        ("block[TIND]", "block[DIND]", "blocks of pointers are the same"),
    ],
)
def test_pointers_are_checked(pointers: Path, pointer: str, value: str, why: str) -> None:
    inode = Patched(pointers.read_bytes()).find(b"file")
    found = re.findall(r"\((\w?IND)\):(\d+)", debugfs(pointers, "stat file"))
    blocks = dict(reversed(found))  # the first of each is the root's
    number = re.sub(r"block\[(\w+)\]", lambda found: blocks[found[1]], value)
    debugfs(pointers, f"set_inode_field file {pointer} {number}")

    refused(Patched(pointers.read_bytes()).opened().extents, inode, why)


# Directories


def entries_found(patched: Patched, inode: Inode) -> tuple[int, str]:
    with pytest.raises(DirectoryError, match=rf"^inode {inode.number}: ") as caught:
        patched.opened().entries(inode)
    return len(caught.value.found), str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("rec_len", 0, "the entry at byte 0 has the length 0"),
        ("rec_len", 13, "has the length 13"),
        ("rec_len", 2000, "has the length 2000"),
        ("name_len", 0, "has a name of 0 bytes"),
        ("name_len", 200, "has a name of 200 bytes"),
        ("inode", 97, "is of inode 97, of 96"),
    ],
)
def test_an_entry_is_checked_and_other_blocks_are_read(
    patched: Patched, field: str, value: int, why: str
) -> None:
    inode = patched.find(b"folder")
    extents = patched.opened().extents(inode)
    patched.at(Ext4DirEntry, int(extents.place[0]) + BLOCK)[field] = value

    count, message = entries_found(patched, inode)
    assert why in message
    assert "its block 1" in message
    assert 30 < count < 60


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"i_size_lo": 5 * BLOCK}, "2 of its 5 blocks are not there"),
        ({"i_size_lo": 4 * BLOCK + 1}, "bytes is not that of whole blocks"),
        ({"i_flags": 0x80800}, "it is encrypted"),
        ({"i_flags": 0x10080000}, "of which its inode holds 60"),
    ],
)
def test_a_directory_is_checked(patched: Patched, change: dict[str, int], why: str) -> None:
    inode = patched.find(b"folder")
    for field, value in change.items():
        patched.inode(inode.number)[field] = value

    assert why in entries_found(patched, inode)[1]


def test_blocks_of_a_directory_that_are_the_same_are_refused(patched: Patched) -> None:
    inode = patched.find(b"folder")
    begin = patched.body_place(inode.number)
    patched.at(Ext4ExtentHeader, begin)["eh_entries"] = 2
    for number in range(2):
        extent = patched.at(Ext4Extent, begin + HEADER + number * ENTRY)
        extent["ee_block"], extent["ee_len"] = 2 * number, 2
        extent["ee_start_lo"] = patched.at(Ext4Extent, begin + HEADER)["ee_start_lo"]

    assert "two of its blocks are the same" in entries_found(patched, inode)[1]


def test_a_directory_that_claims_a_volume_of_zeros_ends_soon(tmp_path: Path) -> None:
    image = mke2fs(tmp_path / "image", 64 << 10, "-b", "1024", features=NO_CHECKSUMS)
    debugfs(image, "mkdir folder")
    patched = Patched(image.read_bytes())
    number = patched.find(b"folder").number
    patched.inode(number)["i_size_lo"] = 32768 * BLOCK
    extent = patched.at(Ext4Extent, patched.body_place(number) + HEADER)
    extent["ee_len"], extent["ee_start_lo"] = 32768, 32768
    files = patched.opened()

    start = time.process_time()
    with pytest.raises(DirectoryError, match="from 10000 on were not read") as caught:
        files.entries(files.inode(number))

    assert time.process_time() - start < 5
    assert not caught.value.found


def test_what_is_no_directory_has_no_entries(patched: Patched) -> None:
    assert "it is no directory" in entries_found(patched, patched.find(b"flat"))[1]


def test_what_is_lost_is_an_error_of_what_it_belongs_to(patched: Patched) -> None:
    folder, tree = patched.find(b"folder"), patched.find(b"tree")
    files = patched.opened()
    entries = files.entries(folder)
    begin = int(files.extents(folder).place[0]) + 2 * BLOCK
    table = patched.place_of(entries[0].number)
    lost = [(begin, begin + BLOCK), (table, table + 256)]
    source = MemorySource(bytes(patched.image), lost_ranges=lost)

    damaged = Ext4(Cache(source))

    with pytest.raises(DirectoryError, match=r"its block 2: .*is lost") as caught:
        damaged.entries(folder)
    assert {*caught.value.found} < {*entries}
    assert len(damaged.extents(tree)) == 300
    errors = [answer(partial(damaged.inode, entry.number)) for entry in entries]
    assert [isinstance(each, FileError) for each in errors] == [True] + [False] * 59
    assert str(errors[0]).startswith(f"inode {entries[0].number}: ")


# Inodes, links, attributes


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"i_links_count": 0}, "is not in use"),
        ({"i_mode": 0o3000}, "is of an unknown type"),
        ({"i_extra_isize": 130}, "has fields past its end"),
        ({"i_extra_isize": 30}, "has fields past its end"),
    ],
)
def test_an_inode_is_checked(patched: Patched, change: dict[str, int], why: str) -> None:
    inode = patched.find(b"flat")
    for field, value in change.items():
        patched.inode(inode.number)[field] = value

    refused(lambda each: patched.opened().inode(each.number), inode, why)


@pytest.mark.parametrize("number", [-1, 0, 97, 1 << 40])
def test_there_are_so_many_inodes(patched: Patched, number: int) -> None:
    with pytest.raises(FileError, match=f"inode {number}: there is none: the last one is 96"):
        patched.opened().inode(number)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"i_size_lo": 0}, "leads nowhere"),
        ({"i_size_lo": 30}, "leads nowhere"),
        ({"i_flags": 0x800}, "it is encrypted"),
        ({"i_size_lo": 2000, "i_block": b""}, "it has 2000 bytes, more than 1024"),
    ],
)
def test_a_link_is_checked(patched: Patched, change: dict[str, int], why: str) -> None:
    inode = patched.find(b"to")
    for field, value in change.items():
        patched.inode(inode.number)[field] = value

    refused(patched.opened().link_target, inode, why)


def test_what_is_no_link_leads_nowhere(patched: Patched) -> None:
    refused(patched.opened().link_target, patched.find(b"flat"), "it is no symbolic link")


def test_what_is_encrypted_is_refused_and_its_attributes_are_not(patched: Patched) -> None:
    inode = patched.find(b"flat")
    patched.inode(inode.number)["i_flags"] = 0x80800
    files = patched.opened()

    refused(files.extents, inode, "it is encrypted")
    refused(files.inline, inode, "it is encrypted")
    assert {*files.xattrs(inode)} == {b"user.name", b"user.long"}


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("e_name_len", 255, "larger than the room"),
        ("e_name_index", 5, "of the unknown kind 5"),
        ("e_value_offs", 90, "larger than the room"),
        ("e_value_size", 70_000, "larger than the room"),
        ("e_value_inum", 200, "inode 200: there is none"),
        ("e_value_inum", 2, "inode 2 does not hold the value"),
    ],
)
def test_attributes_are_checked(patched: Patched, field: str, value: int, why: str) -> None:
    inode = patched.find(b"flat")
    begin = patched.place_of(inode.number) + 160 + Ext4XattrBodyHeader.sizeof()
    patched.at(Ext4XattrEntry, begin)[field] = value

    refused(patched.opened().xattrs, inode, why)


def test_attributes_do_not_share_their_bytes(patched: Patched) -> None:
    inode = patched.find(b"flat")
    block = int(patched.inode(inode.number)["i_file_acl_lo"][0]) * BLOCK
    entry, size = Ext4XattrHeader.sizeof(), Ext4XattrEntry.sizeof() + 4
    for number in range(4):
        fields = patched.at(Ext4XattrEntry, block + entry + number * size)
        fields["e_name_len"], fields["e_name_index"] = 1, 1
        fields["e_value_offs"], fields["e_value_size"] = 700, 300

    refused(patched.opened().xattrs, inode, "more bytes than the room for them")


@pytest.mark.parametrize(
    ("block", "why"), [(1, "where none can be"), (2048, "where none can be"), (9, "does not hold")]
)
def test_a_block_of_attributes_is_checked(patched: Patched, block: int, why: str) -> None:
    inode = patched.find(b"flat")
    patched.inode(inode.number)["i_file_acl_lo"] = block

    refused(patched.opened().xattrs, inode, why)


# Checksums


def test_values_in_other_inodes_have_checksums(tmp_path: Path) -> None:
    features = EXT4.replace("has_journal,", "") + ",ea_inode"
    image = mke2fs(tmp_path / "image", 2048, "-b", "1024", "-N", "64", features=features)
    value = "v" * 3000
    debugfs(image, "mkdir folder", f"ea_set folder user.long {value}")
    patched = Patched(image.read_bytes())
    inode = patched.find(b"folder")
    assert dict(patched.opened().xattrs(inode)) == {b"user.long": value.encode()}
    place = patched.image.index(value[:1000].encode())
    patched.image[place] ^= 1

    refused(patched.opened().xattrs, inode, "the checksum of the value in it is wrong")


@pytest.mark.parametrize("features", [NO_CHECKSUMS + ",uninit_bg", EXT4])
def test_descriptors_of_groups_have_checksums(features: str, tmp_path: Path) -> None:
    options = ("-b", "1024", "-g", "1024", "-N", "512")
    image = mke2fs(tmp_path / "image", 8192, *options, features=features)
    patched = Patched(image.read_bytes())
    files = patched.opened()
    inodes = files.superblock.s_inodes_per_group
    patched.image[2 * BLOCK + 64 + 12] ^= 1  # free blocks of group 1
    files = patched.opened()

    assert files.entries(files.inode(files.root))
    with pytest.raises(FileError, match=f"inode {inodes + 1}: the checksum of .* group 1 is wrong"):
        files.inode(inodes + 1)


# The superblock


@pytest.mark.parametrize("bit", [bit for bit in INCOMPAT_FEATURES if bit & UNREAD_FEATURES])
def test_a_feature_that_is_not_read_is_refused_by_name(patched: Patched, bit: int) -> None:
    patched.superblock()["s_feature_incompat"] |= bit

    with pytest.raises(UnsupportedFormatError, match=f"image: .*: {INCOMPAT_FEATURES[bit]}$"):
        patched.opened()


def test_features_that_are_not_known_are_refused(patched: Patched) -> None:
    patched.superblock()["s_feature_incompat"] |= 0x80000020

    with pytest.raises(UnsupportedFormatError, match="incompat bit 0x20, incompat bit 0x80000000"):
        patched.opened()


def test_features_that_a_reader_can_do_without_are_not_looked_at(patched: Patched) -> None:
    patched.superblock()["s_feature_ro_compat"] |= 0x80000000
    patched.superblock()["s_feature_compat"] |= 0x80000000

    assert patched.opened().kind == "ext4"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"s_magic": 0xEF54}, "there is no ext2, ext3 or ext4"),
        ({"s_log_block_size": 7}, "blocks of 131072 bytes"),
        ({"s_log_block_size": 0xFFFFFFFF}, "blocks of"),
        ({"s_log_cluster_size": 0xFFFFFFFF}, "clusters of"),
        ({"s_inode_size": 100}, "inodes of 100 bytes"),
        ({"s_inode_size": 2048}, "inodes of 2048 bytes"),
        ({"s_inode_size": 384}, "inodes of 384 bytes"),
        ({"s_desc_size": 32}, "group descriptors of 32 bytes"),
        ({"s_desc_size": 65}, "group descriptors of 65 bytes"),
        ({"s_inodes_per_group": 0}, "0 inodes a group"),
        ({"s_inodes_per_group": 8193}, "8193 inodes a group"),
        ({"s_blocks_per_group": 0}, "0 blocks a group"),
        ({"s_blocks_count_lo": 0}, "0 blocks, from 1 on"),
        ({"s_inodes_count": 95}, "1 groups of 96 inodes are not 95"),
    ],
)
def test_a_superblock_is_checked(patched: Patched, change: dict[str, int], why: str) -> None:
    for field, value in change.items():
        patched.superblock()[field] = value

    with pytest.raises(InputError, match=f"image: .*{why}") as caught:
        patched.opened()
    assert "s_magic" in change or "with e2fsck -b 32768" in str(caught.value)


def test_a_superblock_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match=r"image: its superblock cannot be read: .*past the end"):
        Patched(bytes(2047)).opened()


def test_a_file_system_that_ends_early_is_read_as_far_as_it_goes(patched: Patched) -> None:
    tree = patched.find(b"tree")
    begins = patched.opened().extents(tree).place
    del patched.image[int(begins[-1]) :]
    files = patched.opened()

    refused(files.extents, tree, "where no block can be")
    assert len(files.entries(patched.find(b"folder"))) == 60
