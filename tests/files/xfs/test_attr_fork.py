"""Attributes that are out of shape are told; here without checksums, as their maker has them."""

from typing import Any

import pytest
from construct import Construct

from tests.files.mounted import needs_xfsprogs
from tests.files.xfs.small_images import Changed
from thinmeta.files.file_system import FileError
from thinmeta.files.xfs import attr_fork
from thinmeta.schemas import xfs_directory as schema

pytestmark = needs_xfsprogs

TREE, LEAF = b"big", b"small-file"
SHORT = b"wide/name7" + b"-" * 199


def refusal(changed: Changed, path: bytes) -> str:
    files = changed.opened()
    inode = files.inode(changed.inode(path).number)
    with pytest.raises(FileError) as caught:
        files.xattrs(inode)
    return str(caught.value).removeprefix(f"inode {inode.number}: its attributes ")


@pytest.mark.parametrize(
    ("at", "part"),
    [(0, b"\xff"), (1, b"\x05"), (2, b"\x00"), (2, b"\x09"), (4, b"\0"), (5, b"\xff")],
)
def test_a_list_in_the_inode_has_what_it_says(at: int, part: bytes) -> None:
    changed = Changed(4)
    changed.put(changed.attribute_place(SHORT) + at, part)

    assert refusal(changed, SHORT) == "in the inode are out of shape"


@pytest.mark.parametrize(
    ("structure", "fields", "message"),
    [
        (schema.DaNodeHdr, {"level": 6}, "have a block 0 of another height"),
        (schema.DaNodeHdr, {"level": 2}, "have a block 1 of another height"),
        (schema.DaNodeHdr, {"level": 0}, "have a node 0 without height"),
        (schema.DaNodeHdr, {"count": 65535}, "have a block with more entries than room for them"),
        (schema.DaNodeHdr, {"magic": 1}, None),
    ],
)
def test_a_node_is_of_its_height_and_has_room(
    structure: Construct, fields: dict[str, int], message: str | None
) -> None:
    changed = Changed(4)
    place = changed.attribute_place(TREE)
    changed.set_field(place, structure, **fields)

    assert refusal(changed, TREE) == message if message else "there is no attribute block"


@pytest.mark.parametrize(("block", "what"), [(0, "block 0 twice"), (99_999, "no block 99999")])
def test_a_child_is_another_block_of_the_attributes(block: int, what: str) -> None:
    changed = Changed(4)
    place = changed.attribute_place(TREE) + schema.DaNodeHdr.sizeof()
    changed.set_field(place, schema.DaNodeEntry, before=block)

    assert refusal(changed, TREE) == f"have {what}"


NAME = "have a name past the end of its block"
VALUE = "have a name or value past the end of its block"


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"nameidx": 31}, NAME), ({"nameidx": 0}, NAME), ({"nameidx": 1022}, NAME)],
)
def test_a_name_is_in_its_block(fields: dict[str, int], message: str) -> None:
    changed = Changed(4)
    place = changed.attribute_place(LEAF) + schema.AttrLeafHdr.sizeof()
    changed.set_field(place, schema.AttrLeafEntry, **fields)

    assert refusal(changed, LEAF) == message


def name_places(changed: Changed) -> tuple[int, int]:
    """Return where a short value's name is, and a long one's."""
    place = changed.attribute_place(LEAF)
    local = changed.content.index(b"size100vv", place) - schema.AttrLeafNameLocal.sizeof()
    remote = changed.content.index(b"size65535", place) - schema.AttrLeafNameRemote.sizeof()
    return local, remote


@pytest.mark.parametrize(
    ("is_remote", "fields", "message"),
    [
        (False, {"valuelen": 65535}, VALUE),
        (False, {"namelen": 0}, VALUE),
        (True, {"namelen": 0}, VALUE),
        (True, {"valuelen": 65537}, "have a value of 65537 bytes, and 65536 are the most"),
        (True, {"valueblk": 2**32 - 1}, f"have no block {2**32 - 1}"),
        (True, {"valueblk": 0}, "have block 0 twice"),
    ],
)
def test_a_value_is_where_it_can_be(is_remote: Any, fields: dict[str, int], message: str) -> None:
    changed = Changed(4)
    structure = schema.AttrLeafNameRemote if is_remote else schema.AttrLeafNameLocal
    changed.set_field(name_places(changed)[is_remote], structure, **fields)

    assert refusal(changed, LEAF) == message


def test_a_name_is_there_once() -> None:
    changed = Changed(4)
    place = changed.content.index(b"size1000", changed.attribute_place(LEAF))
    changed.put(place, b"size3000")
    files = changed.opened()

    with pytest.raises(FileError, match="it has an attribute twice"):
        files.xattrs(files.inode(changed.inode(LEAF).number))


def test_there_is_a_limit_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attr_fork, "_MOST_BYTES", 50_000)

    assert refusal(Changed(4), LEAF) == "have more than 64 MiB"
