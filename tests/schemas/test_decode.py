"""What is wrong with a superblock is found, and said."""

import numpy as np
import pytest

from tests.made_images import Image, stamped
from thinmeta.schemas.decode import checked_superblock, pack_counts, parse_superblock, unpack_counts
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR


def row(block: bytes) -> np.ndarray:
    return np.frombuffer(block, dtype=np.uint8)


def test_a_good_superblock_has_no_fault() -> None:
    assert checked_superblock(row(Image().superblock()), 0).fault is None


def test_a_held_copy_is_good_where_it_was_written() -> None:
    copy = row(Image().superblock(blocknr=7))

    assert checked_superblock(copy, 7).fault is None
    assert checked_superblock(copy, 0).fault == "the superblock was written for block 7"


@pytest.mark.parametrize("place", [0, 4, 100, 370, 4095])
def test_each_byte_of_the_block_counts_in_the_checksum(place: int) -> None:
    block = bytearray(Image().superblock())
    block[place] ^= 1

    assert checked_superblock(row(bytes(block)), 0).fault == "the superblock's checksum is wrong"


def test_another_kinds_checksum_is_wrong() -> None:
    block = stamped(Image().superblock(), SUPERBLOCK_CSUM_XOR + 1)

    assert checked_superblock(row(block), 0).fault == "the superblock's checksum is wrong"


def test_another_magic_is_named() -> None:
    block = row(Image().superblock(magic=42))

    assert checked_superblock(block, 0).fault == "the superblock's magic is 42, not 27022010"


def test_a_superblock_is_parsed_from_the_beginning_of_its_block() -> None:
    fields = parse_superblock(row(Image().superblock(trans_id=2**64 - 1, time=9, incompat_flags=4)))

    assert (fields.trans_id, fields.time, fields.incompat_flags) == (2**64 - 1, 9, 4)


def test_counts_are_packed_as_they_were() -> None:
    stored = np.random.default_rng(1).integers(0, 256, (3, 4080), dtype=np.uint8)

    counts = unpack_counts(stored)

    assert (pack_counts(counts) == stored).all()
    assert set(counts[0].tolist()) == {0, 1, 2, 3}
