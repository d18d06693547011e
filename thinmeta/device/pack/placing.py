"""The blocks of a pack file, written where they belong: those that are of use."""

import os
from collections.abc import Callable
from typing import IO

from thinmeta.device.pack.reader import PackFile
from thinmeta.units import METADATA_BLOCK_BYTES

_MOST_UNSURE = 256 << 20
"""Bytes that are written before it is known how many blocks are of use."""


def place_blocks(
    packed: IO[bytes], target: IO[bytes], nr_of_use: Callable[[bytes], int]
) -> tuple[int, str | None]:
    """Write blocks into a file that is as large as the device was, or as is of use.

    Blocks come in any order, so the first may come late. Until it does, no more than
    `_MOST_UNSURE` bytes are written; then it is looked for.

    Args:
        packed: the pack file.
        target: an empty file.
        nr_of_use: given the first block, returns how many of the device are of use.

    Returns:
        How many bytes were written, and what was wrong with the pack file.

    Raises:
        InputError: it is none of a version that is known; or by `nr_of_use`.
    """
    pack = PackFile(packed)
    size, limit = 0, -1
    target.truncate(pack.nr_blocks * METADATA_BLOCK_BYTES)
    for number, content in pack.stretches():
        if limit < 0 and (number == 0 or size >= _MOST_UNSURE):
            first = content if number == 0 else _first_block(packed)
            limit = METADATA_BLOCK_BYTES * nr_of_use(bytes(first[:METADATA_BLOCK_BYTES]))
        begin = number * METADATA_BLOCK_BYTES
        end = len(content) if limit < 0 else min(len(content), limit - begin)
        done = 0
        while done < end:
            done += os.pwrite(target.fileno(), content[done:end], begin + done)
        size += done
    if limit < 0 and (size or not pack.wrong):  # the first block is zeros, if there is one
        zeros = bytes(METADATA_BLOCK_BYTES if pack.nr_blocks else 0)
        limit = METADATA_BLOCK_BYTES * nr_of_use(zeros)
    if limit >= 0:
        target.truncate(min(limit, pack.nr_blocks * METADATA_BLOCK_BYTES))
    return size, pack.wrong


def _first_block(packed: IO[bytes]) -> bytes | memoryview:
    """Return the first block, wherever it is in the pack file; zeros if it is not there."""
    at = packed.tell()
    found = (content for number, content in PackFile(packed).stretches() if number == 0)
    first = next(found, bytes(METADATA_BLOCK_BYTES))
    packed.seek(at)
    return first
