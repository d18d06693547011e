"""Inodes are decoded once each, in whichever order they are asked for."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.files.ext.answers import answer
from tests.files.ext.ext_images import mke2fs, needs_e2fsprogs
from tests.files.ext.patches import BLOCK, NO_CHECKSUMS, Patched
from tests.files.image_source import opened_image
from thinmeta.files.ext import inode_pieces, inode_tables
from thinmeta.files.ext.ext4 import Ext4

pytestmark = needs_e2fsprogs


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the first inodes of what is decoded."""
    firsts: list[int] = []
    decoded: Callable[..., Any] = inode_pieces.decoded

    def counted(data: bytes, first: int, geometry: Any) -> Any:
        firsts.append(first)
        return decoded(data, first, geometry)

    monkeypatch.setattr(inode_tables, "decoded", counted)
    return firsts


def test_in_the_order_of_hashes_each_piece_is_decoded_once(
    tmp_path: Path, decodings: list[int]
) -> None:
    options = ("-b", str(BLOCK), "-N", "40000")
    image = mke2fs(tmp_path / "image", 40 << 10, *options, features=NO_CHECKSUMS)
    with opened_image(image) as cache:
        files = Ext4(cache)
        numbers = list(range(1, files.superblock.s_inodes_count + 1))
        random.Random(1).shuffle(numbers)
        found = [answer(partial(files.inode, number)) for number in numbers[:20_000]]

    assert len(found) == 20_000
    assert len(decodings) == len({*decodings}) > 128


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_asked_of_one_file_after_the_other_is_right(order: int, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(30):
        (tree / str(number)).write_bytes(b"x" * (number * BLOCK))
    files = Patched.of_tree(tmp_path, tree).opened()
    entries = files.entries(files.inode(files.root))
    names = {entry.name: entry.number for entry in entries if entry.name != b"lost+found"}

    for name, number in list(names.items())[::order]:
        inode = files.inode(number)
        assert int(files.extents(inode).length.sum()) == inode.size == int(name) * BLOCK
        assert files.xattrs(inode) == {}
