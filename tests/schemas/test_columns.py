"""construct and numpy read the same fields from the same bytes, and the kernel's sizes."""

from typing import Any

import numpy as np
import pytest
from construct import Construct, Container, GreedyBytes, ListContainer, Padding, Struct, VarInt
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from thinmeta.schemas import (
    btree_node,
    columns,
    ext4,
    ext4_attributes,
    ext4_directory,
    posix_acl,
    space_map,
    superblock,
    xfs,
    xfs_directory,
)
from thinmeta.schemas.columns import bit_fields, dtype_of, fields_at, numbers_at
from thinmeta.schemas.decode import unpack_counts

STRUCTS: dict[str, tuple[Construct, int]] = {
    # schema, and the size that the kernel's structure has
    "disk_sm_root": (superblock.SpaceMapRoot, 128),
    "thin_disk_superblock": (superblock.Superblock, 364),
    "node_header": (btree_node.NodeHeader, 32),
    "disk_device_details": (btree_node.DeviceDetails, 24),
    "disk_index_entry": (space_map.IndexEntry, 16),
    "disk_metadata_index": (space_map.MetadataIndex, 4096),
    "disk_bitmap_header": (space_map.BitmapHeader, 16),
    "ext4_super_block": (ext4.Ext4Superblock, 1024),
    "ext4_group_desc of 32 bytes": (ext4.Ext4GroupDescriptor, 32),
    "ext4_group_desc": (ext4.Ext4GroupDescriptor64, 64),
    "ext4_inode of 128 bytes": (ext4.Ext4Inode, 128),
    "ext4_inode": (ext4.Ext4LargeInode, 160),
    "ext4_extent_header": (ext4.Ext4ExtentHeader, 12),
    "ext4_extent_idx": (ext4.Ext4ExtentIndex, 12),
    "ext4_extent": (ext4.Ext4Extent, 12),
    "ext4_dir_entry_tail": (ext4_directory.Ext4DirEntryTail, 12),
    "dx_root_info": (ext4_directory.Ext4DxRootInfo, 8),
    "dx_tail": (ext4_directory.Ext4DxTail, 8),
    "ext4_xattr_header": (ext4_attributes.Ext4XattrHeader, 32),
    "ext4_xattr_entry": (ext4_attributes.Ext4XattrEntry, 16),
    "ext4_acl_entry_short": (ext4_attributes.Ext4AclShortEntry, 4),
    "ext4_acl_entry": (ext4_attributes.Ext4AclLongEntry, 8),
    "xfs_dsb": (xfs.XfsSuperblock, 264),
    "xfs_dinode": (xfs.Dinode, 100),
    "xfs_dinode (version 3)": (xfs.Dinode3, 176),
    "xfs_bmbt_rec": (xfs.BmbtRec, 16),
    "xfs_bmdr_block": (xfs.BmdrBlock, 4),
    "xfs_btree_lblock": (xfs.BmbtBlock, 24),
    "xfs_btree_lblock (version 5)": (xfs.BmbtBlock3, 72),
    "xfs_dsymlink_hdr": (xfs.SymlinkHdr, 56),
    "xfs_dir2_data_hdr": (xfs_directory.Dir2DataHdr, 16),
    "xfs_dir3_data_hdr": (xfs_directory.Dir3DataHdr, 64),
    "xfs_dir2_block_tail": (xfs_directory.Dir2BlockTail, 8),
    "xfs_da_node_hdr": (xfs_directory.DaNodeHdr, 16),
    "xfs_da3_node_hdr": (xfs_directory.Da3NodeHdr, 64),
    "xfs_attr_leaf_hdr": (xfs_directory.AttrLeafHdr, 32),
    "xfs_attr3_leaf_hdr": (xfs_directory.Attr3LeafHdr, 80),
    "xfs_attr_leaf_entry": (xfs_directory.AttrLeafEntry, 8),
    "xfs_attr3_rmt_hdr": (xfs_directory.Attr3RmtHdr, 56),
    "xfs_acl_entry": (xfs_directory.AclEntry, 12),
    "posix_acl_xattr_entry": (posix_acl.AclXattrEntry, 8),
}
NUMBERS: dict[str, tuple[Construct, int]] = {
    "key": (btree_node.Key, 8),
    "child": (btree_node.Child, 8),
    "ref_count": (space_map.RefCount, 4),
}
ALL = STRUCTS | NUMBERS | {"block_time": (btree_node.BlockTime, 8)}

# shared/reference/on-disk-format.md, section 1
SUPERBLOCK_OFFSETS = {
    "csum": 0,
    "flags": 4,
    "blocknr": 8,
    "uuid": 16,
    "magic": 32,
    "version": 40,
    "time": 44,
    "trans_id": 48,
    "held_root": 56,
    "data_space_map_root": 64,
    "metadata_space_map_root": 192,
    "data_mapping_root": 320,
    "device_details_root": 328,
    "data_block_size": 336,
    "metadata_block_size": 340,
    "metadata_nr_blocks": 344,
    "compat_flags": 352,
    "compat_ro_flags": 356,
    "incompat_flags": 360,
}


def plain(value: Any) -> Any:
    """Return what construct or numpy read as dicts, lists, bytes and ints."""
    match value:
        case Container():
            return {name: plain(each) for name, each in value.items() if name != "_io"}
        case ListContainer() | np.ndarray():
            return [plain(each) for each in value]
        case np.void() if value.dtype.names is not None:
            return {name: plain(value[name]) for name in value.dtype.names}
        case np.void():
            return value.tobytes()
        case np.generic():
            return value.item()
    return value


def bytes_of(schema: Construct) -> st.SearchStrategy[bytes]:
    # Long ones from a seed: drawing 4096 bytes one by one is what takes hypothesis long.
    size = schema.sizeof()
    if size <= 128:
        return st.binary(min_size=size, max_size=size)
    return st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).bytes(size))


def fields_mask(dtype: np.dtype[Any]) -> bytes:
    """Return 0xff for each byte that belongs to a field, 0 for padding."""
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        return fields_mask(inner) * int(np.prod(shape))
    if dtype.fields is None:
        return b"\xff" * dtype.itemsize
    mask = bytearray(dtype.itemsize)
    for inner, offset, *_ in dtype.fields.values():
        mask[offset : offset + inner.itemsize] = fields_mask(inner)
    return bytes(mask)


@pytest.mark.parametrize("name", ALL)
def test_sizes_are_the_kernels(name: str) -> None:
    schema, size = ALL[name]

    assert schema.sizeof() == size
    assert dtype_of(schema).itemsize == size


def test_superblock_fields_stand_where_the_kernel_puts_them() -> None:
    fields = dtype_of(superblock.Superblock).fields

    assert fields is not None
    assert {name: field[1] for name, field in fields.items()} == SUPERBLOCK_OFFSETS


@pytest.mark.parametrize("name", STRUCTS | NUMBERS)
@examples(40)
@given(data=st.data())
def test_numpy_and_construct_read_the_same_fields(name: str, data: st.DataObject) -> None:
    schema, _ = ALL[name]
    raw = data.draw(bytes_of(schema))

    assert plain(np.frombuffer(raw, dtype_of(schema))[0]) == plain(schema.parse(raw))


@pytest.mark.parametrize("name", STRUCTS)
@examples(10)
@given(data=st.data(), begin=st.integers(0, 9))
def test_one_structure_is_read_at_any_place(name: str, data: st.DataObject, begin: int) -> None:
    schema, _ = ALL[name]
    raw = data.draw(bytes_of(schema))

    found = fields_at(dtype_of(schema), bytes(begin) + raw + b"more", begin)

    parsed = plain(schema.parse(raw))
    assert {name: value for name, value in found.items() if isinstance(value, int | bytes)} == {
        name: parsed[name] for name in found if not isinstance(parsed[name], (list, dict))
    }


@examples(20)
@given(raw=st.binary(min_size=8, max_size=40), data=st.data())
def test_numbers_are_read_at_any_places(raw: bytes, data: st.DataObject) -> None:
    schema = xfs_directory.Dir2Word
    places = data.draw(st.lists(st.integers(0, len(raw) - 8), max_size=5))

    found = numbers_at(dtype_of(schema), raw, places)

    assert found == [schema.parse(raw[place:]) for place in places]


@pytest.mark.parametrize("name", ALL)
@examples(40)
@given(data=st.data())
def test_building_what_was_parsed_loses_nothing_but_padding(name: str, data: st.DataObject) -> None:
    schema, _ = ALL[name]
    raw = data.draw(bytes_of(schema))
    mask = fields_mask(dtype_of(schema))

    built = schema.build(schema.parse(raw))

    assert built == bytes(byte & kept for byte, kept in zip(raw, mask, strict=True))
    assert schema.parse(built) == schema.parse(raw)


@examples(200)
@given(packed=st.integers(0, 2**64 - 1))
def test_bit_fields_take_a_block_time_apart_as_construct_does(packed: int) -> None:
    column = np.array([packed], dtype=columns.BLOCK_TIME)

    fields = {
        name: int((column >> np.uint64(shift) & np.uint64(mask))[0])
        for name, (shift, mask) in bit_fields(btree_node.BlockTime).items()
    }

    assert fields == plain(btree_node.BlockTime.parse(column.tobytes()))
    assert fields == {"data_block": packed >> 24, "time": packed & 0xFFFFFF}


@examples(5)
@given(seed=st.integers(0, 2**32 - 1))
def test_unpacked_counts_are_those_that_construct_reads(seed: int) -> None:
    raw = np.random.default_rng(seed).bytes(4080)

    counts = unpack_counts(np.frombuffer(raw, dtype=np.uint8)[np.newaxis])

    assert counts.shape == (1, 16320)
    assert counts[0].tolist() == list(space_map.BitmapCounts.parse(raw))
    assert space_map.BitmapCounts.build(counts[0].tolist()) == raw


def test_of_a_counts_two_bits_the_lower_one_is_the_high_one() -> None:
    raw = bytes([0b11_10_01_00]).ljust(4080, b"\0")

    counts = unpack_counts(np.frombuffer(raw, dtype=np.uint8)[np.newaxis])

    assert counts[0, :5].tolist() == [0, 2, 1, 3, 0]


def test_counts_of_several_bitmaps_do_not_mix() -> None:
    raw = np.zeros((2, 4080), dtype=np.uint8)
    raw[1, -1] = 0b11_00_00_00

    counts = unpack_counts(raw)

    assert np.argwhere(counts).tolist() == [[1, 16319]]
    assert counts[1, 16319] == 3


def test_padding_has_no_column() -> None:
    assert dtype_of(btree_node.NodeHeader).names == (
        "csum",
        "flags",
        "blocknr",
        "nr_entries",
        "max_entries",
        "value_size",
    )


@pytest.mark.parametrize(
    "schema",
    [GreedyBytes, VarInt, "greedy" / Struct("rest" / GreedyBytes), Padding(4)],
    ids=["bytes", "number", "struct", "padding"],
)
def test_what_has_no_fixed_fields_has_no_dtype(schema: Construct) -> None:
    with pytest.raises(TypeError, match="dtype"):
        dtype_of(schema)
