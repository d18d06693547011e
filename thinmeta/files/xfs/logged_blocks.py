"""Blocks and inodes that a replay changed: what the log does not have of them.

The log has inodes in another order of bytes. It has no right checksums: the kernel puts them
when it writes what it replayed, and so it is done here, when a block is read.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinmeta.files.file_system import FileError
from thinmeta.files.reading import ByteSource, Cache, Missing
from thinmeta.files.xfs.crc import crc_with_zeros
from thinmeta.files.xfs.log_bytes import put_in_order
from thinmeta.files.xfs.xfs_geometry import XfsGeometry
from thinmeta.schemas import xfs, xfs_directory
from thinmeta.schemas.columns import dtype_of
from thinmeta.volume.byte_ranges import ByteRanges

Places = npt.NDArray[np.int64]

_NEVER = np.array([(1 << 64) - 1], dtype=np.uint64)
"""LSNs of what was never logged."""


class _Form(NamedTuple):
    """A kind of block or inode: its beginning, how its fields' names begin, and one of them."""

    layout: np.dtype[Any]
    prefix: str
    magic: str

    def put_checksum(self, block: memoryview) -> None:
        fields: Any = self.layout.fields
        kind, at = fields[f"{self.prefix}crc"][:2]
        if len(block) >= self.layout.itemsize:
            crc = np.array(crc_with_zeros(block.tobytes(), at), dtype=kind)
            block[at : at + kind.itemsize] = crc.tobytes()


def _forms() -> dict[bytes, _Form]:
    directory = (xfs_directory.XFS_DIR3_BLOCK_MAGIC, xfs_directory.XFS_DIR3_DATA_MAGIC)
    attributes = (xfs_directory.XFS_DA3_NODE_MAGIC, xfs_directory.XFS_ATTR3_LEAF_MAGIC)
    kinds = (
        (xfs.XfsSuperblock, "sb_", "sb_magicnum", (xfs.XFS_SB_MAGIC,)),
        (xfs.Dinode3, "di_", "di_magic", (xfs.XFS_DINODE_MAGIC,)),
        (xfs.BmbtBlock3, "bb_", "bb_magic", (xfs.XFS_BMAP_CRC_MAGIC,)),
        (xfs.Agf, "agf_", "agf_magicnum", (xfs.XFS_AGF_MAGIC,)),
        (xfs.AllocBlock3, "bb_", "bb_magic", (xfs.XFS_ABTB_CRC_MAGIC,)),
        (xfs.SymlinkHdr, "sl_", "sl_magic", (xfs.XFS_SYMLINK_MAGIC,)),
        (xfs_directory.Dir3DataHdr, "", "magic", directory),
        (xfs_directory.Da3NodeHdr, "", "magic", attributes),
    )
    return {
        np.array(value, dtype_of(schema)[field]).tobytes(): _Form(dtype_of(schema), prefix, field)
        for schema, prefix, field, values in kinds
        for value in values
    }


_FORMS = _forms()
"""The kinds that are read here, by their magics."""

_MOST_HEADER = max(form.layout.itemsize for form in _FORMS.values())
_HEADS_AT_ONCE = 4096
_MAGICS = (slice(0, 4), slice(0, 2), slice(8, 10))
"""Where these are."""


def _form_of(block: bytes | memoryview) -> _Form | None:
    found = (_FORMS.get(bytes(block[at])) for at in _MAGICS)
    return next((form for form in found if form is not None), None)


def lsns_on_disk(cache: Cache, geometry: XfsGeometry, places: Places) -> npt.NDArray[np.uint64]:
    """Return the LSNs that blocks and inodes on disk have; 0 of what has none, or is none.

    Source: `xlog_recover_get_buf_lsn()`, fs/xfs/xfs_buf_item_recover.c (Linux v6.6).
    """
    parts = [np.zeros(0, dtype=np.uint64)]
    for first in range(0, len(places), _HEADS_AT_ONCE):
        some = places[first : first + _HEADS_AT_ONCE].tolist()
        parts.append(_lsns_of(b"".join(_head(cache, place) for place in some), geometry))
    return np.concatenate(parts)


def _lsns_of(heads: bytes, geometry: XfsGeometry) -> npt.NDArray[np.uint64]:
    """Return the LSNs of blocks and inodes, by their beginnings, which stand side by side."""
    rows = np.frombuffer(heads, dtype=np.uint8).reshape(-1, _MOST_HEADER)
    lsns = np.zeros(len(rows), dtype=np.uint64)
    for magic, form in _FORMS.items():
        places_of: Any = form.layout.fields
        at = places_of[form.magic][1]
        own = (rows[:, at : at + len(magic)] == np.frombuffer(magic, dtype=np.uint8)).all(axis=1)
        fields = rows[own, : form.layout.itemsize].view(form.layout)[:, 0]
        uuids = fields[f"{form.prefix}uuid"]
        is_own = np.isin(uuids, np.array([geometry.block_uuid, geometry.uuid], uuids.dtype))
        lsns[own] = np.where(is_own, fields[f"{form.prefix}lsn"], 0)
    return np.where(np.isin(lsns, _NEVER), 0, lsns)


def _head(cache: Cache, place: int) -> bytes:
    try:
        return cache.read(place, _MOST_HEADER)
    except FileError:
        return bytes(_MOST_HEADER)


class LoggedBlocks:
    """A source in which the blocks and inodes that a replay changed are as they should be.

    Attributes:
        name: of the volume.
        size: in bytes.
    """

    def __init__(self, source: ByteSource, begin: Places, length: Places, core: Places) -> None:
        """Take which they are.

        Args:
            source: that has them as the log has.
            begin: where each is, in bytes, ascending, shape `(n,)`.
            length: of each, in bytes.
            core: how much of it is as the log has inodes, in bytes; 0: it is a block.
        """
        self.name = source.name
        self.size = source.size
        self._source = source
        self._begin, self._length, self._core = begin, length, core
        self._longest = int(length.max(initial=0))

    def changed(self) -> ByteRanges:
        """Return where the blocks and inodes are."""
        begin = self._begin.astype(np.uint64)
        return ByteRanges.of(begin, begin + self._length.astype(np.uint64))

    def lost(self, begin: int, end: int) -> Iterable[Missing]:
        """Return what of `begin..end` is known to be lost; see `ByteSource.lost()`."""
        return self._source.lost(begin, end)

    def fill(self, view: memoryview, begin: int) -> Iterator[Missing]:
        """Fill `view` with the bytes from `begin` on; see `ByteSource.fill()`."""
        end = begin + len(view)
        first = int(np.searchsorted(self._begin, begin - self._longest, "right"))
        last = int(np.searchsorted(self._begin, end, "left"))
        places = np.arange(first, last)
        places = places[self._begin[first:last] + self._length[first:last] > begin]
        if not len(places):
            yield from self._source.fill(view, begin)
            return
        low = min(begin, int(self._begin[places[0]]))
        high = max(end, int((self._begin[places] + self._length[places]).max()))
        high = min(high, self.size)
        whole = view if (low, high) == (begin, end) else memoryview(bytearray(high - low))
        missing = list(self._source.fill(whole, low))
        self._mend(whole, low, places)
        if whole is not view:
            view[:] = whole[begin - low : end - low]
        for part in missing:
            if part.begin < end and begin < part.end:
                yield part.moved(begin, end)

    def _mend(self, view: memoryview, begin: int, places: Places) -> None:
        data = np.frombuffer(view, dtype=np.uint8)
        core = self._core[places]
        inodes = places[core > 0]
        if len(inodes):
            width = int(core.max())
            at = (self._begin[inodes] - begin)[:, np.newaxis] + np.arange(width)
            data[at] = put_in_order(data[at])
        columns = (self._begin[places] - begin, self._length[places])
        for first, length in zip(*(column.tolist() for column in columns), strict=True):
            block = view[first : first + length]
            form = _form_of(block)
            if form is not None:
                form.put_checksum(block)
