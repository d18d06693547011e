"""Docker's list of thin devices: `devicemapper/metadata`, a JSON file a device."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thinmeta.names.docker.files import DockerFiles, DockerFolder, graph_id
from thinmeta.names.docker.json_object import JsonObject
from thinmeta.units import DeviceId

BASE = "base"
"""The hash of the base device, which Docker itself keeps as an empty string."""

INIT = "-init"

_DEVICE_IDS = 1 << 24
_DEVICE_SET = "deviceset-metadata"
_TRANSACTION = "transaction-metadata"
_NO_DEVICES = (_DEVICE_SET, _TRANSACTION)


class Record(NamedTuple):
    """What Docker wrote down of one thin device.

    Attributes:
        device_id: the id by which the pool knows it.
        size: in bytes; None if it is not there.
        transaction_id: of Docker's transaction that created it, which is one more than
            what the pool has; None if it is not there.
        is_deleted: it was busy when it was removed, so Docker put it off.
    """

    device_id: DeviceId
    size: int | None
    transaction_id: int | None
    is_deleted: bool

    @property
    def created_in(self) -> int | None:
        """The pool's transaction id when it was created: Docker counts on before it is done."""
        return self.transaction_id - 1 if self.transaction_id else None


class Transaction(NamedTuple):
    """What Docker noted before it last created or deleted a device.

    Attributes:
        transaction_id: what the pool's becomes when it is done.
        device_hash: whose device it is; None if it is not there.
        device_id: the device; None if it is not there.
    """

    transaction_id: int
    device_hash: str | None
    device_id: DeviceId | None


class DeviceSet(NamedTuple):
    """All that `devicemapper` holds.

    Attributes:
        records: by hash.
        transaction: the last one; None if it is not there.
        file_system: of the base device: `xfs` or `ext4`; None if it is not there.
        base_uuid: of the base device's file system; None if it is not there.
    """

    records: dict[str, Record]
    transaction: Transaction | None
    file_system: str | None
    base_uuid: str | None


def read_device_set(files: DockerFiles, driver: Path, metadata: Path) -> DeviceSet:
    """Read the folders `devicemapper` and `devicemapper/metadata`."""
    with files.folder(metadata) as folder:
        records = _records(folder) or dict(_old_records(files, driver / "devicemapper"))
        device_set, transaction = folder.object(_DEVICE_SET), folder.object(_TRANSACTION)
    return DeviceSet(
        records,
        _transaction(transaction),
        device_set.word("BaseDeviceFilesystem") if device_set else None,
        device_set.word("BaseDeviceUUID") if device_set else None,
    )


def _records(folder: DockerFolder) -> dict[str, Record]:
    """Return the devices that have a file each."""
    records = {}
    for name in folder.names():
        fields = folder.object(name) if _is_device(name) else None
        record = _record(fields) if fields else None
        if record is not None:
            records[name] = record
        elif fields is not None:
            folder.note("has no device id", name)
    return records


def _is_device(name: str) -> bool:
    is_other = name.endswith(".migrated") or name in _NO_DEVICES
    return not is_other and graph_id(name) is not None


def _old_records(files: DockerFiles, path: Path) -> Iterator[tuple[str, Record]]:
    """Return the devices of the one file, `json`, that Docker 0.7 kept."""
    with files.folder(path) as folder:
        fields = folder.object("json")
    devices = fields.object("Devices") if fields else JsonObject(None)
    for name in devices.names():
        record = _record(devices.object(name))
        hash_ = graph_id(name or BASE)
        if record is None or hash_ is None:
            folder.note(f"{name or BASE} has no device id", "json")
        else:
            yield hash_, record


def _record(fields: JsonObject) -> Record | None:
    device_id = fields.integer("device_id", _DEVICE_IDS)
    if device_id is None:
        return None
    return Record(
        DeviceId(device_id),
        fields.integer("size"),
        fields.integer("transaction_id"),
        fields.is_set("deleted"),
    )


def _transaction(fields: JsonObject | None) -> Transaction | None:
    number = fields.integer("open_transaction_id") if fields else None
    if fields is None or number is None:
        return None
    device_id = fields.integer("device_id", _DEVICE_IDS)
    return Transaction(
        number,
        graph_id(fields.text("device_hash")),
        DeviceId(device_id) if device_id is not None else None,
    )
