"""What an XFS is asked, file by file: what is refused, and what is hidden."""

import gc
import stat
import weakref
from collections.abc import Iterable

import numpy as np
import pytest

from tests.files.image_source import BytesSource
from tests.files.listing import every_file
from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import Changed, small_image
from thinmeta.files.file_system import DirectoryError, FileError
from thinmeta.files.reading import Cache, Missing
from thinmeta.files.xfs.forks import read_extents
from thinmeta.files.xfs.xfs_file_system import Xfs
from thinmeta.schemas import xfs
from thinmeta.schemas.xfs_directory import XFS_ATTR_INCOMPLETE, XFS_ATTR_PARENT
from thinmeta.volume.layout import Source
from thinmeta.volume.sources import Unreadable

pytestmark = needs_xfsprogs
both = pytest.mark.parametrize("version", [4, 5])


class Holed(BytesSource):
    """Bytes of which a part cannot be had."""

    def __init__(self, content: bytes, begin: int, length: int) -> None:
        super().__init__(content)
        cause = Unreadable(begin, length, 0, Source.DATA, "disk", begin, 0, "bad sector")
        self._hole = Missing(begin, length, cause)

    def fill(self, view: memoryview, begin: int) -> Iterable[Missing]:
        super().fill(view, begin)
        hole = self._hole
        if hole.begin < begin + len(view) and begin < hole.end:
            yield hole.moved(begin, begin + len(view))


def record(begin: int, block: int, length: int, *, is_unwritten: bool = False) -> bytes:
    l0 = int(is_unwritten) << 63 | begin << 9 | block >> 43
    fields = {"l0": l0, "l1": (block & (1 << 43) - 1) << 21 | length}
    return bytes(xfs.BmbtRec.build(fields))


@both
def test_an_inode_that_is_free_or_none_is_told(version: int) -> None:
    changed = Changed(version)
    changed.set_inode(b"small-file", di_mode=0)
    changed.set_inode(b"big", di_mode=0o140755 | 0o20000)
    changed.set_inode(b"fifo", di_magic=1)
    changed.set_inode(b"char", di_size=2**63)
    changed.set_inode(b"block", di_version=4)
    changed.set_inode(b"empty", di_mtime=10**9)
    files = changed.opened()

    def why(path: bytes) -> str:
        number = changed.inode(path).number
        with pytest.raises(FileError) as caught:
            files.inode(number)
        return str(caught.value).removeprefix(f"inode {number}: ")

    assert why(b"small-file") == "is free"
    assert why(b"big") == "is of no known type"
    assert why(b"fifo") == "is none"
    assert why(b"char") == "has a size that is out of range"
    assert why(b"block") == "is of another version than the file system"
    if version == 4:
        assert why(b"empty") == "has a time that is out of range"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"di_uuid": bytes(16)}, "is of another file system"),
        ({"di_ino": 12345}, "was written for another number"),
    ],
)
def test_an_inode_says_whose_it_is(fields: dict[str, object], message: str) -> None:
    changed = Changed(5)
    changed.set_inode(b"big", **fields)

    with pytest.raises(FileError, match=message):
        changed.opened().inode(changed.inode(b"big").number)


@both
@pytest.mark.parametrize("number", [-1, 0, 2**31, 2**56, 2**64 - 1, 24 << 14])
def test_a_number_that_is_of_no_inode_is_told(number: int, version: int) -> None:
    with pytest.raises(FileError, match=f"inode {number}: "):
        Changed(version).opened().inode(number)


@both
def test_a_file_on_the_realtime_device_is_told(version: int) -> None:
    changed = Changed(version)
    changed.set_inode(b"big", di_flags=xfs.XFS_DIFLAG_REALTIME)
    files = changed.opened()

    with pytest.raises(FileError, match=r"inode \d+: its content is on the realtime device"):
        files.extents(files.inode(changed.inode(b"big").number))


@both
@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([(0, 4000, 2), (1, 5000, 2)], "not in order"),
        ([(5, 4000, 1), (0, 5000, 1)], "not in order"),
        ([(0, 4000, 0)], "past the end"),
        ([(0, 2**52 - 1, 1)], "past the end"),
        ([(0, 4000, 2**21 - 1)], "past the end"),
        ([(0, 2**51, 1), (1, 4000, 1)], "past the end"),
        ([(2**54 - 2, 4000, 1)], "past the end"),
        ([(2**54 - 2, 4000, 1), (2**54 - 1, 4000, 1)], "past the end"),
    ],
)
def test_extents_out_of_range_are_told(
    version: int, records: list[tuple[int, int, int]], message: str
) -> None:
    changed = Changed(version)
    changed.put(changed.data_place(b"big"), b"".join(record(*each) for each in records))
    changed.set_inode(b"big", di_nextents=len(records))
    files = changed.opened()

    with pytest.raises(FileError, match=message):
        files.extents(files.inode(changed.inode(b"big").number))


@both
def test_neighbours_are_joined_and_what_was_never_written_is_left_out(version: int) -> None:
    changed = Changed(version)
    first = record(0, 4000, 2) + record(2, 4002, 3)
    last = record(5, 4005, 1, is_unwritten=True) + record(9, 4006, 1) + record(10, 4009, 1)
    changed.put(changed.data_place(b"big"), first + last)
    changed.set_inode(b"big", di_nextents=5, di_forkoff=0)
    changed.put(changed.data_place(b"small-file"), record(0, 4000, 3, is_unwritten=True))
    changed.set_inode(b"small-file", di_nextents=1)
    changed.put(changed.data_place(b"\xb5\xa5"), record(7, 4001, 3))
    changed.set_inode(b"\xb5\xa5", di_nextents=1)
    files = changed.opened()

    def extents(path: bytes) -> list[list[int]]:
        found = files.extents(files.inode(changed.inode(path).number))
        assert {column.dtype for column in (found.begin, found.length, found.place)} == {
            np.dtype(np.uint64)
        }
        return [column.tolist() for column in (found.begin, found.length, found.place)]

    kib = 1024
    assert extents(b"big") == [
        [0, 9 * kib, 10 * kib],
        [5 * kib, kib, kib],
        [4000 * kib, 4006 * kib, 4009 * kib],
    ]
    assert extents(b"small-file") == [[], [], []]
    assert extents(b"\xb5\xa5") == [[7 * kib], [3 * kib], [4001 * kib]]


@both
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"di_nextents": 1000}, "more extents than room"),
        ({"di_format": 1}, "format 1 is wrong for its type"),
        ({"di_format": 9}, "format 9 is wrong for its type"),
        ({"di_forkoff": 255}, "its attributes begin past its end"),
        ({"di_format": 3}, "its tree of extents"),
    ],
)
def test_a_fork_that_is_out_of_shape_is_told(
    version: int, fields: dict[str, int], message: str
) -> None:
    changed = Changed(version)
    changed.set_inode(b"big", **fields)
    files = changed.opened()

    with pytest.raises(FileError, match=message):
        files.extents(files.inode(changed.inode(b"big").number))


@both
def test_a_directory_that_has_a_block_twice_is_told(version: int) -> None:
    """Else a few extents would be names without end."""
    changed = Changed(version)
    files = changed.opened()
    root = files.inode(files.root)
    fork = files._dinodes.data_fork(files.root)
    block = int(read_extents(fork, files._blocks).place[0]) // 1024
    changed.put(changed.data_place(b""), record(0, block, 1) + record(4, block, 1))
    changed.set_inode(b"", di_nextents=2, di_size=2**40)

    with pytest.raises(DirectoryError, match="one of its blocks is there twice") as caught:
        changed.opened().entries(root)

    assert caught.value.found == []


@pytest.mark.parametrize("flag", [XFS_ATTR_PARENT, XFS_ATTR_INCOMPLETE])
@both
def test_what_is_no_attribute_of_the_user_is_hidden(version: int, flag: int) -> None:
    changed = Changed(version)
    path = b"wide/name7" + b"-" * 199
    number = changed.inode(path).number
    begin = changed.inode_place(path)
    at = changed.content.index(b"of-root", begin) - 1
    assert dict(changed.opened().xattrs(changed.inode(path))) == {
        b"trusted.of-root": b"vvvvv",
        b"security.secure": b"vvvvvv",
    }

    changed.put(at, bytes([changed.content[at] | flag]))
    changed.stamp_inode(path)
    files = changed.opened()

    assert dict(files.xattrs(files.inode(number))) == {b"security.secure": b"vvvvvv"}


@both
def test_an_acl_that_is_out_of_shape_is_told(version: int) -> None:
    changed = Changed(version)
    path = b"wide/name7" + b"-" * 199
    at = changed.content.index(b"of-root", changed.inode_place(path))
    changed.put(at - 3, b"\x0c\x00")
    changed.put(at, b"SGI_ACL_FILE")
    changed.stamp_inode(path)
    files = changed.opened()

    with pytest.raises(FileError, match=r"inode \d+: its ACL is out of shape"):
        files.xattrs(files.inode(changed.inode(path).number))


@both
def test_what_cannot_be_had_is_told_of_the_files_that_it_is_of(version: int) -> None:
    sound = dict(every_file(Changed(version).opened()))
    numbers = sorted(inode.number for inode in sound.values())
    lost = numbers[len(numbers) // 2]
    place = Changed(version).opened().geometry.inode_place(lost)
    assert place is not None
    files = Xfs(Cache(Holed(small_image(version), place + 10, 1)))

    for path, inode in sound.items():
        if inode.number != lost:
            assert files.inode(inode.number) == inode, path
    with pytest.raises(FileError, match=f"inode {lost}: cannot be read: .*bad sector"):
        files.inode(lost)


@both
def test_a_directory_with_a_lost_block_has_the_rest(version: int) -> None:
    files = Changed(version).opened()
    wide = files.inode(Changed(version).inode(b"wide").number)
    extents = read_extents(files._dinodes.data_fork(wide.number), files._blocks)
    everything = list(files.entries(wide))
    place = int(extents.place[len(extents) // 4])
    holed = Xfs(Cache(Holed(small_image(version), place + 512, 100)))

    with pytest.raises(DirectoryError, match=rf"inode {wide.number}: .*bad sector") as caught:
        holed.entries(wide)

    found = list(caught.value.found)
    assert [entry for entry in everything if entry in {*found}] == found
    assert 5 < len(everything) - len(found) < 100


def test_what_is_asked_of_the_wrong_type_is_told() -> None:
    changed = Changed(5)
    files = changed.opened()
    fifo, big = changed.inode(b"fifo"), changed.inode(b"big")

    with pytest.raises(DirectoryError, match="it is no directory"):
        files.entries(big)
    with pytest.raises(FileError, match="it is no symbolic link"):
        files.link_target(big)
    assert len(files.extents(fifo)) == 0
    assert files.inline(big) is None
    assert stat.S_ISREG(big.mode)


@both
@pytest.mark.parametrize("size", [0, 1025, 2**62])
def test_a_target_is_as_long_as_it_can_be(version: int, size: int) -> None:
    changed = Changed(version)
    changed.set_inode(b"to-600", di_size=size)
    files = changed.opened()

    with pytest.raises(FileError, match=f"a target of {size} bytes cannot be"):
        files.link_target(files.inode(changed.inode(b"to-600").number))


@both
@pytest.mark.parametrize("path", [b"to-100", b"to-600"])
def test_a_target_is_as_long_as_it_is_said_to_be(version: int, path: bytes) -> None:
    changed = Changed(version)
    changed.set_inode(path, di_size=1024)
    files = changed.opened()
    if version == 4 and path == b"to-600":
        return  # nothing there tells how long it was

    with pytest.raises(
        FileError, match="its target is shorter" if path == b"to-100" else "a part of its target"
    ):
        files.link_target(files.inode(changed.inode(path).number))


def test_what_was_read_is_given_back_at_once() -> None:
    """Many file systems are read one after the other, each with megabytes of its own."""
    cache = Cache(BytesSource(small_image(5)))
    is_there = weakref.ref(cache)
    files = Xfs(cache)
    assert len(dict(every_file(files))) > 500
    gc.disable()
    try:
        del cache, files

        assert is_there() is None
    finally:
        gc.enable()
