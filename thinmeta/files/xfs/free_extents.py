"""Which blocks of an XFS are free, by the tree of each allocation group."""

from typing import Any

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.crc import crc_with_zeros
from thinmeta.files.xfs.metadata_blocks import BlockForm, BlockKind, MetadataBlocks
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import dtype_of, field_of, fields_at
from thinmeta.volume.byte_ranges import ByteRanges

_HEADER = dtype_of(xfs.Agf)
_CRC_PLACE = field_of(xfs.Agf, "agf_crc")[0]
_RECORD, _POINTER = dtype_of(xfs.AllocRec), dtype_of(xfs.AllocPtr)
_NONE = (1 << 32) - 1
_MOST_LEVELS = 16

_FREE_BLOCK = BlockKind(
    "block of the tree of free blocks",
    BlockForm(dtype_of(xfs.AllocBlock), (xfs.XFS_ABTB_MAGIC,), "bb_"),
    BlockForm(dtype_of(xfs.AllocBlock3), (xfs.XFS_ABTB_CRC_MAGIC,), "bb_"),
)


def free_extents(cache: Cache, blocks: MetadataBlocks, group: int) -> ByteRanges:
    """Return what is free in an allocation group, in bytes of the volume.

    Raises:
        FileError: its header or its tree cannot be read or believed.

    Source: `xfs_verify_agf()`, fs/xfs/libxfs/xfs_alloc.c (Linux v6.6).
    """
    geometry = blocks.geometry
    base = group * geometry.ag_blocks * geometry.block_bytes
    header = _header(cache, blocks, group, base)
    block, level = header["agf_bno_root"], header["agf_bno_level"]
    if not 1 <= level <= _MOST_LEVELS:
        raise FileError(f"the tree of free blocks of allocation group {group} has no height")
    room = _FREE_BLOCK.header_bytes(geometry)
    most = (geometry.block_bytes - room) // (_RECORD.itemsize + _POINTER.itemsize)
    found: list[npt.NDArray[Any]] = []
    seen: set[int] = set()
    height = level - 1
    while block != _NONE:
        if block in seen or block >= geometry.ag_blocks:
            raise FileError(f"the tree of free blocks of allocation group {group} goes round")
        seen.add(block)
        place = base + block * geometry.block_bytes
        data, fields = blocks.read([place], _FREE_BLOCK, group)
        if fields["bb_level"] != height:
            raise FileError(
                f"the block of the tree of free blocks at byte {place} is of another height"
            )
        count = fields["bb_numrecs"]
        if height:
            begin = room + most * _RECORD.itemsize
            block = _columns(_POINTER, data[begin : begin + _POINTER.itemsize]).tolist()[0]
            height -= 1
            continue
        records = data[room : room + count * _RECORD.itemsize]
        if len(records) != count * _RECORD.itemsize:
            raise FileError(f"the block of free blocks at byte {place} is too full")
        found.append(_columns(_RECORD, records))
        block = fields["bb_rightsib"]
    rows = np.concatenate(found)
    first = rows["ar_startblock"].astype(np.uint64)
    end = first + rows["ar_blockcount"].astype(np.uint64)
    if (end > np.uint64(geometry.ag_blocks)).any():
        raise FileError(f"a free block of allocation group {group} is past its end")
    unit = np.uint64(geometry.block_bytes)
    return ByteRanges.of(np.uint64(base) + first * unit, np.uint64(base) + end * unit)


def _columns(layout: np.dtype[Any], data: bytes) -> npt.NDArray[Any]:
    return np.frombuffer(data, np.uint8).view(layout)


def _header(cache: Cache, blocks: MetadataBlocks, group: int, base: int) -> dict[str, Any]:
    geometry = blocks.geometry
    data = cache.read(base + geometry.sector_bytes, geometry.sector_bytes)
    fields = fields_at(_HEADER, data)
    is_right = fields["agf_magicnum"] == xfs.XFS_AGF_MAGIC and fields["agf_seqno"] == group
    if is_right and geometry.is_v5:
        is_right = crc_with_zeros(data, _CRC_PLACE) == fields["agf_crc"]
        is_right &= fields["agf_uuid"] == geometry.block_uuid
    if not is_right:
        raise FileError(f"the header of the free blocks of allocation group {group} is damaged")
    return fields
