"""How `table` says what to type on a host: a table with comments, or JSON lines."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from thinmeta.formats.json_text import json_line
from thinmeta.formats.printable import shell_word, text_line
from thinmeta.formats.sizes import size_text
from thinmeta.units import SECTOR_BYTES
from thinmeta.volume.filesystem import FileSystemFound, FilesystemKind, Journal

_MOUNT_OPTIONS = {
    # Snapshots share one UUID, which XFS mounts but once.
    FilesystemKind.XFS: "ro,norecovery,nouuid",
    FilesystemKind.EXT4: "ro,noload",
}
_JOURNAL_TEXT = {
    Journal.CLEAN: "its journal is clean",
    Journal.DIRTY: "its journal is dirty",
    Journal.MAYBE_DIRTY: "its journal may be dirty",
}
_ABOUT_FILES = {  # whether there is a file system that is read here, and whether anybody looked
    (True, True): "Its files are read without any of this, with the journal replayed:",
    (False, False): "If it is an ext2, ext3, ext4 or XFS, its files are read without any of this:",
    (False, True): "What it has instead says:",
}
_UNREPLAYED = {
    Journal.DIRTY: "A mount shows what was before its last writes, which are only in the journal.",
    Journal.MAYBE_DIRTY: "A mount may show what was before its last writes, which the journal has.",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a device on a host.

    Attributes:
        device: as it was named.
        device_id: its id; None for a bare mapping tree.
        sectors: its size.
        name: the device to create.
        before: commands that must come before, such as those that activate the data LV.
        file_system: what is on it; None if nobody looked, or it is neither ext4 nor XFS.
        looked: whether somebody looked.
        volume: the words of a command line that name it: first the device, then the options.
    """

    device: str
    device_id: int | None
    sectors: int
    name: str
    before: Sequence[str]
    file_system: FileSystemFound | None
    looked: bool
    volume: Sequence[str]

    @property
    def is_foreign(self) -> bool:
        """Whether it is known to have no file system that is read here."""
        return self.looked and self.file_system is None

    @property
    def create(self) -> str:
        """The command that creates the device from a file with the table."""
        return f"dmsetup create {self.name} --readonly {self.name}.table"

    def mounts(self) -> list[str]:
        """Return the commands that mount it; all that may fit if its file system is not known."""
        if self.is_foreign:
            return [f"mount -o ro /dev/mapper/{self.name} /mnt"]
        kinds = [self.file_system.kind] if self.file_system else list(FilesystemKind)
        return [
            f"mount -t {kind.value} -o {_MOUNT_OPTIONS[kind]} /dev/mapper/{self.name} /mnt"
            for kind in kinds
        ]

    def files(self) -> list[str]:
        """Return the commands that list and copy its files, without any of this."""
        words = [shell_word(each) for each in self.volume]
        lists = ["thinmeta", "files", *words]
        copies = ["thinmeta", "copy", words[0], "/", "DEST", *words[1:]]
        return [" ".join(each) for each in ([lists] if self.is_foreign else [lists, copies])]


def table_text(plan: Plan, table: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Return the table with comments, which dmsetup passes over."""
    name = f"device {plan.device}" if plan.device_id is not None else plan.device
    facts = [f"{plan.sectors} sectors ({size_text(plan.sectors * SECTOR_BYTES)})"]
    if plan.file_system:
        facts += [plan.file_system.kind.value, _JOURNAL_TEXT[plan.file_system.journal]]
    elif plan.looked:
        facts.append("neither ext4 nor xfs")
    yield _comment(f"{name}: {', '.join(facts)}")
    yield from table
    yield _comment(_ABOUT_FILES[plan.file_system is not None, plan.looked])
    for command in plan.files():
        yield _comment(f"  {command}")
    yield _comment(f"To mount it, save this as {plan.name}.table. Then, as root:")
    for command in [*plan.before, plan.create]:
        yield _comment(f"  {command}")
    mounts = plan.mounts()
    for command in mounts[:1]:
        yield _comment(f"  {command}")
    for command in mounts[1:]:
        yield _comment("or, as it has another file system:")
        yield _comment(f"  {command}")
    if plan.file_system and plan.file_system.journal in _UNREPLAYED:
        yield _comment(_UNREPLAYED[plan.file_system.journal])


def table_json(plan: Plan, targets: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Return an object with all that is said, and one for each target."""
    file_system = plan.file_system
    yield json_line(
        type="table",
        device=plan.device,
        device_id=plan.device_id,
        sectors=plan.sectors,
        name=plan.name,
        before=list(plan.before),
        create=plan.create,
        file_system=file_system.kind.value if file_system else None,
        journal=file_system.journal.value if file_system else None,
        files=plan.files(),
        mount=plan.mounts(),
    )
    yield from targets


def thin_target_json(sectors: int, pool: str, device_id: int, origin: str | None) -> bytes:
    """Return the object of a thin target."""
    return json_line(
        type="target",
        begin=0,
        length=sectors,
        target="thin",
        pool=pool,
        device_id=device_id,
        origin=origin,
    )


def _comment(text: str) -> bytes:
    return text_line(f"# {text}".rstrip())
