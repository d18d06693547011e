"""Metadata into a pack file."""

from collections.abc import Iterator

import numpy as np

from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.device.pack.packed_blocks import packed_blocks
from thinmeta.device.pack.reader import chunk, header
from thinmeta.device.sweep import nr_blocks_of, sweep, unreadable
from thinmeta.device.threads import in_threads
from thinmeta.errors import OnDamage
from thinmeta.schemas.checksum import known_salts
from thinmeta.units import OnProgress

_NR_THREADS = 2


def pack(device: BlockDevice, on_damage: OnDamage, advance: OnProgress) -> Iterator[bytes]:
    """Return a pack file, in parts: all blocks whose checksum is right.

    Args:
        device: any metadata, sound or damaged; no superblock is needed.
        on_damage: told of each block that cannot be read.
        advance: told of progress.
    """
    nr_blocks = nr_blocks_of(device)
    yield header(nr_blocks)
    read = sweep(device, nr_blocks, advance)
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
