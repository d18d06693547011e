"""How an XFS is laid out, as its superblock says, and where blocks and inodes are by that."""

from dataclasses import dataclass
from typing import Any

from thinmeta.errors import InputError
from thinmeta.files.file_system import FileError
from thinmeta.files.reading import Cache
from thinmeta.files.xfs.crc import crc_with_zeros
from thinmeta.schemas import xfs
from thinmeta.schemas.columns import field_of
from thinmeta.schemas.decode import parsed

BASIC_BLOCK_BITS = 9
"""log2 of the 512 bytes in which blocks say where they are."""

_FEATURES = {
    0x1: "ftype",
    0x2: "sparse inodes",
    0x4: "meta_uuid",
    0x8: "bigtime",
    0x10: "needsrepair",
    0x20: "nrext64",
    0x40: "exchange-range",
    0x80: "parent pointers",
}
_UNKNOWN_FEATURES = {0x100: "metadata directories", 0x200: "zoned", 0x400: "zone gaps"}

_MIN_AG_BLOCKS = 64
_MAX_AG_BYTES = 1 << 40


@dataclass(frozen=True, slots=True)
class XfsGeometry:
    """The sizes of everything, held against each other; names are the kernel's, without `sb_`.

    Attributes:
        is_v5: whether blocks have checksums and say whose they are.
        has_ftype: whether directories have the types of files.
        needs_repair: whether it is marked as damaged.
        sector_bytes: of a sector, of which the first ones of an allocation group say what is in it.
        block_bytes: of a block.
        blocks: of the file system.
        ag_blocks: of an allocation group.
        ag_count: allocation groups, the last of which may be shorter.
        ag_block_bits: of the number of a block within its group.
        inode_bytes: of an inode.
        ag_inode_bits: of the number of an inode within its group.
        directory_block_blocks: how many blocks make one of a directory.
        block_uuid: what blocks and inodes have for the file system's.
        uuid: the file system's.
        label: the file system's.
        root: the root directory's inode.
        log_start: the log's first block; 0 if it is on another device.
        log_blocks: how long it is.
    """

    is_v5: bool
    has_ftype: bool
    needs_repair: bool
    sector_bytes: int
    block_bytes: int
    blocks: int
    ag_blocks: int
    ag_count: int
    ag_block_bits: int
    inode_bytes: int
    ag_inode_bits: int
    directory_block_blocks: int
    block_uuid: bytes
    uuid: bytes
    label: bytes
    root: int
    log_start: int
    log_blocks: int

    @classmethod
    def read(cls, cache: Cache) -> "XfsGeometry":
        """Read the superblock.

        Raises:
            InputError: it cannot be read or believed, or has a feature that is not known here.
        """
        name = cache.source.name
        fields = parsed(xfs.XfsSuperblock, cache.read(0, min(512, cache.size)))
        fault = _fault(fields)
        if fault is None and _version(fields) == xfs.XFS_SB_VERSION_5:
            sector = cache.read(0, int(fields.sb_sectsize))
            if crc_with_zeros(sector, _CRC_PLACE) != fields.sb_crc:
                fault = "its checksum is wrong"
            elif unknown := _unknown_features(int(fields.sb_features_incompat)):
                raise InputError(f"{name}: the XFS has features not known here: {unknown}")
        if fault is not None:
            raise InputError(f"{name}: the XFS superblock cannot be believed: {fault}")
        return cls._of(fields)

    @classmethod
    def _of(cls, fields: Any) -> "XfsGeometry":
        is_v5 = _version(fields) == xfs.XFS_SB_VERSION_5
        incompat = int(fields.sb_features_incompat) if is_v5 else 0
        features2 = int(fields.sb_features2) | int(fields.sb_bad_features2)
        has_features2 = bool(fields.sb_versionnum & xfs.XFS_SB_VERSION_MOREBITSBIT)
        has_other_uuid = incompat & xfs.XFS_SB_FEAT_INCOMPAT_META_UUID
        return cls(
            is_v5=is_v5,
            has_ftype=bool(incompat & xfs.XFS_SB_FEAT_INCOMPAT_FTYPE)
            or (not is_v5 and has_features2 and bool(features2 & xfs.XFS_SB_VERSION2_FTYPE)),
            needs_repair=bool(incompat & xfs.XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR),
            sector_bytes=int(fields.sb_sectsize),
            block_bytes=int(fields.sb_blocksize),
            blocks=int(fields.sb_dblocks),
            ag_blocks=int(fields.sb_agblocks),
            ag_count=int(fields.sb_agcount),
            ag_block_bits=int(fields.sb_agblklog),
            inode_bytes=int(fields.sb_inodesize),
            ag_inode_bits=int(fields.sb_agblklog + fields.sb_inopblog),
            directory_block_blocks=1 << int(fields.sb_dirblklog),
            block_uuid=bytes(fields.sb_meta_uuid if has_other_uuid else fields.sb_uuid),
            uuid=bytes(fields.sb_uuid),
            label=bytes(fields.sb_fname).rstrip(b"\0"),
            root=int(fields.sb_rootino),
            log_start=int(fields.sb_logstart),
            log_blocks=int(fields.sb_logblocks),
        )

    def place(self, block: int) -> int:
        """Return the byte at which a block begins, by its number.

        Raises:
            FileError: there is no such block.
        """
        group, within = block >> self.ag_block_bits, block & ((1 << self.ag_block_bits) - 1)
        place = group * self.ag_blocks + within
        if within >= self.ag_blocks or place >= self.blocks:
            raise FileError(f"there is no block {block}")
        return place * self.block_bytes

    def places(self, blocks: Any, lengths: Any) -> tuple[Any, Any]:
        """Return where runs of blocks begin, and which of them there are.

        Args:
            blocks: first of each, by number, less than 2**52, shape `(n,)`; or a number.
            lengths: how many, less than 2**32.

        Returns:
            Bytes, and whether all of the run is within one allocation group; as `blocks` is.
        """
        group = blocks >> self.ag_block_bits
        within = blocks & ((1 << self.ag_block_bits) - 1)
        place = group * self.ag_blocks + within  # may overflow, where there is no such group
        is_in_group = (group < self.ag_count) & (within + lengths <= self.ag_blocks)
        return place * self.block_bytes, is_in_group & (place + lengths <= self.blocks)

    def inode_place(self, number: int) -> int | None:
        """Return the byte at which an inode begins; None if there is no such inode."""
        group, within = number >> self.ag_inode_bits, number & ((1 << self.ag_inode_bits) - 1)
        group_bytes = self.ag_blocks * self.block_bytes
        begin = within * self.inode_bytes
        place = group * group_bytes + begin
        if number < 0 or begin >= group_bytes or place >= self.blocks * self.block_bytes:
            return None
        return place


_CRC_PLACE = field_of(xfs.XfsSuperblock, "sb_crc")[0]


def _version(fields: Any) -> int:
    return int(fields.sb_versionnum) & 0xF


def _unknown_features(incompat: int) -> str:
    unknown = incompat & ~sum(_FEATURES)
    bits = [1 << bit for bit in range(32) if unknown >> bit & 1]
    return ", ".join(_UNKNOWN_FEATURES.get(bit, f"incompat bit {bit:#x}") for bit in bits)


def _fault(fields: Any) -> str | None:
    """Return what is wrong with the superblock.

    Source: `xfs_validate_sb_common()`, fs/xfs/libxfs/xfs_sb.c (Linux v6.6).
    """
    version = _version(fields)
    if fields.sb_magicnum != xfs.XFS_SB_MAGIC:
        return "its magic is wrong"
    if version not in (xfs.XFS_SB_VERSION_4, xfs.XFS_SB_VERSION_5):
        return f"its version is {version}, neither 4 nor 5"
    is_v5 = version == xfs.XFS_SB_VERSION_5
    has_directories_2 = is_v5 or fields.sb_versionnum & xfs.XFS_SB_VERSION_DIRV2BIT
    group_bits = int(fields.sb_agblocks - 1).bit_length()
    most_blocks = fields.sb_agcount * fields.sb_agblocks
    sound = {
        "mkfs did not finish": not fields.sb_inprogress,
        "its directories are of version 1": has_directories_2,
        "sb_sectsize": _is_power(fields.sb_sectsize, fields.sb_sectlog, 9, 15),
        "sb_blocksize": _is_power(fields.sb_blocksize, fields.sb_blocklog, 9, 16),
        "sb_inodesize": _is_power(fields.sb_inodesize, fields.sb_inodelog, 8 + is_v5, 11),
        "sb_inopblock": _is_power(fields.sb_inopblock, fields.sb_inopblog, 0, 8),
        "sb_inopblog": fields.sb_inopblog + fields.sb_inodelog == fields.sb_blocklog,
        "sb_dirblklog": fields.sb_dirblklog + fields.sb_blocklog <= 16,
        "sb_agblocks": fields.sb_agblocks >= _MIN_AG_BLOCKS
        and fields.sb_agblocks * fields.sb_blocksize <= _MAX_AG_BYTES,
        "sb_agblklog": fields.sb_agblklog == group_bits,
        "sb_agcount": fields.sb_agcount >= 1,
        "sb_dblocks": most_blocks - fields.sb_agblocks < fields.sb_dblocks <= most_blocks,
    }
    wrong = next((what for what, holds in sound.items() if not holds), None)
    return f"{wrong} is {fields[wrong]}" if wrong in fields else wrong


def _is_power(size: int, bits: int, least: int, most: int) -> bool:
    return least <= bits <= most and size == 1 << bits
