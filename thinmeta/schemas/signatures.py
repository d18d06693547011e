"""What a file that is no thin-pool metadata is instead, by its first block."""

from collections.abc import Callable

import numpy as np

from thinmeta.device.containers import MAGIC_BYTES, packing_of
from thinmeta.errors import InputError
from thinmeta.schemas.decode import parse_superblock, superblock_fault
from thinmeta.schemas.superblock import SUPERBLOCK_LOCATION, THIN_SUPERBLOCK_MAGIC
from thinmeta.units import MAX_METADATA_BLOCKS, METADATA_BLOCK_BYTES

CACHE_SUPERBLOCK_MAGIC = 0o6142003
"""Source: drivers/md/dm-cache-metadata.c."""

ERA_SUPERBLOCK_MAGIC = 2126579579
"""Source: drivers/md/dm-era-target.c."""

_MAGIC = slice(32, 40)  # the superblocks of thin, cache and era all keep it here
_LVM_LABEL = b"LABELONE"
_LVM_LABEL_SECTORS = range(0, 4 * 512, 512)


def refuse_foreign(beginning: bytes) -> None:
    """Raise unless `beginning`, the first block of an image, may be a thin superblock.

    A superblock whose checksum or contents are bad passes: that is damage, and
    whoever decodes it says so.

    Raises:
        InputError: it is something else, which the message names.
    """
    refuse_other_formats(beginning)
    if not _has_magic(beginning, THIN_SUPERBLOCK_MAGIC):
        raise InputError(
            "has no thin-pool superblock in its first block; "
            "a pool's data device (_tdata) has none, its metadata device (_tmeta) has"
        )


def counted(refuse: Callable[[bytes], None]) -> Callable[[bytes], int]:
    """Return `refuse` that also tells how many blocks of an image can be of use.

    That is what the superblock counts, or after a resize, of which it may know nothing,
    the metadata space map. A superblock that is damaged says nothing, and then it is what
    metadata can have.
    """

    def refuse_and_count(beginning: bytes) -> int:
        refuse(beginning)
        row = np.frombuffer(beginning, dtype=np.uint8)
        if superblock_fault(row, SUPERBLOCK_LOCATION) is not None:
            return MAX_METADATA_BLOCKS
        fields = parse_superblock(row)
        said = max(fields.metadata_nr_blocks, fields.metadata_space_map_root.nr_blocks, 1)
        return min(int(said), MAX_METADATA_BLOCKS)

    return refuse_and_count


def refuse_other_formats(beginning: bytes) -> None:
    """Raise if `beginning` shows what an image is, and it is no thin-pool metadata.

    Unlike `refuse_foreign` this lets pass what shows nothing, as a superblock that
    was written over.

    Raises:
        InputError: it is something else, which the message names.
    """
    if what := _other_format(beginning):
        raise InputError(what)


def _other_format(beginning: bytes) -> str | None:  # noqa: PLR0911  # one return a kind of file
    if not beginning:
        return "is empty"
    # A checksum may begin with the same byte, but no XML has a NUL.
    if beginning.lstrip()[:1] == b"<" and b"\0" not in beginning:
        return "is XML, not binary metadata; thin_restore makes metadata from a dump"
    if len(beginning) < METADATA_BLOCK_BYTES:
        return f"has only {len(beginning)} bytes, less than the superblock"
    if any(beginning[at : at + len(_LVM_LABEL)] == _LVM_LABEL for at in _LVM_LABEL_SECTORS):
        return (
            "is an LVM physical volume; the pool's metadata is a volume inside it (_tmeta), "
            "which --lvm DISK --lv VG/POOL reads"
        )
    if _has_magic(beginning, THIN_SUPERBLOCK_MAGIC):
        return None
    if packing := packing_of(beginning[:MAGIC_BYTES]):
        return f"is packed twice, or on a device: where metadata should begin stands {packing} data"
    if _has_magic(beginning, CACHE_SUPERBLOCK_MAGIC):
        return "is dm-cache metadata, not dm-thin"
    if _has_magic(beginning, ERA_SUPERBLOCK_MAGIC):
        return "is dm-era metadata, not dm-thin"
    return None


def _has_magic(beginning: bytes, magic: int) -> bool:
    return int.from_bytes(beginning[_MAGIC], "little") == magic
