"""The instructions of pack files: run as a slow model runs them, and found again by the encoder."""

import random
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.made_images import BLOCK
from tests.properties import examples
from thinmeta.device.pack.encoder import encoded, literal, shifted
from thinmeta.device.pack.machine import Machine, MadeBlocks

NUMBER = 7
MASK = 2**64 - 1


class NoBlockError(Exception):
    """The instructions make no block."""


def slowly(code: bytes) -> tuple[bytes, int]:  # noqa: PLR0912, PLR0915  # a branch an instruction
    """Return the block that the instructions make and where they end, one step at a time.

    Raises:
        NoBlockError: they make none.
        IndexError: there are too few.
    """
    at = 0

    def operand(width: int) -> int:
        nonlocal at
        if len(code) < at + width:
            raise IndexError
        at += width
        return int.from_bytes(code[at - width : at], "little")

    out: list[int | bytes] = []  # numbers and literals
    halves: list[tuple[int, int]] = []  # from where on how many numbers are shifted
    size, register = 0, 0
    times: int | None = None
    while size < BLOCK or times is not None:
        op, nibble = code[at] >> 4, code[at] & 15
        at += 1
        if op > 11 or (op in (0, 2, 4, 10) and nibble not in (1, 2, 4, 8)):
            raise NoBlockError
        if op > 4 and times is not None:
            raise NoBlockError
        if op <= 4:
            value = nibble if op in (1, 3) else operand(nibble)
            for _ in range(1 if times is None else times):
                register = {0: value, 1: register + value, 2: register + value}.get(
                    op, register - value
                )
                register &= MASK
                out.append(register)
                size += 8
            times = None
        elif op in (5, 6):
            count = nibble if op == 5 else nibble << 8 | operand(1)
            out += [register] * count
            size += 8 * count
        elif op in (7, 8):
            times = nibble if op == 7 else nibble << 8 | operand(1)
        elif op in (9, 10):
            length = nibble if op == 9 else operand(nibble)
            if size + length > BLOCK:
                raise NoBlockError
            if len(code) < at + length:
                raise IndexError
            out.append(code[at : at + length])
            size += length
            at += length
        else:
            count = nibble << 8 | operand(1)
            halves.append((len(out), count))
            size -= 8 * count
    if size != BLOCK:
        raise NoBlockError
    for begin, count in halves:
        both = out[begin : begin + 2 * count]
        if len(both) < 2 * count or any(begin < other < begin + 2 * count for other, _ in halves):
            raise NoBlockError
        for place in range(count):
            high, low = both[place], both[count + place]
            if not isinstance(high, int) or not isinstance(low, int):
                raise NoBlockError
            out[begin + place] = b""
            out[begin + count + place] = high << 24 & MASK | low
    parts = (each if isinstance(each, bytes) else each.to_bytes(8, "little") for each in out)
    return b"".join(parts), at


def run(code: bytes, begin: int, most: int) -> MadeBlocks:
    """Run instructions in a machine of their own."""
    return Machine().run(code, begin, most)


def block_of(*code: bytes) -> bytes:
    """Return the block that these instructions make."""
    first = NUMBER.to_bytes(8, "little") + b"".join(code)
    done = run(first, 0, 1)
    assert (done.numbers, done.end, done.wrong) == ([NUMBER], len(first), None)
    assert len(done.content) == BLOCK
    return bytes(done.content)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


# What the instructions write; the rest of the block is a literal.
VECTORS = {
    "set": ("01 05  02 34 12  04 78 56 34 12  08 ff ff ff ff ff ff ff ff",
            [5, 0x1234, 0x12345678, MASK]),
    "add": ("01 05  13  21 ff  22 00 01", [5, 8, 8 + 255, 8 + 255 + 256]),
    "subtract": ("02 00 10  31  41 ff", [0x1000, 0xFFF, 0xF00]),
    "below zero": ("01 01  32", [1, MASK]),
    "the register is 0 at first": ("13", [3]),
    "repeat": ("01 09  52  60 03", [9] * 6),
    "times": ("01 09  73 12  80 02 31", [9, 11, 13, 15, 14, 13]),
    "no times": ("01 09  70 12  50  60 00", [9]),
    "shifted": ("b0 02  01 05 11  01 07 12", [5 << 24 | 7, 6 << 24 | 9]),
    "the register goes on in what is shifted": ("01 02  b0 01  11  11  11", [2, 3 << 24 | 4, 5]),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_each_instruction(name: str) -> None:
    code, expected = VECTORS[name]
    rest = bytes(range(1, 256)) * 17
    written = numbers(*expected)
    tail = rest[: BLOCK - len(written)]

    assert block_of(bytes.fromhex(code), literal(len(tail)), tail) == written + tail


@pytest.mark.parametrize("length", [0, 1, 15, 16, 255, 256, 4095])
def test_literals(length: int) -> None:
    data = bytes(range(256)) * 16

    parts = (literal(length), data[:length], literal(BLOCK - length), data[length:])

    assert block_of(*parts) == data


@pytest.mark.parametrize(
    "code",
    [
        "c0",
        "ff",
        "03 00 00 00",
        "00",
        "a3 00 00 00",
        "a2 01 10",  # 4097 bytes
        "a8 ff ff ff ff ff ff ff ff",
        "6f ff",
        "80 ff 11 81 00 01 11",
        "71 52  61 fe",  # times, and then not one of those that it may stand before
        "72 71 11  61 fe",
        "61 fe 72",
        "b0 01  11  91 00  11",  # a literal in what is shifted
        "b0 01  b0 01",
        "61 ff  b0 02 11 11 11",  # the block ends before what is shifted does
        "bf ff" * 20,
    ],
)
def test_what_makes_no_block_is_wrong(code: str) -> None:
    good = NUMBER.to_bytes(8, "little") + literal(BLOCK) + bytes(BLOCK)
    bad = bytes(8) + bytes.fromhex(code) + bytes(2 * BLOCK)

    done = run(good + bad, 0, 10)

    assert done.numbers == [NUMBER]
    assert done.wrong is not None
    assert done.content == bytes(BLOCK)


WIDTHS = st.sampled_from([1, 2, 4, 8])


@st.composite
def number_steps(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return an instruction that writes numbers, and how many."""
    nibble = draw(st.integers(0, 15))
    match draw(st.integers(0, 4)):
        case 0 | 1:
            width = draw(WIDTHS)
            tag = draw(st.sampled_from([0x00, 0x20, 0x40])) | width
            return bytes([tag]) + draw(st.binary(min_size=width, max_size=width)), 1
        case 2:
            return bytes([draw(st.sampled_from([0x10, 0x30])) | nibble]), 1
        case 3:
            return bytes([0x50 | nibble]), nibble
        case _:
            return bytes([0x60, nibble]), nibble


@st.composite
def steps(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return instructions, which mostly belong together, and how many bytes they write."""
    code, count = draw(number_steps())
    match draw(st.integers(0, 5)):
        case 0 | 1:
            return code, 8 * count
        case 2:
            times = draw(st.integers(0, 20))
            prefix = bytes([0x70 | times]) if times < 16 else bytes([0x80, times])
            return prefix + code, 8 * (times - 1 + count)
        case 3:
            data = draw(st.binary(max_size=20))
            return literal(len(data)) + data, len(data)
        case _:
            some = draw(st.lists(number_steps(), min_size=2, max_size=6))
            total = sum(count for _, count in some)
            half = total // 2 + draw(st.sampled_from([0, 0, 0, 0, 1]))
            return shifted(half) + b"".join(each for each, _ in some), 8 * (total - half)


@st.composite
def codes(draw: st.DrawFn) -> bytes:
    """Return instructions that mostly make a block."""
    some = draw(st.lists(steps(), max_size=8))
    rest = BLOCK - sum(size for _, size in some) + draw(st.sampled_from([0] * 19 + [1]))
    return b"".join(code for code, _ in some) + literal(rest) + bytes(rest)


@examples(300)
@given(codes())
def test_any_instructions_do_what_the_model_does(code: bytes) -> None:
    try:
        expected, end = slowly(code)
    except (IndexError, NoBlockError):
        event("no block")
        assert run(bytes(8) + code, 0, 1).numbers == []
        return
    event("a block")

    done = run(bytes(8) + code, 0, 1)

    assert (done.numbers, bytes(done.content), done.end) == ([0], expected, 8 + end)


@examples(60)
@given(st.lists(codes(), min_size=1, max_size=6))
def test_blocks_do_not_mix(several: list[bytes]) -> None:
    """Each of several blocks is what it is alone, up to the first that is none."""
    alone = []
    with suppress(IndexError, NoBlockError):
        for code in several:
            alone.append(slowly(code)[0])  # noqa: PERF401  # until one raises

    done = run(b"".join(bytes(8) + code for code in several), 0, 10)

    assert len(alone) <= len(done.numbers)
    assert done.content[: len(alone) * BLOCK] == b"".join(alone)
    if len(alone) == len(several):
        assert (len(done.numbers), done.wrong) == (len(several), None)


def with_other_operands(code: bytes, chance: random.Random) -> bytes:
    """Return the same instructions with other numbers to set and add, and other literals."""
    parts, at = [], 0
    while at < len(code):
        op, nibble = code[at] >> 4, code[at] & 15
        size = int.from_bytes(code[at + 1 : at + 1 + nibble], "little") if op == 10 else 0
        end = at + 1 + {0: nibble, 2: nibble, 4: nibble, 9: nibble, 10: nibble + size}.get(op, 0)
        kept = at + 1 + (nibble if op == 10 else op in (6, 8, 11))
        end = max(end, kept)
        parts += [code[at:kept], chance.randbytes(end - kept)]
        at = end
    return b"".join(parts)


@examples(60)
@given(
    kinds=st.lists(codes(), min_size=1, max_size=3),
    repeats=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
)
def test_blocks_of_one_shape(kinds: list[bytes], repeats: list[tuple[int, int]], seed: int) -> None:
    """Blocks with the same instructions in a row are each what they are alone."""
    chance = random.Random(seed)
    several = [
        with_other_operands(kinds[kind % len(kinds)], chance)
        for kind, count in repeats
        for _ in range(count)
    ]
    expected = []
    with suppress(IndexError, NoBlockError):
        for code in several:
            expected.append(slowly(code)[0])  # noqa: PERF401  # until one raises
    event("all are blocks" if len(expected) == len(several) else "one is none")
    joined = b"".join(
        place.to_bytes(8, "little") + code for place, code in enumerate(several, 2**40)
    )

    got: list[bytes] = []
    at, machine = 0, Machine()
    while (done := machine.run(joined, at, 100)).numbers:
        first = 2**40 + len(got)
        assert done.numbers == list(range(first, first + len(done.numbers)))
        got += [bytes(done.content[at : at + BLOCK]) for at in range(0, len(done.content), BLOCK)]
        at = done.end
        if done.wrong:
            break

    assert got[: len(expected)] == expected
    if len(expected) == len(several):
        assert (len(got), done.end, done.wrong) == (len(several), len(joined), None)


def test_as_many_blocks_as_asked_for() -> None:
    code = b"".join(number.to_bytes(8, "little") + b"\x62\x00" for number in range(5))

    first = run(code, 0, 3)
    rest = run(code, first.end, 3)

    assert (first.numbers, rest.numbers) == ([0, 1, 2], [3, 4])
    assert bytes(first.content) + bytes(rest.content) == bytes(5 * BLOCK)


@pytest.mark.parametrize("kept", range(4))
def test_a_block_that_is_not_all_there_is_left_for_later(kept: int) -> None:
    whole = bytes(8) + literal(BLOCK) + bytes(BLOCK)
    cut = whole[: [3, 9, 11, -1][kept]]

    assert run(whole + cut, 0, 9) == ([0], memoryview(bytes(BLOCK)), len(whole), None)


# The encoder

U64 = st.integers(0, MASK)
WALKS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, -1, 15, 16, -15, -16, 255, 256, 65535, 65536, 2**32, 2**63]),
        st.integers(1, 40),
    ),
    max_size=20,
)


def walked(first: int, walk: Sequence[tuple[int, int]], length: int) -> list[int]:
    """Return `length` numbers that go as `walk` says, and stay where it ends."""
    found = [first]
    for step, count in walk:
        for _ in range(count):
            found.append((found[-1] + step) & MASK)
    found += [found[-1]] * length
    return found[:length]


@examples(150)
@given(
    lists=st.lists(st.tuples(U64 | st.integers(0, 300), WALKS), min_size=1, max_size=6),
    length=st.sampled_from([1, 2, 3, 15, 16, 17, 255, 256, 257, 508]),
)
def test_encoded_lists_are_run_again(
    lists: list[tuple[int, list[tuple[int, int]]]], length: int
) -> None:
    matrix = np.array([walked(*each, length) for each in lists], dtype=np.uint64)

    code, bounds = encoded(matrix)

    assert bounds[0] == 0
    assert bounds[-1] == len(code)
    for row, begin, end in zip(matrix, bounds, bounds[1:], strict=False):
        rest = BLOCK - 8 * length
        one = block_of(bytes(code[begin:end]), literal(rest), bytes(rest))
        assert one == row.astype("<u8").tobytes() + bytes(rest)


@examples(50)
@given(st.lists(U64, min_size=508, max_size=508))
def test_encoded_numbers_without_any_order_are_run_again(values: list[int]) -> None:
    code, _ = encoded(np.array([values], dtype=np.uint64))

    assert block_of(bytes(code), literal(32), bytes(32)) == numbers(*values) + bytes(32)


def test_regular_numbers_take_few_bytes() -> None:
    matrix = np.arange(10**6, 10**6 + 2 * 252, dtype=np.uint64).reshape(2, 252)

    code, bounds = encoded(matrix)

    assert bounds.tolist() == [0, 8, 16]
    assert bytes(code[:8]) == bytes.fromhex("04 40420f00 80fb 11")


def test_shifted_numbers() -> None:
    values = np.arange(252, dtype=np.uint64) * np.uint64(2**24) * np.uint64(5) + np.uint64(3)
    code, bounds = encoded(np.stack([values >> np.uint64(24), values & np.uint64(2**24 - 1)]))
    rest = BLOCK - 8 * 252

    block = block_of(shifted(252), bytes(code), literal(rest), bytes(rest))

    assert block == values.astype("<u8").tobytes() + bytes(rest)
    assert len(bounds) == 3
