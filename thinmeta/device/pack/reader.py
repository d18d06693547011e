"""Pack files, as thin_metadata_pack writes them: which blocks they hold, damaged or not.

Its format stands in `schemas.pack_file`.
"""

import os
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import IO, NamedTuple

from thinmeta.device.pack.machine import Machine
from thinmeta.errors import InputError
from thinmeta.schemas.compressed_formats import PACK_MAGIC
from thinmeta.schemas.decode import built, parsed
from thinmeta.schemas.pack_file import (
    PACK_VERSION,
    ChunkLength,
    PackHeader,
    number_at,
    number_bytes,
)
from thinmeta.units import LARGEST_DEVICE_BLOCKS, MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

_HEADER_BYTES = PackHeader.sizeof()
_LENGTH_BYTES = ChunkLength.sizeof()
_PIECE = 1 << 16  # bytes read at once
_MOST_UNPACKED = 1 << 20  # bytes that one piece may become at once
_MOST_CODE = 1 << 16  # of one block; sound ones have a quarter of it at most
_BLOCKS_AT_ONCE = 128  # few enough for a cache of the processor


class PackStretch(NamedTuple):
    """Blocks that are neighbours: where the first belongs, and the bytes of all."""

    first: int
    content: memoryview


class PackFile:
    """A pack file.

    Attributes:
        nr_blocks: what the device had, as far as metadata can reach.
        wrong: what `stretches` found to be wrong with it so far.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the header of `file`, from its beginning.

        Raises:
            InputError: it is none of a version that is known.
        """
        file.seek(0)
        beginning = file.read(_HEADER_BYTES)
        if len(beginning) < _HEADER_BYTES:
            raise InputError(
                f"is packed metadata that ends in its header, at byte {len(beginning)}"
            )
        fields = parsed(PackHeader, beginning)
        version, block_bytes = fields.version, fields.block_size
        if (version, block_bytes) != (PACK_VERSION, METADATA_BLOCK_BYTES):
            raise InputError(
                f"is packed metadata of version {version} with blocks of {block_bytes} bytes; "
                f"only version {PACK_VERSION} with blocks of {METADATA_BLOCK_BYTES} bytes is known"
            )
        self.nr_blocks = min(fields.nr_blocks, MAX_METADATA_BLOCKS + 1)
        self.wrong: str | None = None
        if fields.nr_blocks > LARGEST_DEVICE_BLOCKS:
            self.wrong = (
                f"its header says that the device had {fields.nr_blocks} blocks of 4 KiB, "
                f"more than the {LARGEST_DEVICE_BLOCKS} that metadata can be given"
            )
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._room = self.nr_blocks
        self._machine = Machine()

    def stretches(self) -> Iterator[PackStretch]:
        """Return all blocks that can be had; after a fault it goes on at the next chunk."""
        first_fault, faults = "", 0
        number, begin = 0, _HEADER_BYTES
        while begin < self._size and self._room >= 0:
            self._file.seek(begin)
            length = number_at(self._file.read(_LENGTH_BYTES), 0, _LENGTH_BYTES)
            end = begin + _LENGTH_BYTES + length
            try:
                yield from self._chunk(length)
            except (_BrokenError, zlib.error) as error:
                why = "the file ends within it" if end > self._size else error
                first_fault = first_fault or f"chunk {number} at byte {begin}: {why}"
                faults += 1
                more = f" (and {faults - 1} more chunks are broken)" if faults > 1 else ""
                self.wrong = first_fault + more
            number, begin = number + 1, end
        if not number and self.nr_blocks:
            self.wrong = "the file ends before its first chunk"

    def _chunk(self, length: int) -> Iterator[PackStretch]:
        code = b""
        for part in self._unpacked(length):
            code += part
            at = 0
            while True:
                blocks = self._machine.run(code, at, _BLOCKS_AT_ONCE)
                yield from self._believed(blocks.numbers, blocks.content)
                at = blocks.end
                if blocks.wrong:
                    raise _BrokenError(blocks.wrong)
                if not blocks.numbers:
                    break
            code = code[at:]
            if len(code) > _MOST_CODE:
                raise _BrokenError("a block of endless instructions")
        if code:
            raise _BrokenError("it ends within a block")

    def _unpacked(self, length: int) -> Iterator[bytes]:
        """Return what the zlib stream of the next `length` bytes unpacks to, as far as it does."""
        stream = zlib.decompressobj()
        while not stream.eof:
            packed = self._file.read(min(length, _PIECE))
            length -= len(packed)
            if not packed:
                yield stream.flush()
                raise _BrokenError("its zlib stream is incomplete")
            while packed:
                yield stream.decompress(packed, _MOST_UNPACKED)
                packed = stream.unconsumed_tail
        if length or stream.unused_data:
            raise _BrokenError("more follows its zlib stream")

    def _believed(self, numbers: list[int], content: memoryview) -> Iterator[PackStretch]:
        """Return the blocks, which must be of the device, and not more than it has."""
        self._room -= len(numbers)
        if self._room < 0:
            raise _BrokenError("more blocks than the device has")
        if (
            numbers
            and numbers[-1] < self.nr_blocks
            and numbers == [*range(numbers[0], numbers[-1] + 1)]
        ):
            yield PackStretch(numbers[0], content)
            return
        sound = next((at for at, each in enumerate(numbers) if each >= self.nr_blocks), None)
        first = 0
        for at, (one, other) in enumerate(pairwise([*numbers[:sound], -1]), 1):
            if other != one + 1:
                part = content[first * METADATA_BLOCK_BYTES : at * METADATA_BLOCK_BYTES]
                yield PackStretch(numbers[first], part)
                first = at
        if sound is not None:
            raise _BrokenError(f"block {numbers[sound]} of a device of {self.nr_blocks} blocks")


class _BrokenError(Exception):
    """A chunk that cannot be had whole."""


def header(nr_blocks: int) -> bytes:
    """Return how the pack file of a device of `nr_blocks` blocks begins."""
    return built(
        PackHeader,
        magic=PACK_MAGIC,
        version=PACK_VERSION,
        block_size=METADATA_BLOCK_BYTES,
        nr_blocks=nr_blocks,
    )


def chunk(code: bytes) -> bytes:
    """Return a chunk with blocks as `Machine.run` takes them."""
    packed = zlib.compress(code)
    return number_bytes(len(packed), _LENGTH_BYTES) + packed
