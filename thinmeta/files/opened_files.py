"""From a volume's bytes to the file system on it, or to what it is instead."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from thinmeta.device.signatures import is_physical_volume, md_member, partition_table
from thinmeta.errors import InputError
from thinmeta.files.file_bytes import FileBytes
from thinmeta.files.file_system import FileExtents, FileSystem, Inode
from thinmeta.files.outline import Outline
from thinmeta.files.overlay import Replay
from thinmeta.files.part_of_source import Lenient, open_partition, partitions_text, pieces_of
from thinmeta.files.reading import ByteSource, Cache
from thinmeta.lvm.partitions import partitions
from thinmeta.schemas.image_formats import LUKS_MAGIC
from thinmeta.schemas.magics import (
    EXT,
    LUKS,
    LVM,
    PARTITIONS,
    RAID_MEMBER,
    SIGNATURES,
    XFS,
    ZFS_MEMBER,
    signatures_at_end,
)
from thinmeta.schemas.other_filesystems import (
    BTRFS_MAGIC,
    EXFAT_SYSTEM_ID,
    FAT_SYSTEM_IDS,
    NTFS_SYSTEM_ID,
    SQUASHFS_MAGIC,
    SWAP_SIGNATURES,
    TELLTALE_BYTES,
)
from thinmeta.units import METADATA_BLOCK_BYTES
from thinmeta.volume.byte_ranges import NO_RANGES, ByteRanges
from thinmeta.volume.filesystem import BEGINNING_BYTES, FilesystemKind, kind_of

_Kind = TypeVar("_Kind", bound=FileSystem)

_IMAGE = "thinmeta extract writes an image of it, for mount -o loop,ro or a virtual machine"
_NOT_READ = "which is not read here; " + _IMAGE
_OTHERS = (
    (f"is a btrfs, {_NOT_READ}", (BTRFS_MAGIC,)),
    (f"is an NTFS, {_NOT_READ}", (NTFS_SYSTEM_ID,)),
    (f"is an exFAT, {_NOT_READ}", (EXFAT_SYSTEM_ID,)),
    (f"is a FAT, {_NOT_READ}", FAT_SYSTEM_IDS),
    (f"is a squashfs, {_NOT_READ}", (SQUASHFS_MAGIC,)),
    ("is swap space, which has no files", SWAP_SIGNATURES),
    (
        "is a LUKS container, which is encrypted; thinmeta extract writes an image of it, for "
        "cryptsetup open --readonly",
        ((0, LUKS_MAGIC),),
    ),
)

_WAYS = {
    LUKS: "the first header of which is gone; thinmeta extract writes an image of it, for "
    "cryptsetup repair and cryptsetup open --readonly",
    ZFS_MEMBER: "which is not read here; thinmeta extract writes an image of it, for "
    "zpool import -o readonly=on -d FOLDER",
    RAID_MEMBER: "which is not read here; thinmeta extract writes an image of it, for losetup "
    "--read-only and mdadm --assemble --readonly",
}
_ASKED_BEFORE = {EXT, XFS, LVM, PARTITIONS}  # in other ways, which did not find them


class NoFileSystemError(InputError):
    """There is no file system that is read here, but something else; the message says what."""


class OpenedFiles(NamedTuple):
    """A file system, open for reading.

    Attributes:
        file_system: it.
        source: what it is on, with its journal replayed.
        nr_transactions: that were replayed; 0 if the journal was clean, or is left as it is.
        fault: what of the journal could not be believed; None if it was sound, or nobody looked.
        replayed: where `source` is as the journal says.
        within: where in the volume what it is on is.
        about_lvm: what of LVM's metadata is damaged or odd, if it lies inside of that.
    """

    file_system: FileSystem
    source: ByteSource
    nr_transactions: int
    fault: str | None
    replayed: ByteRanges
    within: FileExtents
    about_lvm: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What whoever reads the files should know, one line each."""
        nr = self.nr_transactions
        replayed = f"the journal was replayed: {nr} transaction{'s' if nr > 1 else ''}"
        about_journal = filter(None, (replayed if nr else None, self.fault))
        return [*(f"{self.source.name}: {what}" for what in about_journal), *self.about_others]

    @property
    def about_others(self) -> list[str]:
        """Those of the notes that are not about the journal."""
        remark = self.file_system.remark
        about_files = [f"{self.source.name}: {remark}"] if remark else []
        return [*self.about_lvm, *about_files]

    def bytes_of(self, inode: Inode, outline: Outline | None = None) -> FileBytes:
        """Return the bytes of a file.

        Args:
            inode: of the file.
            outline: of the inode, if many are asked for.

        Raises:
            FileError: it cannot be read or believed.
        """
        place = outline.place if outline is not None else None
        return FileBytes(self.file_system, self.source, inode, place)


def open_files(
    source: ByteSource,
    *,
    partition: int | None = None,
    inside: str | None = None,
    replay: bool = True,
) -> OpenedFiles:
    """Open the file system on a volume, wherever on it that is.

    Args:
        source: the volume's bytes.
        partition: number of the partition that has it; None: it is in none.
        inside: name of the logical volume that has it, on the volume or its partition; None:
            it is in none.
        replay: read it with its journal replayed, in memory; nothing is written.

    Raises:
        NotThereError: there is no such partition, or no such logical volume.
        InputError: there is no file system that is read here.
    """
    about_lvm: tuple[str, ...] = ()
    if partition is not None:
        source = open_partition(source, partition)
    if inside is not None:
        from thinmeta.files.inside_volume import open_inside

        source, about_lvm = open_inside(source, inside)
    return open_file_system(source, replay=replay)._replace(about_lvm=about_lvm)


def open_file_system(source: ByteSource, *, replay: bool = True) -> OpenedFiles:
    """Open the file system that is on a volume, or on a part of one.

    Args:
        source: the volume's bytes.
        replay: read it with its journal replayed, in memory; nothing is written.

    Raises:
        NoFileSystemError: there is none that is read here.
        InputError: it, or what shows which it is, cannot be read or believed.
    """
    lenient = Lenient(source)
    beginning = lenient.read(0, TELLTALE_BYTES)
    kind = kind_of(beginning.ljust(BEGINNING_BYTES, b"\0"))
    if kind is None:
        if lenient.missing and lenient.missing[0].begin < BEGINNING_BYTES:
            cause = lenient.missing[0].cause
            raise InputError(f"{source.name}: nobody can tell what is on it: {cause}")
        what = _instead(source, beginning.ljust(TELLTALE_BYTES, b"\0"))
        raise NoFileSystemError(f"{source.name}: {what}")
    if kind is FilesystemKind.XFS:
        from thinmeta.files.xfs.log import replay_log
        from thinmeta.files.xfs.xfs_file_system import Xfs

        return _opened(source, Xfs, replay_log if replay else None)
    from thinmeta.files.ext.ext4 import Ext4
    from thinmeta.files.ext.journal import replay_journal

    return _opened(source, Ext4, replay_journal if replay else None)


def _opened(
    source: ByteSource,
    kind: Callable[[Cache], _Kind],
    replay: Callable[[_Kind, Cache], Replay] | None,
) -> OpenedFiles:
    cache = Cache(source)
    file_system = kind(cache)
    within = pieces_of(source)
    if replay is None:
        return OpenedFiles(file_system, source, 0, None, NO_RANGES, within)
    replayed = replay(file_system, cache)
    if replayed.nr_transactions:
        file_system = kind(Cache(replayed.source))
    return OpenedFiles(file_system, *replayed, within)


def _instead(source: ByteSource, beginning: bytes) -> str:
    """Return what is on a volume without a file system that is read here, and what to do."""
    for what, texts in _OTHERS:
        if any(beginning.startswith(text, place) for place, text in texts):
            return what
    if table := partition_table(beginning):
        found = partitions(Lenient(source))
        there = f"say which with --partition N: {partitions_text(found)}" if found else "all empty"
        return f"is a disk with a partition table ({table}); {there}"
    if is_physical_volume(beginning):
        return f"is an LVM physical volume; {_inside(source)}"
    blocks = (beginning[at : at + METADATA_BLOCK_BYTES] for at in (0, METADATA_BLOCK_BYTES))
    if member := next(filter(None, map(md_member, blocks)), None):
        return member
    return _unread(source, beginning)


def _unread(source: ByteSource, beginning: bytes) -> str:
    """Return what is on a volume, by its signatures alone."""
    if what := _occupant(Lenient(source)):
        return f"is {what}, {_WAYS.get(what, _NOT_READ)}"
    if not any(beginning):
        return f"has no file system: its first {len(beginning)} bytes are zeros"
    return f"has no file system that is known here; {_IMAGE}"


def _occupant(source: Lenient) -> str | None:
    """Return what else a volume has by its signatures, those at its end, too."""
    for place, magic, what in (*SIGNATURES, *signatures_at_end(source.size)):
        if what not in _ASKED_BEFORE and source.read(place, len(magic)) == magic:
            return what
    return None


def _inside(source: ByteSource) -> str:
    from thinmeta.files.inside_volume import names_inside

    try:
        return f"--inside VG/LV reads a volume in it; {names_inside(source)}"
    except InputError as error:
        return f"what is in it cannot be told: {error}"
