"""One tree of errors, each with its exit code; damage is data that an error may carry."""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NamedTuple

from thinmeta.units import LAST_KEY, DeviceId, MetadataBlock


class ExitCode(IntEnum):
    """How every command ends; `docs/exit-codes.md` is made from this table.

    >>> import thinmeta
    >>> print(int(thinmeta.ExitCode.DAMAGE), thinmeta.ExitCode.USAGE.meaning)
    5 the command line is wrong
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """Attach the documented meaning to the number."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done"
    OTHER = (
        1,
        "anything not listed here; output that may not be written, as over an input; output or a "
        "warning that cannot be written, as to a closed stream; a closed pipe, silently",
    )
    USAGE = 2, "the command line is wrong"
    INPUT = 3, "the input cannot be used: missing, unreadable, of the wrong kind, or live"
    NOT_THERE = 4, "what was asked for is not there: a device, a metadata snapshot, a name"
    DAMAGE = 5, "the metadata is damaged: what was printed ends early, misses something or says so"
    SALVAGED = 6, "something is lost, another's or only likely: all else was printed, or written"
    LEAKS = 7, "check found only what is not fatal"


class ThinmetaError(Exception):
    """What thinmeta raises on purpose; the message is one line for people.

    >>> import thinmeta
    >>> try:
    ...     thinmeta.open_pool("fixtures/a01-empty-pool/about.txt")
    ... except thinmeta.ThinmetaError as error:
    ...     print(error, int(error.exit_code))
    fixtures/a01-empty-pool/about.txt: is text, not binary metadata 3
    """

    exit_code = ExitCode.OTHER


class InputError(ThinmetaError):
    """The input is missing, unreadable or no thin-pool metadata.

    >>> import thinmeta
    >>> thinmeta.open_pool("missing")
    Traceback (most recent call last):
    thinmeta.errors.InputError: missing: no such file or directory
    """

    exit_code = ExitCode.INPUT


class LiveDeviceError(InputError):
    """The metadata is in use by a pool and would change while it is read."""


class NoSuperblockError(InputError):
    """The first block is nothing that is known: a wiped superblock, or no thin-pool metadata."""


class WipedSuperblockError(NoSuperblockError):
    """The first block is no superblock, but sound metadata is left further on."""


class UnsupportedFormatError(InputError):
    """The superblock announces a version or a feature that is not known here."""


class NotThereError(ThinmetaError):
    """A device, a metadata snapshot or a name that was asked for does not exist.

    >>> import thinmeta
    >>> with thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz") as pool:
    ...     pool.device(2)
    Traceback (most recent call last):
    thinmeta.errors.NotThereError: ...meta.bin.xz: there is no device 2
    """

    exit_code = ExitCode.NOT_THERE


class NoLongerThereError(NotThereError):
    """A device that somebody has a name for is not in the state that is read, or is another.

    Attributes:
        device_id: its id.
        transaction_id: the pool's when it was created; None if the name does not say.
        known: what is known of it, in words.
    """

    def __init__(
        self, known: str, why: str, device_id: DeviceId, transaction_id: int | None
    ) -> None:
        """Carry what tells the device from others; `why` it is not meant is said, too."""
        super().__init__(f"{known}; {why}")
        self.known = known
        self.device_id = device_id
        self.transaction_id = transaction_id


class NoSnapshotError(NotThereError):
    """No metadata snapshot is held.

    >>> import thinmeta
    >>> snap = thinmeta.State.SNAP
    >>> thinmeta.open_pool("fixtures/a09-discards-and-deletes/meta.bin.xz", state=snap)
    Traceback (most recent call last):
    thinmeta.errors.NoSnapshotError: ...meta.bin.xz: no metadata snapshot is held
    """


class OutputError(ThinmetaError):
    """The output cannot be written."""


class NoRoomError(OutputError):
    """The metadata does not fit where it is to be written."""


class DamageKind(Enum):
    """What kind of promise the metadata breaks.

    >>> import thinmeta
    >>> [kind.name for kind in thinmeta.DamageKind]
    ['BLOCK', 'DEVICE_IDS', 'MAPPED_BLOCKS']
    """

    BLOCK = "block"
    """A metadata block cannot be believed: whoever reads on leaves something out."""

    DEVICE_IDS = "device_ids"
    """The details tree and the mapping tree do not hold the same device ids."""

    MAPPED_BLOCKS = "mapped_blocks"
    """A device has not as many mappings as its details say."""


class Damage(NamedTuple):
    """One broken invariant: where it is, what it is, and what is lost by it.

    >>> import thinmeta
    >>> print(thinmeta.Damage("is gone", block=7, device_id=1, first_key=0))
    metadata block 7, device 1, keys 0..end: is gone

    Attributes:
        what: what is wrong, in words.
        block: the metadata block; None if it is not one.
        device_id: the device; None if it is not one's.
        first_key: the lowest key that is lost; None if none is.
        last_key: the highest, included; None where nothing bounds them.
        key_name: what the keys are: `origin block`, `device id`, ...
        kind: what is lost by it.
    """

    what: str
    block: MetadataBlock | None = None
    device_id: DeviceId | None = None
    first_key: int | None = None
    last_key: int | None = None
    key_name: str = "key"
    kind: DamageKind = DamageKind.BLOCK

    def __str__(self) -> str:
        """Say it in one line: block, device, key range, what is wrong."""
        where = []
        if self.block is not None:
            where.append(f"metadata block {self.block}")
        if self.device_id is not None:
            where.append(f"device {self.device_id}")
        if self.first_key is not None:
            end = "end" if self.last_key in (None, LAST_KEY) else str(self.last_key)
            where.append(f"{self.key_name}s {self.first_key}..{end}")
        return f"{', '.join(where)}: {self.what}" if where else self.what


class DamagedMetadataError(ThinmetaError):
    """The bytes are there and break the format; `damage` says where and how.

    >>> import lzma, thinmeta
    >>> image = bytearray(lzma.open("fixtures/a09-discards-and-deletes/meta.bin.xz").read())
    >>> image[100] ^= 1
    >>> try:
    ...     thinmeta.open_pool(image)
    ... except thinmeta.DamagedMetadataError as error:
    ...     print(error.damage.block, error.damage.what)
    0 the superblock's checksum is wrong; nothing can be read without it
    """

    exit_code = ExitCode.DAMAGE

    def __init__(self, damage: Damage, name: str | None = None) -> None:
        """Carry `damage`; its line is the message, after the name of the metadata."""
        super().__init__(f"{name}: {damage}" if name else str(damage))
        self.damage = damage
        self.name = name


class SalvagedError(ThinmetaError):
    """Something is lost, and all that is sound was returned."""

    exit_code = ExitCode.SALVAGED


OnDamage = Callable[[Damage], None]
"""The one policy hook of every reader: told of each damage, it raises or lets go on."""


def raise_damage(damage: Damage) -> None:
    """Raise on a block that cannot be believed; pass over what loses no mapping.

    This is the readers' default: the first unreadable or unbelievable block ends
    the read, and a wrong count or a device without details does not.

    >>> import thinmeta
    >>> thinmeta.raise_damage(thinmeta.Damage("odd", kind=thinmeta.DamageKind.DEVICE_IDS))
    >>> thinmeta.raise_damage(thinmeta.Damage("is gone", block=7))
    Traceback (most recent call last):
    thinmeta.errors.DamagedMetadataError: metadata block 7: is gone

    Raises:
        DamagedMetadataError: `damage` is of kind `BLOCK`.
    """
    if damage.kind is DamageKind.BLOCK:
        raise DamagedMetadataError(damage)
