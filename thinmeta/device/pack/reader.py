"""Pack files, as thin_metadata_pack writes them: which blocks they hold, damaged or not.

A header says how many blocks the device had. Then come chunks until the file ends:
the length of a zlib stream in 8 bytes, and the stream, which has blocks as
`pack_machine` runs them, in no certain order. A block that no chunk has is zeros.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import IO, NamedTuple

from thinmeta.device.containers import PACK_MAGIC
from thinmeta.device.pack.machine import Machine
from thinmeta.errors import InputError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

PACK_VERSION = 3

_HEADER = struct.Struct("<8sQQQ")  # magic, version, block size, blocks of the device
_LENGTH_BYTES = 8
_PIECE = 1 << 16  # bytes read at once
_MOST_UNPACKED = 1 << 20  # bytes that one piece may become at once
_MOST_CODE = 1 << 16  # of one block; sound ones have a quarter of it at most
_BLOCKS_AT_ONCE = 128  # few enough for a cache of the processor


class Stretch(NamedTuple):
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
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise InputError(f"is packed metadata that ends in its header, at byte {len(header)}")
        _, version, block_bytes, nr_blocks = _HEADER.unpack(header)
        if (version, block_bytes) != (PACK_VERSION, METADATA_BLOCK_BYTES):
            raise InputError(
                f"is packed metadata of version {version} with blocks of {block_bytes} bytes; "
                f"only version {PACK_VERSION} with blocks of {METADATA_BLOCK_BYTES} bytes is known"
            )
        self.nr_blocks = min(nr_blocks, MAX_METADATA_BLOCKS + 1)
        self.wrong: str | None = None
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._room = self.nr_blocks
        self._machine = Machine()

    def stretches(self) -> Iterator[Stretch]:
        """Return all blocks that can be had; after a fault it goes on at the next chunk."""
        first_fault, faults = "", 0
        number, begin = 0, _HEADER.size
        while begin < self._size and self._room >= 0:
            self._file.seek(begin)
            length = int.from_bytes(self._file.read(_LENGTH_BYTES), "little")
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

    def _chunk(self, length: int) -> Iterator[Stretch]:
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

    def _believed(self, numbers: list[int], content: memoryview) -> Iterator[Stretch]:
        """Return the blocks, which must be of the device, and not more than it has."""
        self._room -= len(numbers)
        if self._room < 0:
            raise _BrokenError("more blocks than the device has")
        if (
            numbers
            and numbers[-1] < self.nr_blocks
            and numbers == [*range(numbers[0], numbers[-1] + 1)]
        ):
            yield Stretch(numbers[0], content)
            return
        sound = next((at for at, each in enumerate(numbers) if each >= self.nr_blocks), None)
        first = 0
        for at, (one, other) in enumerate(pairwise([*numbers[:sound], -1]), 1):
            if other != one + 1:
                part = content[first * METADATA_BLOCK_BYTES : at * METADATA_BLOCK_BYTES]
                yield Stretch(numbers[first], part)
                first = at
        if sound is not None:
            raise _BrokenError(f"block {numbers[sound]} of a device of {self.nr_blocks} blocks")


class _BrokenError(Exception):
    """A chunk that cannot be had whole."""


def header(nr_blocks: int) -> bytes:
    """Return how the pack file of a device of `nr_blocks` blocks begins."""
    return _HEADER.pack(PACK_MAGIC, PACK_VERSION, METADATA_BLOCK_BYTES, nr_blocks)


def chunk(code: bytes) -> bytes:
    """Return a chunk with blocks as `pack_machine.run` takes them."""
    packed = zlib.compress(code)
    return len(packed).to_bytes(_LENGTH_BYTES, "little") + packed
