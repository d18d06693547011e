"""Metadata from XML, or from any other stream of parts, into a file or onto a device."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from thinmeta.builder.metadata_target import MetadataTarget, open_target
from thinmeta.builder.new_pool import (
    LEAST_IN_LEAF,
    LEAST_SHARED,
    Miscounted,
    build_trees,
    write_superblock,
)
from thinmeta.builder.space_maps import (
    nr_bitmaps,
    require_space_map,
    write_metadata_ref_counts,
    write_metadata_space_map,
)
from thinmeta.builder.store import Store
from thinmeta.builder.xml_input import Overrides, XmlInput
from thinmeta.device.inputs import Inputs
from thinmeta.errors import NoRoomError
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES, OnProgress
from thinmeta.walk.stream import StreamHeader, StreamPart

_SMALLEST_BLOCKS = 512
"""A new file has at least 2 MiB, the least that LVM gives a pool's metadata."""

_STDIN = 0
_MAPPINGS_PER_BLOCK = 126
"""Leaves that are half full: what thin_metadata_size reckons with."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was written.

    Attributes:
        nr_blocks: metadata blocks that there are.
        nr_allocated: metadata blocks in use.
        nr_devices: thin devices.
        nr_mappings: mappings of all devices together.
        nr_data_blocks: blocks of the data device.
        counted_data_blocks: that number is one more than the highest mapped block.
        miscounted: devices whose number of mappings was said wrongly.
        unusable_ids: device ids that the kernel activates no device with.
        lowered_from: the transaction id in the XML, where a lower one was written.
    """

    nr_blocks: int
    nr_allocated: int
    nr_devices: int
    nr_mappings: int
    nr_data_blocks: int
    counted_data_blocks: bool
    miscounted: tuple[Miscounted, ...]
    unusable_ids: tuple[int, ...] = ()
    lowered_from: int | None = None


def restore(  # noqa: PLR0913  # one parameter an option
    source: Path | None,
    output: Path,
    *,
    overrides: Overrides | None = None,
    force: bool = False,
    size_bytes: int | None = None,
    on_progress: OnProgress | None = None,
) -> Restored:
    """Write the metadata that the XML in `source` describes.

    Args:
        source: XML as thin_dump 0.9, thin_dump 1.x or `thinmeta dump` print it; None is
            standard input.
        output: a file, which appears whole or not at all, or a block device.
        overrides: values instead of those in the XML.
        force: write over existing metadata.
        size_bytes: of the metadata; None takes the size of what is at `output`, and for
            a new file enough for the whole data device.
        on_progress: told of bytes read, and of how many there are (0: nobody knows).

    Raises:
        InputError: `source` cannot be read, or is not such XML; it names the line.
        OutputError: `output` cannot be written, is too small, or has something that is
            not to be lost.
    """
    inputs = Inputs()
    inputs.add(_STDIN if source is None else source)
    with (
        XmlInput.opened(source, overrides or Overrides(), on_progress) as xml,
        open_target(output, inputs, force=force, size_bytes=size_bytes) as target,
    ):
        written = build(xml.header(), xml.parts(), target)
        return replace(written, lowered_from=xml.lowered_from)


def build_within(
    header: StreamHeader, parts: Callable[[], Iterable[StreamPart]], target: MetadataTarget
) -> Restored:
    """Write metadata into the file of `target`, sharing as much as it takes to fit.

    At first as `build` does, which makes the fuller leaves.

    Args:
        header: what the superblock will say.
        parts: returns the stream, once for each attempt.
        target: where to.

    Raises:
        OutputError: the target is too small, or the metadata larger than any can be.
    """
    try:
        return build(header, parts(), target)
    except NoRoomError:
        os.ftruncate(target.fd, 0)
        return build(header, parts(), target, LEAST_IN_LEAF)


def build(
    header: StreamHeader,
    parts: Iterable[StreamPart],
    target: MetadataTarget,
    least_shared: int = LEAST_SHARED,
) -> Restored:
    """Write metadata from a stream of parts into the file of `target`.

    Args:
        header: what the superblock will say.
        parts: devices, and what they share.
        target: where to; its file is empty.
        least_shared: see `build_trees`.

    Raises:
        NoRoomError: the target is too small, or the metadata larger than any can be.
    """
    store = Store(target.fd, target.nr_blocks, str(target.path))
    require_space_map(store, header.nr_data_blocks or 0)
    built = build_trees(header, parts, store, least_shared)
    ref_count_root = write_metadata_ref_counts(store)
    nr_blocks = _nr_blocks(target, store.nr_blocks + 1, built.data_space_map.nr_blocks)
    root = write_metadata_space_map(store, nr_blocks, ref_count_root)
    write_superblock(store, header, built, root)
    if not target.is_device:
        store.fill_up(target.nr_blocks or nr_blocks)
    return Restored(
        nr_blocks=nr_blocks,
        nr_allocated=root.nr_allocated,
        nr_devices=built.nr_devices,
        nr_mappings=built.nr_mappings,
        nr_data_blocks=built.data_space_map.nr_blocks,
        counted_data_blocks=header.nr_data_blocks is None,
        miscounted=built.miscounted,
        unusable_ids=built.unusable_ids,
    )


def _nr_blocks(target: MetadataTarget, nr_used: int, nr_data_blocks: int) -> int:
    """Return how many blocks the metadata counts, where `nr_used` and bitmaps are in use."""
    if target.nr_blocks is None:
        wanted = max(_SMALLEST_BLOCKS, nr_data_blocks // _MAPPINGS_PER_BLOCK, nr_used * 5 // 4)
        nr_blocks = wanted + nr_bitmaps(wanted)
    else:
        nr_blocks = target.nr_blocks
    nr_blocks = min(nr_blocks, MAX_METADATA_BLOCKS)
    needed = nr_used + 1
    while needed < nr_used + nr_bitmaps(needed):
        needed = nr_used + nr_bitmaps(needed)
    if nr_blocks < nr_used + nr_bitmaps(nr_blocks):
        raise NoRoomError(
            f"{target.path}: has room for {nr_blocks} metadata blocks, but {needed} are needed: "
            f"{needed * METADATA_BLOCK_BYTES} bytes"
        )
    return nr_blocks
