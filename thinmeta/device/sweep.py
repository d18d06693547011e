"""Every block of a device in order, some at a time; and whether any of them is metadata."""

from collections.abc import Iterator

import numpy as np

from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks, Fault
from thinmeta.device.signatures import md_member, refuse_foreign
from thinmeta.device.threads import in_threads
from thinmeta.errors import Damage, InputError
from thinmeta.schemas.checksum import known_salts
from thinmeta.units import MAX_METADATA_BLOCKS, MetadataBlock, OnProgress

_BLOCKS_AT_ONCE = 1024


def _forget(done: int, total: int) -> None:
    """Tell nobody."""


def nr_blocks_of(device: BlockDevice) -> int:
    """Return how many blocks a copy of `device` has: not more than metadata can reach."""
    return min(device.nr_blocks, MAX_METADATA_BLOCKS + 1)


def sweep(
    device: BlockDevice,
    nr_blocks: int,
    advance: OnProgress = _forget,
    *,
    ahead: bool = False,
    only_stored: bool = False,
) -> Iterator[tuple[Blocks, BlockBatch]]:
    """Return the first blocks of a device: their numbers, and what was read.

    Args:
        device: where to read.
        nr_blocks: how many.
        advance: told of what the caller is done with.
        ahead: read the next blocks while the caller looks at these.
        only_stored: pass over holes of a file, where all blocks are zeros.
    """

    def read(begin: int) -> tuple[Blocks, BlockBatch]:
        blocks = np.arange(begin, min(begin + _BLOCKS_AT_ONCE, nr_blocks), dtype=np.uint64)
        return blocks, device.read(blocks)

    def is_read(begin: int) -> bool:
        end = min(begin + _BLOCKS_AT_ONCE, nr_blocks)
        return not only_stored or device.are_stored(begin, end)

    begins = filter(is_read, range(0, nr_blocks, _BLOCKS_AT_ONCE))
    done = 0
    for blocks, batch in in_threads(read, begins, 1) if ahead else map(read, begins):
        yield blocks, batch
        end = int(blocks[-1]) + 1
        advance(end - done, nr_blocks)
        done = end
    if done < nr_blocks:
        advance(nr_blocks - done, nr_blocks)


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
    for _, batch in sweep(device, nr_blocks_of(device), only_stored=True):
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
