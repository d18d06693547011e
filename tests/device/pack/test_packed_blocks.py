"""Blocks become instructions from which the same blocks are made again, whatever they hold."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes
from tests.damage import BlockKind, kind_of
from tests.made_images import BLOCK, mappings, node
from tests.properties import examples
from thinmeta.device.pack.machine import Machine
from thinmeta.device.pack.packed_blocks import packed_blocks
from thinmeta.schemas.btree_node import LEAF_NODE, BlockTime
from thinmeta.schemas.checksum import known_salts
from thinmeta.schemas.columns import NODE_HEADER

Rows = npt.NDArray[np.uint8]


def rows_of(case: str, image: str = "meta") -> Rows:
    return np.frombuffer(image_bytes(case, image), dtype=np.uint8).reshape(-1, BLOCK)


def again(rows: Rows) -> bytes:
    """Return the blocks after they were packed and unpacked."""
    numbers = np.arange(len(rows), dtype=np.uint64) * np.uint64(3)
    code = packed_blocks(numbers, rows)
    content, at = b"", 0
    machine = Machine()
    while at < len(code):
        done = machine.run(code, at, 100)
        assert done.wrong is None
        assert done.numbers == numbers[len(content) // BLOCK :][: len(done.numbers)].tolist()
        content, at = content + bytes(done.content), done.end
    return content


@pytest.mark.parametrize("case", ["a02-empty-pool-min-metadata", "a08-snapshots-of-snapshots"])
def test_the_salt_tells_the_kind(case: str) -> None:
    rows = rows_of(case)

    assert known_salts(rows).tolist() == [int(kind_of(row) or 0) for row in rows]


def test_blocks_without_a_checksum_have_no_salt() -> None:
    rows = np.vstack(
        [np.zeros(BLOCK, np.uint8), np.full(BLOCK, 7, np.uint8), rows_of("a01-empty-pool")[0]]
    )
    assert known_salts(rows).tolist() == [0, 0, BlockKind.SUPERBLOCK]
    assert known_salts(rows[:0]).tolist() == []


def test_every_kind_of_block() -> None:
    rows = rows_of("a08-snapshots-of-snapshots")
    rows = rows[known_salts(rows) > 0]

    assert {kind_of(row) for row in rows} == set(BlockKind)
    assert again(rows) == rows.tobytes()


@examples(100)
@given(
    flags=st.sampled_from([0, 1, 2, 3, 2**32 - 1]),
    max_entries=st.sampled_from([0, 1, 2, 126, 252, 253, 338, 508, 509, 2**29, 2**32 - 1]),
    value_size=st.sampled_from([0, 1, 4, 8, 16, 24, 4048, 4056, 4057, 2**31, 2**32 - 1]),
    seed=st.integers(0, 2**32),
)
def test_headers_that_make_no_sense(
    flags: int, max_entries: int, value_size: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (3, BLOCK)).astype(np.uint8)
    header = rows[1, : NODE_HEADER.itemsize].view(NODE_HEADER)[0]
    header["flags"], header["max_entries"], header["value_size"] = flags, max_entries, value_size

    assert again(rows) == rows.tobytes()


@pytest.mark.parametrize("time", [0, 2**24 - 1])
def test_leaves_of_one_shape(time: int) -> None:
    """So many that they are run together, with steps that are the same and that are not."""
    leaves = [
        node(at, LEAF_NODE, mappings(252 * at, range(at, at + 252 * step, step), time), BlockTime)
        for step in (1, 1000)
        for at in range(2**17, 2**17 + 20)
    ]
    wider = [
        node(at, LEAF_NODE, mappings(at, range(at, at + 252 * (300 + at), 300 + at)), BlockTime)
        for at in range(20)
    ]
    rows = np.frombuffer(b"".join(leaves + wider), dtype=np.uint8).reshape(-1, BLOCK)

    assert again(rows) == rows.tobytes()
