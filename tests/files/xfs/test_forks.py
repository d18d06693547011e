"""A tree of extents that is out of shape is told; here without checksums, as its maker has them."""

import pytest

from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import Changed
from thinmeta.files.file_system import DirectoryError
from thinmeta.schemas import xfs

pytestmark = needs_xfsprogs

PATH = b"wide"
FORK_BYTES = 256 - 100
"""All of an inode of version 4 but its head."""


def pointers_place(changed: Changed) -> int:
    return changed.data_place(PATH) + 4 + (FORK_BYTES - 4) // 16 * 8


def leaf_place(changed: Changed, number: int = 0) -> int:
    """Return where a leaf of the tree is, all of which is in the first allocation group."""
    at = pointers_place(changed) + 8 * number
    return int(xfs.BmbtPtr.parse(bytes(changed.content[at : at + 8]))) * 1024


def refusal(changed: Changed) -> str:
    files = changed.opened()
    inode = files.inode(changed.inode(PATH).number)
    with pytest.raises(DirectoryError) as caught:
        files.entries(inode)
    assert caught.value.found == []
    return str(caught.value).removeprefix(f"inode {inode.number}: ")


def test_the_sound_one_is_a_tree() -> None:
    changed = Changed(4)
    files = changed.opened()

    assert files._dinodes.data_fork(changed.inode(PATH).number).form == xfs.XFS_DINODE_FMT_BTREE
    assert len(files.entries(changed.inode(PATH))) == 450


@pytest.mark.parametrize("level", [0, 17, 65535])
def test_its_height_is_in_range(level: int) -> None:
    changed = Changed(4)
    changed.set_field(changed.data_place(PATH), xfs.BmdrBlock, bb_level=level)

    assert refusal(changed) == "its tree of extents has a height that is out of range"


@pytest.mark.parametrize("count", [0, 10, 65535])
def test_its_root_has_as_many_children_as_it_has_room_for(count: int) -> None:
    changed = Changed(4)
    changed.set_field(changed.data_place(PATH), xfs.BmdrBlock, bb_numrecs=count)

    assert refusal(changed) == "its tree of extents has a block with none or too many below"


def test_a_fork_without_room_has_no_root() -> None:
    changed = Changed(4)
    changed.set_inode(PATH, di_forkoff=0)
    files = changed.opened()
    fork = files._dinodes.data_fork(changed.inode(PATH).number)

    assert len(fork.data) == FORK_BYTES


@pytest.mark.parametrize(
    ("field", "value"), [("bb_level", 1), ("bb_numrecs", 0), ("bb_numrecs", 63)]
)
def test_a_leaf_is_of_its_height_and_has_room(field: str, value: int) -> None:
    changed = Changed(4)
    place = leaf_place(changed)
    changed.set_field(place, xfs.BmbtBlock, **{field: value})

    assert refusal(changed) == (
        f"its tree of extents has a block {place // 1024} of another height, or size"
    )


def test_a_leaf_is_one() -> None:
    changed = Changed(4)
    place = leaf_place(changed)
    changed.set_field(place, xfs.BmbtBlock, bb_magic=xfs.XFS_BMAP_CRC_MAGIC)

    assert refusal(changed) == f"there is no block of the extent tree at byte {place}"


def test_a_block_is_there_once() -> None:
    changed = Changed(4)
    changed.set_field(changed.data_place(PATH), xfs.BmdrBlock, bb_numrecs=2)
    changed.put(pointers_place(changed), xfs.BmbtPtr.build(leaf_place(changed) // 1024) * 2)

    assert refusal(changed) == (
        f"its tree of extents has block {leaf_place(changed) // 1024} twice"
    )


@pytest.mark.parametrize("block", [2**64 - 1, 2**40, 25_000])
def test_a_block_is_of_the_file_system(block: int) -> None:
    changed = Changed(4)
    changed.put(pointers_place(changed), xfs.BmbtPtr.build(block))

    assert refusal(changed) == f"there is no block {block}"


def test_it_has_as_many_extents_as_its_inode_says() -> None:
    changed = Changed(4)
    count = changed.opened()._dinodes.data_fork(changed.inode(PATH).number).nr_extents
    changed.set_inode(PATH, di_nextents=count + 1)

    assert refusal(changed) == f"its tree of extents has {count} extents, not {count + 1}"
