"""Text that is read 8 bytes at a time, at many places at once.

Constant text is compared word by word, and a decimal number is made from the 8, 16 or
24 bytes that end with it. Nothing here raises or stops: what is wrong at a place shows
as a word that is not 0.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

WORD = 8

WIDEST = 19
"""Digits of which any number fits into 64 bits."""

Words = npt.NDArray[np.uint64]

Load = Callable[[int], Words]
"""Returns, for each of many places, the word that many bytes after it."""


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_ZEROS = _word(b"0" * WORD)
_SIXES = _word(b"\x06" * WORD)
_HIGH_NIBBLES = _word(b"\xf0" * WORD)

# Digits are joined to pairs, pairs to fours, fours to the number: factor, shift, mask.
_JOINS = (
    (np.uint64(10), np.uint64(8), _word(b"\xff\x00" * 4)),
    (np.uint64(100), np.uint64(16), _word(b"\xff\xff\x00\x00" * 2)),
    (np.uint64(10**4), np.uint64(32), _word(b"\xff" * 4)),
)


def difference(load: Load, text: bytes) -> Words:
    """Return 0 for each place where `text` stands."""
    if len(text) < WORD:
        return (load(0) ^ _word(text)) << np.uint64(8 * (WORD - len(text)))
    last = len(text) - WORD
    wrong = load(last) ^ _word(text[last:])
    for offset in range(0, last, WORD):
        wrong |= load(offset) ^ _word(text[offset : offset + WORD])
    return wrong


def numbers(load: Load, widths: npt.NDArray[np.int64]) -> tuple[Words, Words]:
    """Return the decimal numbers that end just before each place.

    Args:
        load: the words at the places and before them.
        widths: how many digits each has, 1 to `WIDEST`; shape `(n,)`, or `(1,)` for all.

    Returns:
        The numbers, and 0 for each that is all digits.
    """
    total = wrong = None
    for skipped in range(0, int(widths.max()), WORD):
        unused_bits = (8 * (WORD - np.minimum(widths - skipped, WORD))).astype(np.uint64)
        digits = load(-skipped - WORD) ^ _ZEROS
        digits >>= unused_bits  # a shift by 64 bits and more gives 0 in numpy
        digits <<= unused_bits
        not_digits = digits + _SIXES
        not_digits |= digits
        not_digits &= _HIGH_NIBBLES
        for factor, shift, mask in _JOINS:
            higher = digits >> shift
            digits *= factor
            digits += higher
            digits &= mask
        if total is None or wrong is None:
            total, wrong = digits, not_digits
        else:
            total += digits * np.uint64(10**skipped)
            wrong |= not_digits
    if total is None or wrong is None:
        raise ValueError("a number has at least one digit")
    return total, wrong
