"""Extents that are in the inode are read fast, and as all others are."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.files.ext.extent_nodes import Stretches, extents_of, extents_of_tree
from thinmeta.files.ext.inode_records import InodeRecord
from thinmeta.files.file_system import FileError, Inode
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import EXT4_EXT_MAGIC, Ext4Extent, Ext4ExtentHeader

HEADER, EXTENT = dtype_of(Ext4ExtentHeader), dtype_of(Ext4Extent)
BLOCKS = 1000


class Blocks:
    """As many blocks as a file system has, of which none can be read."""

    geometry = SimpleNamespace(
        superblock=SimpleNamespace(s_first_data_block=1), has_checksums=False
    )
    end = BLOCKS

    def read(self, block: int) -> bytes:
        raise FileError(f"block {block} is lost")


numbers = st.integers(0, 20) | st.sampled_from([BLOCKS - 1, BLOCKS, 2**32 - 3, 2**32 - 1])
lengths = st.integers(0, 6) | st.integers(32766, 32775) | st.just(65535)
extents = st.tuples(numbers, lengths, st.sampled_from([0, 0, 0, 1]), st.integers(0, BLOCKS + 1))
in_order = st.lists(extents, min_size=4, max_size=4).map(sorted)
headers = st.tuples(
    st.sampled_from([EXT4_EXT_MAGIC] * 9 + [0]),
    st.integers(0, 5),
    st.sampled_from([4, 4, 4, 3, 5]),
    st.sampled_from([0] * 9 + [1]),
)


def answered(question: Callable[..., Stretches], record: InodeRecord) -> object:
    try:
        return [column.tolist() for column in question(record, Blocks())]
    except FileError as error:
        return str(error)


@examples(2000)
@given(header=headers, rows=in_order | st.lists(extents, min_size=4, max_size=4))
def test_the_fast_way_is_the_ordinary_one(
    header: tuple[int, ...], rows: list[tuple[int, ...]]
) -> None:
    root = np.array([header], dtype=HEADER).tobytes() + np.array(rows, dtype=EXTENT).tobytes()
    inode = Inode(12, 0o100644, 0, 0, 1, 1 << 40, 0, 0, 0)
    record = InodeRecord(inode, 0, 0x80000, root, 0, 0, b"", 0, header, rows)

    assert answered(extents_of, record) == answered(extents_of_tree, record)
