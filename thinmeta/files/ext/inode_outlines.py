"""What inodes say of files that are kept in one piece, for many at once: most files are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.ext.geometry import Geometry
from thinmeta.schemas.columns import dtype_of
from thinmeta.schemas.ext4 import (
    EXT4_ENCRYPT_FL,
    EXT4_EXT_MAGIC,
    EXT4_EXTENTS_FL,
    EXT4_FEATURE_INCOMPAT_64BIT,
    EXT4_GOOD_OLD_INODE_SIZE,
    EXT4_INLINE_DATA_FL,
    EXT_INIT_MAX_LEN,
    Ext4ExtentRoot,
)
from thinmeta.schemas.ext4_attributes import EXT4_XATTR_MAGIC, Ext4XattrBodyHeader

_ROOT = dtype_of(Ext4ExtentRoot)
_BODY_HEADER = dtype_of(Ext4XattrBodyHeader)
_SAYS_WHERE = EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL | EXT4_ENCRYPT_FL

Fields = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def roots_of(fields: Fields) -> Fields:
    """Return what would be the roots of trees of extents."""
    return np.frombuffer(fields["i_block"].tobytes(), dtype=np.uint8).view(_ROOT)


def content_blocks(
    fields: Fields, sizes: npt.NDArray[np.uint64], geometry: Geometry
) -> npt.NDArray[np.uint64]:
    """Return the blocks at which contents begin that are in one piece, or empty; 0 for others.

    Args:
        fields: of the inodes.
        sizes: of their contents, in bytes.
        geometry: of their file system.
    """
    roots = roots_of(fields)
    header, first = roots["header"], roots["extents"][:, 0]
    length = first["ee_len"].astype(np.uint64)
    begin: npt.NDArray[np.uint64]
    begin = first["ee_start_lo"] | first["ee_start_hi"].astype(np.uint64) << np.uint64(32)
    nr_blocks = np.uint64(geometry.nr_blocks)
    is_leaf = (
        (fields["i_flags"] & _SAYS_WHERE == EXT4_EXTENTS_FL)
        & (header["eh_magic"] == EXT4_EXT_MAGIC)
        & (header["eh_depth"] == 0)
        & (header["eh_entries"] <= header["eh_max"])
        & (header["eh_max"] <= roots["extents"].shape[1])
    )
    is_one_piece = (
        (header["eh_entries"] == 1)
        & (first["ee_block"] == 0)
        & (length > 0)
        & (length <= EXT_INIT_MAX_LEN)
        & (sizes <= length * np.uint64(geometry.block_bytes))
        & (begin > geometry.superblock.s_first_data_block)
        & (begin + length <= nr_blocks)
    )
    is_empty = (header["eh_entries"] == 0) & (sizes == 0)
    begin[is_empty] = geometry.superblock.s_first_data_block + 1
    begin[~(is_leaf & (is_one_piece | is_empty))] = 0
    return begin


def attribute_blocks(fields: Fields, geometry: Geometry) -> npt.NDArray[np.uint64]:
    """Return the blocks of attributes; 0 for an inode that has none."""
    low: npt.NDArray[np.uint64] = fields["i_file_acl_lo"].astype(np.uint64)
    if not geometry.incompat & EXT4_FEATURE_INCOMPAT_64BIT:
        return low
    high: npt.NDArray[np.uint64] = fields["i_file_acl_high"].astype(np.uint64)
    return low | high << np.uint64(32)


def have_attributes(fields: Fields, rows: npt.NDArray[np.uint8], geometry: Geometry) -> Flags:
    """Tell which inodes have attributes, or may have.

    Args:
        fields: of the inodes.
        rows: their bytes.
        geometry: of their file system.
    """
    begins = EXT4_GOOD_OLD_INODE_SIZE + fields["i_extra_isize"].astype(np.int64)
    found: Flags = attribute_blocks(fields, geometry) != 0
    width = _BODY_HEADER.itemsize
    places = np.flatnonzero((begins > EXT4_GOOD_OLD_INODE_SIZE) & (begins + width <= rows.shape[1]))
    bytes_of = begins[places, np.newaxis] + np.arange(width)
    headers = np.ascontiguousarray(rows[places[:, np.newaxis], bytes_of]).view(_BODY_HEADER)
    found[places] |= headers["h_magic"][:, 0] == EXT4_XATTR_MAGIC
    return found
