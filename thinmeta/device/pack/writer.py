"""Metadata into a pack file, and what can be told of metadata without any superblock."""

from collections.abc import Callable, Iterator

import numpy as np

from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks, Fault
from thinmeta.device.pack.blocks import packed_blocks
from thinmeta.device.pack.reader import chunk, header
from thinmeta.device.signatures import md_member, refuse_foreign
from thinmeta.device.threads import in_threads
from thinmeta.errors import Damage, InputError, OnDamage
from thinmeta.schemas.checksum import known_salts
from thinmeta.units import MAX_METADATA_BLOCKS, MetadataBlock

_BLOCKS_AT_ONCE = 1024
_NR_THREADS = 2

Advance = Callable[[int, int], None]
"""Told how many blocks of how many were read just now."""


def _forget(done: int, total: int) -> None:
    """Tell nobody."""


def nr_blocks_of(device: BlockDevice) -> int:
    """Return how many blocks a copy of `device` has: not more than metadata can reach."""
    return min(device.nr_blocks, MAX_METADATA_BLOCKS + 1)


def all_blocks(
    device: BlockDevice, advance: Advance = _forget
) -> Iterator[tuple[Blocks, BlockBatch]]:
    """Return every block of a copy in order, some at a time: their numbers, and what was read."""
    nr_blocks = nr_blocks_of(device)
    for begin in range(0, nr_blocks, _BLOCKS_AT_ONCE):
        end = min(begin + _BLOCKS_AT_ONCE, nr_blocks)
        blocks = np.arange(begin, end, dtype=np.uint64)
        yield blocks, device.read(blocks)
        advance(end - begin, nr_blocks)


def pack(device: BlockDevice, on_damage: OnDamage, advance: Advance) -> Iterator[bytes]:
    """Return a pack file, in parts: all blocks whose checksum is right.

    Args:
        device: any metadata, sound or damaged; no superblock is needed.
        on_damage: told of each block that cannot be read.
        advance: told of progress.
    """
    yield header(nr_blocks_of(device))
    read = all_blocks(device, advance)
    for blocks, batch, packed in in_threads(_chunk, read, _NR_THREADS):
        for place in np.flatnonzero(batch.faults).tolist():
            on_damage(unreadable(blocks, batch, place))
        yield packed


def _chunk(read: tuple[Blocks, BlockBatch]) -> tuple[Blocks, BlockBatch, bytes]:
    blocks, batch = read
    stored = np.flatnonzero(known_salts(batch.rows))
    if not len(stored):
        return blocks, batch, b""
    rows = batch.rows if len(stored) == len(blocks) else batch.rows[stored]
    return blocks, batch, chunk(packed_blocks(blocks[stored], rows))


def unreadable(blocks: Blocks, batch: BlockBatch, place: int) -> Damage:
    """Return the damage that a block in a batch, which has a fault, is."""
    past_end = batch.faults[place] == Fault.PAST_END
    what = "is past the end of the file, which shrank" if past_end else "cannot be read"
    return Damage(what, MetadataBlock(int(blocks[place])))


def refuse_without_metadata(device: BlockDevice) -> None:
    """Raise unless a block of `device` has a right checksum.

    Raises:
        InputError: none has; the message says what the device may be instead.
    """
    is_zeros = device.nr_blocks > 0
    for _, batch in all_blocks(device):
        if known_salts(batch.rows).any():
            return
        is_zeros = is_zeros and not batch.faults.any() and not batch.rows.any()
    if is_zeros:
        raise InputError("is all zeros")
    first, second = device.read(np.arange(2, dtype=np.uint64)).rows
    if what := md_member(second.tobytes()):
        raise InputError(what)
    refuse_foreign(first.tobytes())
    raise InputError("has no block whose checksum is right")
