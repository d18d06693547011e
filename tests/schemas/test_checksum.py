"""The checksum is dm's: CRC-32C without its final inversion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes
from tests.properties import examples
from thinmeta.schemas import btree_node, space_map, superblock
from thinmeta.schemas.checksum import CSUM, SALTS, checksums, known_salts, put_checksums, salts_of
from thinmeta.schemas.columns import dtype_of, field_of

POLYNOMIAL = 0x82F63B78


def raw_crc32c(data: bytes) -> int:
    """Compute it bit by bit, as the definition has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc


def test_the_definition_gives_the_published_check_value() -> None:
    assert raw_crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


@examples(5)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 2))
def test_checksums_are_those_of_the_definition(seed: int, count: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (count, 4096), dtype=np.uint8)

    assert checksums(rows).tolist() == [raw_crc32c(row[4:].tobytes()) for row in rows]


def test_the_checksum_itself_does_not_count() -> None:
    rows = np.zeros((2, 4096), dtype=np.uint8)
    rows[1, :4] = 255

    assert checksums(rows)[0] == checksums(rows)[1]


def test_no_blocks_have_no_checksums() -> None:
    assert checksums(np.empty((0, 4096), dtype=np.uint8)).tolist() == []


def test_a_kernels_superblock_has_it_salted() -> None:
    block = np.frombuffer(image_bytes("a01-empty-pool")[:4096], dtype=np.uint8)

    assert int(checksums(block[np.newaxis])[0]) ^ 160774 == int(block[:4].view("<u4")[0])


def test_every_structure_of_a_block_begins_with_its_checksum() -> None:
    structures = (
        superblock.Superblock,
        btree_node.NodeHeader,
        space_map.MetadataIndex,
        space_map.BitmapHeader,
    )
    fields = [field_of(structure, "csum") for structure in structures]

    assert [(begin, dtype_of(field)) for begin, field in fields] == [(0, CSUM)] * len(SALTS)


def test_each_salt_of_a_schema_is_known() -> None:
    salts = {
        value
        for module in (superblock, btree_node, space_map)
        for name, value in vars(module).items()
        if name.endswith("_CSUM_XOR")
    }

    assert {*SALTS} == salts


def test_a_block_is_known_by_the_salt_that_was_put_into_it() -> None:
    rows = np.zeros((4, 4096), dtype=np.uint8)
    rows[:, 100] = 1
    for row, salt in zip(rows, (*SALTS[:2], 77), strict=False):
        put_checksums(row[np.newaxis], salt)
    rows[3] = 0

    assert salts_of(rows[:3]).tolist() == [*SALTS[:2], 77]
    assert known_salts(rows).tolist() == [*SALTS[:2], 0, 0]
