"""What is read and written at once, as construct reads and writes it one by one."""

import pytest
from construct import BytesInteger
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.errors import InputError
from thinmeta.schemas.decode import built, parsed
from thinmeta.schemas.pack_file import (
    OPERANDS,
    Op,
    PackHeader,
    Tag,
    number_at,
    number_bytes,
    tag,
)


@examples(20)
@given(width=st.sampled_from(sorted(OPERANDS)), number=st.integers(0, 255))
def test_an_operand_is_a_little_endian_number(width: int, number: int) -> None:
    raw = BytesInteger(width, swapped=True).build(number << 8 * (width - 1))

    assert number_at(b"xx" + raw + b"y", 2, width) == number << 8 * (width - 1)
    assert number_bytes(number << 8 * (width - 1), width) == raw


@pytest.mark.parametrize("op", Op)
def test_a_tag_is_an_operation_above_a_nibble(op: Op) -> None:
    fields = parsed(Tag, bytes([tag(op, 9)]))

    assert (fields.op, fields.n) == (op, 9)


def test_the_beginning_of_a_pack_file_is_eight_bytes_and_three_numbers() -> None:
    raw = built(PackHeader, magic=b"12345678", version=3, block_size=4096, nr_blocks=2**40 + 1)

    assert raw.hex(" ", 8) == "3132333435363738 0300000000000000 0010000000000000 0100000000010000"


def test_what_is_too_short_is_an_error_of_ours() -> None:
    with pytest.raises(InputError, match=r"^ends within its pack_header, after 31 bytes$"):
        parsed(PackHeader, bytes(31))
