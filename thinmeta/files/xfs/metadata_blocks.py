"""Blocks of metadata, each held against what it says of itself: what it is, where, and whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.crc import crc_with_zeros
from thinmeta.files.xfs.xfs_geometry import BASIC_BLOCK_BITS, XfsGeometry
from thinmeta.schemas import xfs, xfs_directory
from thinmeta.schemas.columns import dtype_of, fields_at

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What a kind of block begins with, in one version of XFS.

    Attributes:
        header: its layout.
        magics: one of these is its first number.
        prefix: of its fields' names.
    """

    header: np.dtype[Any]
    magics: tuple[int, ...]
    prefix: str = ""


class BlockKind:
    """A kind of block."""

    def __init__(self, name: str, old: BlockForm | None, new: BlockForm) -> None:
        """Name it.

        Args:
            name: what it is, for messages.
            old: how it begins in version 4; None: it has no header there.
            new: how it begins in version 5.
        """
        self.name = name
        self._layouts = (old.header if old else None, new.header)
        self._magics = (old.magics if old else (), new.magics)
        self._prefix = new.prefix
        places: Any = new.header.fields
        self._crc_place: int = places[f"{new.prefix}crc"][1]

    def header_bytes(self, geometry: XfsGeometry) -> int:
        """Return how long its header is."""
        layout = self._layouts[geometry.is_v5]
        return layout.itemsize if layout is not None else 0

    def checked(self, data: bytes, place: int, owner: int, geometry: XfsGeometry) -> Fields:
        """Return the fields of a block's header.

        Args:
            data: the block.
            place: the byte at which it is in the volume.
            owner: whose it is: an inode's number.
            geometry: of the file system.

        Raises:
            FileError: it is another block, or damaged.
        """
        layout = self._layouts[geometry.is_v5]
        if layout is None:
            return {}
        fields = fields_at(layout, data)
        prefix = self._prefix
        if fields[f"{prefix}magic"] not in self._magics[geometry.is_v5]:
            raise FileError(f"there is no {self.name} at byte {place}")
        if geometry.is_v5:
            if crc_with_zeros(data, self._crc_place) != fields[f"{prefix}crc"]:
                raise FileError(f"the checksum of the {self.name} at byte {place} is wrong")
            if fields[f"{prefix}uuid"] != geometry.block_uuid:
                raise FileError(f"the {self.name} at byte {place} is of another file system")
            if fields[f"{prefix}blkno"] != place >> BASIC_BLOCK_BITS:
                raise FileError(f"the {self.name} at byte {place} was written for another place")
            if fields[f"{prefix}owner"] != owner:
                raise FileError(
                    f"the {self.name} at byte {place} belongs to inode {fields[f'{prefix}owner']}"
                )
        return fields


EXTENT_BLOCK = BlockKind(
    "block of the extent tree",
    BlockForm(dtype_of(xfs.BmbtBlock), (xfs.XFS_BMAP_MAGIC,), "bb_"),
    BlockForm(dtype_of(xfs.BmbtBlock3), (xfs.XFS_BMAP_CRC_MAGIC,), "bb_"),
)
DIRECTORY_BLOCK = BlockKind(
    "directory block",
    BlockForm(
        dtype_of(xfs_directory.Dir2DataHdr),
        (xfs_directory.XFS_DIR2_DATA_MAGIC, xfs_directory.XFS_DIR2_BLOCK_MAGIC),
    ),
    BlockForm(
        dtype_of(xfs_directory.Dir3DataHdr),
        (xfs_directory.XFS_DIR3_DATA_MAGIC, xfs_directory.XFS_DIR3_BLOCK_MAGIC),
    ),
)
ATTRIBUTE_BLOCK = BlockKind(
    "attribute block",
    BlockForm(
        dtype_of(xfs_directory.DaNodeHdr),
        (xfs_directory.XFS_DA_NODE_MAGIC, xfs_directory.XFS_ATTR_LEAF_MAGIC),
    ),
    BlockForm(
        dtype_of(xfs_directory.Da3NodeHdr),
        (xfs_directory.XFS_DA3_NODE_MAGIC, xfs_directory.XFS_ATTR3_LEAF_MAGIC),
    ),
)
"""A node; a leaf has its number of entries in the same place."""

ATTRIBUTE_VALUE = BlockKind(
    "attribute value",
    None,
    BlockForm(dtype_of(xfs_directory.Attr3RmtHdr), (xfs_directory.XFS_ATTR3_RMT_MAGIC,), "rm_"),
)
SYMLINK_TARGET = BlockKind(
    "symbolic link's target",
    None,
    BlockForm(dtype_of(xfs.SymlinkHdr), (xfs.XFS_SYMLINK_MAGIC,), "sl_"),
)


class MetadataBlocks:
    """The blocks of a file system, read through its cache.

    Attributes:
        geometry: where they are.
    """

    def __init__(self, cache: Cache, geometry: XfsGeometry) -> None:
        """Read from `cache`."""
        self.geometry = geometry
        self._cache = cache

    def raw(self, places: Sequence[int]) -> bytes:
        """Return the blocks that begin at some bytes, joined.

        Raises:
            FileError: one of them cannot be had.
        """
        size = self.geometry.block_bytes
        return b"".join([self._cache.read(place, size) for place in places])

    def read(self, places: Sequence[int], kind: BlockKind, owner: int) -> tuple[bytes, Fields]:
        """Return blocks that are one, and the fields of its header.

        Raises:
            FileError: one of them cannot be had, or it cannot be believed.
        """
        data = self.raw(places)
        return data, kind.checked(data, places[0], owner, self.geometry)
