"""containerd's snapshots: `metadata.db`, beside the list of devices.

Source: `readSnapshot()`, core/snapshots/storage/bolt.go.
"""

from enum import IntEnum
from typing import NamedTuple

from thinmeta.names.containerd.bolt import BoltFile, Bucket

_VARINT_BYTES = 10
_SEVEN_BITS = 7
_PARTS = 3  # of a key: NAMESPACE/NUMBER/NAME


class SnapshotKind(IntEnum):
    """What a snapshot is for."""

    UNKNOWN = 0
    VIEW = 1
    """To be read only."""
    ACTIVE = 2
    """To be written to: a container's, or a layer that is being unpacked."""
    COMMITTED = 3
    """A layer."""


class KeptSnapshot(NamedTuple):
    """A snapshot.

    Attributes:
        key: its name among all: `NAMESPACE/NUMBER/NAME`.
        snapshot_id: the number in the name of its device.
        kind: what it is for.
        parent: the key of the snapshot below; None if it is the lowest.
    """

    key: str
    snapshot_id: int
    kind: SnapshotKind
    parent: str | None

    @property
    def namespace(self) -> str:
        """The namespace in its key; empty if the key has none."""
        parts = self.key.split("/", _PARTS - 1)
        return parts[0] if len(parts) == _PARTS else ""

    @property
    def name(self) -> str:
        """Its name within the namespace: a chain id, a container's id."""
        return self.key.split("/", _PARTS - 1)[-1]


def read_snapshots(file: BoltFile) -> dict[str, KeptSnapshot]:
    """Return the snapshots by key; one that has no number is noted."""
    snapshots = {}
    for key, bucket in file.root.bucket(b"v1", b"snapshots").buckets().items():
        name = key.decode("utf-8", "replace")
        snapshot_id = uvarint(bucket.value(b"id"))
        if snapshot_id is None or not name.isprintable() or not name:
            file.note(f"snapshot {name!r} has no id")
            continue
        parent = (bucket.value(b"parent") or b"").decode("utf-8", "replace")
        snapshots[name] = KeptSnapshot(name, snapshot_id, _kind(bucket), parent or None)
    return snapshots


def uvarint(data: bytes | None) -> int | None:
    r"""Return the number that Go's `binary.PutUvarint` wrote; None if it is none.

    >>> uvarint(b"\x07"), uvarint(b"\xac\x02"), uvarint(b"\xff"), uvarint(None)
    (7, 300, None, None)
    """
    number = 0
    for place, byte in enumerate((data or b"")[:_VARINT_BYTES]):
        number |= (byte & 0x7F) << (_SEVEN_BITS * place)
        if byte < 1 << _SEVEN_BITS:
            return number if number < 1 << 64 else None
    return None


def _kind(bucket: Bucket) -> SnapshotKind:
    value = bucket.value(b"kind")
    is_known = value is not None and len(value) == 1 and value[0] in list(SnapshotKind)
    return SnapshotKind(value[0]) if value and is_known else SnapshotKind.UNKNOWN
