"""What a file that is no thin-pool metadata is instead, by its first block."""

from thinmeta.errors import InputError
from thinmeta.schemas.superblock import THIN_SUPERBLOCK_MAGIC
from thinmeta.units import METADATA_BLOCK_BYTES

CACHE_SUPERBLOCK_MAGIC = 0o6142003
"""Source: drivers/md/dm-cache-metadata.c."""

ERA_SUPERBLOCK_MAGIC = 2126579579
"""Source: drivers/md/dm-era-target.c."""

METADATA_PACK_MAGIC = 0xA537A0AA6309EF77
"""What thin_metadata_pack writes first."""

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
    if what := _foreign(beginning):
        raise InputError(what)


def _foreign(beginning: bytes) -> str | None:  # noqa: PLR0911  # one return a kind of file
    if not beginning:
        return "is empty"
    # A checksum may begin with the same byte, but no XML has a NUL.
    if beginning.lstrip()[:1] == b"<" and b"\0" not in beginning:
        return "is XML, not binary metadata; thin_restore makes metadata from a dump"
    if len(beginning) < METADATA_BLOCK_BYTES:
        return f"has only {len(beginning)} bytes, less than the superblock"
    if any(beginning[at : at + len(_LVM_LABEL)] == _LVM_LABEL for at in _LVM_LABEL_SECTORS):
        return "is an LVM physical volume; the pool's metadata is a volume inside it (_tmeta)"
    if beginning[:8] == METADATA_PACK_MAGIC.to_bytes(8, "little"):
        return "is packed metadata; unpack it with thin_metadata_unpack first"
    match int.from_bytes(beginning[_MAGIC], "little"):
        case magic if magic == THIN_SUPERBLOCK_MAGIC:
            return None
        case magic if magic == CACHE_SUPERBLOCK_MAGIC:
            return "is dm-cache metadata, not dm-thin"
        case magic if magic == ERA_SUPERBLOCK_MAGIC:
            return "is dm-era metadata, not dm-thin"
    return (
        "has no thin-pool superblock in its first block; "
        "a pool's data device (_tdata) has none, its metadata device (_tmeta) has"
    )
