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
_REPLAYING = {FilesystemKind.XFS: "loop,nouuid", FilesystemKind.EXT4: "loop"}
_JOURNAL_TEXT = {
    Journal.CLEAN: "its journal is clean",
    Journal.DIRTY: "its journal is dirty",
    Journal.MAYBE_DIRTY: "its journal may be dirty",
}
_REPLAY_TEXT = (
    "Its last writes are only in the journal, which a read-only mount does not replay: it",
    "shows what was before them. Mount a writable copy to see all:",
)
_MAYBE_TEXT = (
    "Its last writes may be only in the journal, which a read-only mount does not replay: it",
    "then shows what was before them. Mount a writable copy to see all:",
)


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
        extract: the words of a command that writes a copy.
    """

    device: str
    device_id: int | None
    sectors: int
    name: str
    before: Sequence[str]
    file_system: FileSystemFound | None
    looked: bool
    extract: Sequence[str]

    @property
    def create(self) -> str:
        """The command that creates the device from a file with the table."""
        return f"dmsetup create {self.name} --readonly {self.name}.table"

    def mounts(self) -> list[str]:
        """Return the commands that mount it; all that may fit if its file system is not known."""
        kinds = [self.file_system.kind] if self.file_system else list(FilesystemKind)
        return [
            f"mount -t {kind.value} -o {_MOUNT_OPTIONS[kind]} /dev/mapper/{self.name} /mnt"
            for kind in kinds
        ]

    def replay(self) -> list[str]:
        """Return the commands that mount a writable copy, if the journal asks for that."""
        if self.file_system is None or self.file_system.journal is Journal.CLEAN:
            return []
        image = f"{self.name}.img"
        options = _REPLAYING[self.file_system.kind]
        return [
            " ".join(map(shell_word, [*self.extract, "-o", image])),
            f"mount -o {options} {image} /mnt",
        ]


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
    yield _comment(f"Save this as {plan.name}.table. Then, as root:")
    for command in [*plan.before, plan.create]:
        yield _comment(f"  {command}")
    mounts = plan.mounts()
    for command in mounts[:1]:
        yield _comment(f"  {command}")
    for command in mounts[1:]:
        yield _comment("or, as it has another file system:")
        yield _comment(f"  {command}")
    replay = plan.replay()
    if replay and plan.file_system:
        lines = _REPLAY_TEXT if plan.file_system.journal is Journal.DIRTY else _MAYBE_TEXT
        for line in lines:
            yield _comment(line)
        for command in replay:
            yield _comment(f"  {command}")


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
        mount=plan.mounts(),
        replay=plan.replay(),
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
