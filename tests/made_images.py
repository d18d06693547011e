"""Metadata made by hand, block by block, from the schemas."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastcrc
from construct import Construct

from thinmeta.device.blocks import BlockDevice
from thinmeta.schemas.btree_node import (
    BTREE_CSUM_XOR,
    INTERNAL_NODE,
    LEAF_NODE,
    BlockTime,
    Child,
    DeviceDetails,
    Key,
    NodeHeader,
)
from thinmeta.schemas.superblock import SUPERBLOCK_CSUM_XOR, THIN_SUPERBLOCK_MAGIC, Superblock
from thinmeta.walk.nodes import Metadata

BLOCK = 4096

Entries = Sequence[tuple[int, Any]]


def stamped(block: bytes, salt: int) -> bytes:
    """Return `block`, filled up with zeros, with the checksum that its kind must have."""
    body = block[4:].ljust(BLOCK - 4, b"\0")
    csum = fastcrc.crc32.iscsi(body) ^ 0xFFFFFFFF ^ salt
    return csum.to_bytes(4, "little") + body


def node(blocknr: int, flags: int, entries: Entries, value: Construct, **header: int) -> bytes:
    """Return a B-tree node with `entries`; `header` replaces fields of the header."""
    fields = {
        "csum": 0,
        "flags": flags,
        "blocknr": blocknr,
        "nr_entries": len(entries),
        "max_entries": (BLOCK - 32) // (8 + value.sizeof()) // 3 * 3,
        "value_size": value.sizeof(),
    } | header
    keys = b"".join(Key.build(key) for key, _ in entries)
    values = b"".join(value.build(each) for _, each in entries)
    block = NodeHeader.build(fields) + keys.ljust(8 * fields["max_entries"], b"\0") + values
    return stamped(block, BTREE_CSUM_XOR)


def mappings(begin: int, data_blocks: Sequence[int], time: int = 0) -> list[tuple[int, Any]]:
    """Return mappings of neighbouring origin blocks."""
    return [
        (origin_block, {"data_block": data_block, "time": time})
        for origin_block, data_block in enumerate(data_blocks, begin)
    ]


def details(mapped_blocks: int) -> dict[str, int]:
    """Return a device's details."""
    return {
        "mapped_blocks": mapped_blocks,
        "transaction_id": 0,
        "creation_time": 0,
        "snapshotted_time": 0,
    }


class Image:
    """Blocks that are added one after the other; block 0 is left for the superblock."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = [bytes(BLOCK)]

    def add(self, made: Callable[[int], bytes]) -> int:
        """Add the block that `made` returns when told its number; return the number."""
        number = len(self.blocks)
        self.blocks.append(made(number))
        return number

    def leaf(self, entries: Entries, value: Construct = BlockTime, **header: int) -> int:
        return self.add(lambda number: node(number, LEAF_NODE, entries, value, **header))

    def internal(self, children: Entries, **header: int) -> int:
        return self.add(lambda number: node(number, INTERNAL_NODE, children, Child, **header))

    def superblock(self, **fields: Any) -> bytes:
        """Return a superblock that counts the blocks so far; `fields` replace its fields."""
        space_map = {"nr_blocks": 0, "nr_allocated": 0, "bitmap_root": 0, "ref_count_root": 0}
        values = {
            "csum": 0,
            "flags": 0,
            "blocknr": 0,
            "uuid": bytes(16),
            "magic": THIN_SUPERBLOCK_MAGIC,
            "version": 2,
            "time": 0,
            "trans_id": 0,
            "held_root": 0,
            "data_space_map_root": space_map | {"nr_blocks": 1024},
            "metadata_space_map_root": space_map | {"nr_blocks": len(self.blocks)},
            "data_mapping_root": 0,
            "device_details_root": 0,
            "data_block_size": 128,
            "metadata_block_size": 8,
            "metadata_nr_blocks": len(self.blocks),
            "compat_flags": 0,
            "compat_ro_flags": 0,
            "incompat_flags": 0,
        }
        return stamped(Superblock.build(values | fields), SUPERBLOCK_CSUM_XOR)

    def pool(self, roots: Mapping[int, int], mapped_blocks: Mapping[int, int]) -> bytes:
        """Return the image of a pool: mapping trees by device id, and the ids' details."""
        self.blocks[0] = self.superblock(
            data_mapping_root=self.leaf(sorted(roots.items()), Child),
            device_details_root=self.leaf(
                [(device_id, details(count)) for device_id, count in sorted(mapped_blocks.items())],
                DeviceDetails,
            ),
            metadata_space_map_root={
                "nr_blocks": len(self.blocks),
                "nr_allocated": 0,
                "bitmap_root": 0,
                "ref_count_root": 0,
            },
        )
        return b"".join(self.blocks)


@contextmanager
def device_over(image: bytes) -> Iterator[BlockDevice]:
    """Open a device over bytes in memory."""
    fd = os.memfd_create("image")
    os.write(fd, image)
    device = BlockDevice(fd, "image")
    try:
        yield device
    finally:
        device.close()


@contextmanager
def metadata_over(image: bytes) -> Iterator[Metadata]:
    """Open bytes in memory as metadata, all blocks of which count."""
    with device_over(image) as device:
        yield Metadata(device, device.nr_blocks)


def one_device(nr_mappings: int = 3) -> bytes:
    """Return the image of a pool with device 1, which maps its first blocks."""
    image = Image()
    root = image.leaf(mappings(0, range(100, 100 + nr_mappings)))
    return image.pool({1: root}, {1: nr_mappings})


def written(path: Path, image: bytes) -> Path:
    """Write `image` to `path` and return it."""
    path.write_bytes(image)
    return path
