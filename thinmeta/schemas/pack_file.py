"""Pack files, as thin_metadata_pack writes them.

After the header come chunks until the file ends: the length of a zlib stream, and the stream.
It has blocks, in no certain order: the number of each, and instructions for a machine with one
register of 64 bits, 0 where a block begins, which writes 4096 bytes from left to right. A
block that no chunk has is zeros.

An instruction is a tag and what follows it: `n` is the nibble of the tag, `operand` a number
of `n` bytes (1, 2, 4 or 8), and `count` the bits of `n` above those of one byte that follows.
Numbers are little endian and wrap at 2**64.

| op | name | what it does |
| --- | --- | --- |
| 0 | `SET` | register = operand; writes it |
| 1 | `ADD` | register += n; writes it |
| 2 | `ADD_WIDE` | register += operand; writes it |
| 3 | `SUBTRACT` | register -= n; writes it |
| 4 | `SUBTRACT_WIDE` | register -= operand; writes it |
| 5 | `REPEAT` | writes the register n times |
| 6 | `REPEAT_WIDE` | writes the register count times |
| 7 | `TIMES` | does the next instruction, one of the first five, n times |
| 8 | `TIMES_WIDE` | does it count times |
| 9 | `LITERAL` | copies the next n bytes |
| 10 | `LITERAL_WIDE` | copies as many bytes as operand says |
| 11 | `SHIFTED` | of 2 * count numbers writes the first half, each << 24 above its partner |
"""

from enum import IntEnum

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Struct,
)

from thinmeta.schemas.columns import bit_fields, dtype_of

PACK_VERSION = 3

SHIFT = 24
"""What `SHIFTED` shifts by; so a mapping falls into data block and time."""

PackHeader = "pack_header" / Struct(
    "magic" / Bytes(8) * "77 ef 09 63 aa a0 37 a5",
    "version" / Int64ul * "3",
    "block_size" / Int64ul * "4096",
    "nr_blocks" / Int64ul * "blocks that the device had",
)

ChunkLength = "chunk_length" / Int64ul * "bytes of the zlib stream that follows"

Number = "number" / Int64ul * "which block it is, before its instructions; what they write"

Tag = "tag" / BitStruct(
    "op" / BitsInteger(4) * "what to do",
    "n" / BitsInteger(4) * "the nibble",
)


class Op(IntEnum):
    """What an instruction does."""

    SET = 0
    ADD = 1
    ADD_WIDE = 2
    SUBTRACT = 3
    SUBTRACT_WIDE = 4
    REPEAT = 5
    REPEAT_WIDE = 6
    TIMES = 7
    TIMES_WIDE = 8
    LITERAL = 9
    LITERAL_WIDE = 10
    SHIFTED = 11


_OPERANDS = (Int8ul, Int16ul, Int32ul, Int64ul)

OP_SHIFT, _ = bit_fields(Tag)["op"]
_, NIBBLE_MASK = bit_fields(Tag)["n"]

NUMBER = dtype_of(Number)
OPERANDS = {schema.length: dtype_of(schema) for schema in _OPERANDS}


def tag(op: Op, nibble: int) -> int:
    """Return the tag of an instruction.

    >>> tag(Op.LITERAL, 5) == Tag.build({"op": 9, "n": 5})[0]
    True
    """
    return op << OP_SHIFT | nibble


def number_at(code: bytes, at: int, width: int) -> int:
    """Return an operand, or what there is of it where the code ends too early.

    That is what construct parses, at the hundredth of its cost.

    >>> number_at(bytes.fromhex("00ff01"), 1, 2) == Int16ul.parse(bytes.fromhex("ff01"))
    True
    """
    return int.from_bytes(code[at : at + width], "little")


def number_bytes(number: int, width: int) -> bytes:
    """Return an operand as it stands in the code.

    >>> number_bytes(511, 2) == Int16ul.build(511)
    True
    """
    return number.to_bytes(width, "little")
