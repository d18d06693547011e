"""A directory that is out of shape is told, and what was read before is not lost."""

import pytest

from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import Changed
from thinmeta.files.file_system import DirectoryError, Entry
from thinmeta.files.xfs import dir2
from thinmeta.schemas import xfs_directory

pytestmark = needs_xfsprogs


def refusal(changed: Changed, path: bytes) -> tuple[str, list[Entry]]:
    files = changed.opened()
    inode = files.inode(changed.inode(path).number)
    with pytest.raises(DirectoryError) as caught:
        files.entries(inode)
    return str(caught.value).removeprefix(f"inode {inode.number}: "), list(caught.value.found)


def test_entries_are_those_of_the_disk_without_dots() -> None:
    files = Changed(4).opened()
    names = [entry.name for entry in files.entries(files.inode(files.root))]

    assert names[:3] == [b"small-file", b"big", b"char"]
    assert {b".", b".."} & {*names} == set()


@pytest.mark.parametrize(
    ("count", "size", "names"),
    [
        (2, 19, [b"deep1"]),
        (0, 19, []),
        (1, 18, []),
        (1, 20, [b"deep1"]),
        (1, 3, []),
        (1, 2**40, []),
    ],
)
def test_a_list_in_the_inode_has_what_it_says(count: int, size: int, names: list[bytes]) -> None:
    changed = Changed(4)
    changed.set_field(changed.data_place(b"deep0"), xfs_directory.Dir2SfHdr, count=count)
    changed.set_inode(b"deep0", di_size=size)

    why, found = refusal(changed, b"deep0")

    assert why == "its list of names in the inode is out of shape"
    assert [entry.name for entry in found] == names


def test_a_name_in_the_inode_is_not_empty() -> None:
    changed = Changed(4)
    changed.put(changed.data_place(b"deep0") + 6, b"\0")

    assert refusal(changed, b"deep0") == ("its list of names in the inode is out of shape", [])


@pytest.mark.parametrize(
    ("at", "part"),
    [
        (24, b"\0"),  # the length of the first name
        (24, b"\xff"),
        (16, b"\xff\xff\0\0"),  # free space without length, or past the end, or not aligned
        (16, b"\xff\xff\xff\xf8"),
        (16, b"\xff\xff\0\x0c"),
        (30, b"\1"),  # where the first entry says it is
        (23, b"\x01"),  # the inode of "."
        (1020, b"\xff\xff"),  # how many hashes there are, of a directory with one block
    ],
)
def test_a_block_that_is_out_of_shape_is_told(at: int, part: bytes) -> None:
    changed = Changed(4)
    place = changed.block_place(b"wide")
    is_tail = at == 1020
    if is_tail:
        changed.set_field(
            place, xfs_directory.Dir2DataHdr, magic=xfs_directory.XFS_DIR2_BLOCK_MAGIC
        )
    changed.put(place + at - 4 * is_tail, part)

    why, found = refusal(changed, b"wide")

    assert why == f"the directory block at byte {place} is out of shape"
    assert 400 < len(found) < 450


def test_an_entry_without_a_name_is_told() -> None:
    changed = Changed(4)
    place = changed.block_place(b"wide", 4)
    changed.put(place + 24, b"\0" * 7 + b"\x10")
    changed.put(place + 16 + 14, b"\0\x10")

    assert refusal(changed, b"wide")[0] == f"the directory block at byte {place} is out of shape"


def test_a_directory_is_as_long_as_its_blocks() -> None:
    changed = Changed(4)
    size = changed.inode(b"wide").size
    changed.set_inode(b"wide", di_size=size + 1024)

    why, found = refusal(changed, b"wide")

    assert why == f"its size is {size + 1024} bytes, and that of its blocks another"
    assert len(found) == 450


def test_a_directory_without_blocks_is_told() -> None:
    changed = Changed(4)
    changed.set_inode(b"", di_nextents=0, di_size=0)

    assert refusal(changed, b"") == ("its size is 0 bytes, and that of its blocks another", [])


def test_a_part_of_a_directory_block_may_be_missing() -> None:
    changed = Changed(4)
    changed.set_superblock(sb_dirblklog=3)

    assert "a part of the directory block at byte" in refusal(changed, b"")[0]


def test_it_is_given_up_where_nothing_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dir2, "_MOST_FAULTS", 3)
    changed = Changed(4)
    for block in range(8, 40, 4):
        changed.put(changed.block_place(b"wide", block), bytes(4))

    why, found = refusal(changed, b"wide")

    first = changed.block_place(b"wide", 8)
    assert why == f"there is no directory block at byte {first}; and 2 more of its blocks"
    assert 10 < len(found) < 100
