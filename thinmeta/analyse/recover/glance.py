"""A short look at what follows a first block that is no superblock: is there metadata?

A scan reads everything and says what is left. This only tells whether that is worth it,
and is so short that every command can do it before it fails.
"""

import time
from collections import Counter
from typing import NamedTuple

from thinmeta.device.blocks import BlockBatch, BlockDevice, Blocks
from thinmeta.device.signatures import md_member
from thinmeta.device.sweep import sweep
from thinmeta.schemas.checksum import known_salts
from thinmeta.schemas.node_layout import copied_headers
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES, MetadataBlock

MOST_BYTES = 256 << 20
MOST_SECONDS = 2.0

_ENOUGH = 3
"""Blocks that must agree on where the metadata begins, if not where it should."""


class Glance(NamedTuple):
    """What was seen.

    Attributes:
        sound_block: the first block that is sound metadata, where it was written for.
        begins_at: the byte where metadata begins, if it does not at the first one.
        written_over: what the first blocks show that the device is a part of.
        nr_bytes: how much was looked at.
        is_all: whether that is everything that could be metadata.
        is_zeros: whether it is nothing but zeros.
    """

    sound_block: MetadataBlock | None
    begins_at: int | None
    written_over: str | None
    nr_bytes: int
    is_all: bool
    is_zeros: bool


def glance(
    device: BlockDevice, *, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS
) -> Glance:
    """Look for blocks whose checksum is right, and that stand where they were written for.

    Args:
        device: where to look, as far as metadata can reach.
        most_bytes: how much to read.
        most_seconds: how long to take.
    """
    end = time.monotonic() + most_seconds
    nr_blocks = min(device.nr_blocks, MAX_METADATA_BLOCKS)
    nr_wanted = min(nr_blocks, most_bytes // METADATA_BLOCK_BYTES)
    places: Counter[int] = Counter()
    sound_block = written_over = None
    is_zeros, done = True, 0
    for blocks, batch in sweep(device, nr_wanted):
        if not done and len(blocks) > 1:
            written_over = md_member(batch.rows[1].tobytes())
        is_zeros = is_zeros and not batch.faults.any() and not batch.rows.any()
        done += len(blocks)
        sound, begins = _sound(blocks, batch)
        if len(in_place := sound[begins == 0]):
            sound_block = MetadataBlock(int(in_place[0]))
        places.update(begins.tolist())
        if sound_block is not None or time.monotonic() >= end:
            break
    begins_at = next((at for at, times in places.most_common(1) if times >= _ENOUGH), 0)
    return Glance(
        sound_block=sound_block,
        begins_at=begins_at * METADATA_BLOCK_BYTES or None,
        written_over=written_over,
        nr_bytes=done * METADATA_BLOCK_BYTES,
        is_all=done == device.nr_blocks,
        is_zeros=is_zeros,
    )


def _sound(blocks: Blocks, batch: BlockBatch) -> tuple[Blocks, Blocks]:
    """Return the blocks that are sound, and the block where the metadata of each begins."""
    sound = known_salts(batch.rows) != 0
    # All kinds of blocks say at the same place which block they were written for.
    written_for = copied_headers(batch.rows)["blocknr"]
    sound &= written_for <= blocks
    return blocks[sound], blocks[sound] - written_for[sound]
