"""The checksum is dm's: CRC-32C without its final inversion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import image_bytes
from tests.properties import examples
from thinmeta.schemas.checksum import checksums

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
